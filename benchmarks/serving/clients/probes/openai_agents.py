"""openai-agents: its default is the Responses API. One event loop serves all checks, as its client expects."""

import asyncio

import openai
from agents import Agent, OpenAIChatCompletionsModel, Runner, set_default_openai_client, set_tracing_disabled
from checks import BASE_URL, DRAW, IMAGE_URI, KEY, LOOK, MODEL, TALK, fails, is_png, run, says

loop = asyncio.new_event_loop()
client = openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY)
set_default_openai_client(client)
set_tracing_disabled(True)
agent = Agent(name="painter", model=MODEL)
image = {
    "role": "user",
    "content": [{"type": "input_text", "text": LOOK}, {"type": "input_image", "image_url": IMAGE_URI}],
}


def ask(content, who=agent):
    return loop.run_until_complete(Runner.run(who, content))


async def event_types():
    result = Runner.run_streamed(agent, DRAW)
    return [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]


def stream():
    types = loop.run_until_complete(event_types())
    assert "response.output_text.delta" in types and "response.completed" in types, types


def media_out():
    items = [item for response in ask(DRAW).raw_responses for item in response.output]
    is_png(next(item.result for item in items if item.type == "image_generation_call"))


run(
    chat=lambda: says(ask(TALK).final_output),
    stream=stream,
    image_in=lambda: says(ask([image]).final_output, "apple"),
    media_out=media_out,
    errors=lambda: fails(openai.NotFoundError, lambda: ask(TALK, Agent(name="nobody", model="no-such-model"))),
    chat_completions=lambda: says(
        ask(TALK, Agent(name="talker", model=OpenAIChatCompletionsModel(MODEL, client))).final_output
    ),
)
