"""pydantic-ai in both modes: OpenAI's chat and the Responses API."""

from checks import AUDIO, BASE_URL, DRAW, IMAGE, KEY, LISTEN, LOOK, MODEL, TALK, fails, is_png, run, says
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=BASE_URL, api_key=KEY)
chat = Agent(OpenAIChatModel(MODEL, provider=provider))
responses = Agent(OpenAIResponsesModel(MODEL, provider=provider))
unknown = Agent(OpenAIChatModel("no-such-model", provider=provider))
image = BinaryContent(IMAGE.read_bytes(), media_type="image/png")
audio = BinaryContent(AUDIO.read_bytes(), media_type="audio/wav")


async def stream():
    async with chat.run_stream(DRAW) as result:
        says("".join([delta async for delta in result.stream_text(delta=True)]))


def responses_out():
    is_png(responses.run_sync(DRAW).response.images[0].data)


run(
    chat=lambda: says(chat.run_sync(TALK).output),
    stream=stream,
    image_in=lambda: says(chat.run_sync([LOOK, image]).output, "apple"),
    audio_in=lambda: says(chat.run_sync([LISTEN, audio]).output, "piano"),
    media_out=responses_out,
    errors=lambda: fails(ModelHTTPError, lambda: unknown.run_sync(TALK)),
    responses=lambda: says(responses.run_sync([LOOK, image]).output, "apple"),
)
