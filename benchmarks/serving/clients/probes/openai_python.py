"""openai: the chat, the Responses API, completions, images."""

import openai
from checks import BASE_URL, DRAW, KEY, MODEL, OPENAI_MESSAGES, TALK, fails, is_png, run, says

client = openai.OpenAI(base_url=BASE_URL, api_key=KEY)


def ask(content, **options):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}], **options)


def stream():
    chunks = list(ask(DRAW, stream=True, stream_options={"include_usage": True}))
    says("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    assert chunks[-1].usage.completion_tokens > 0


def responses():
    tools = [{"type": "image_generation", "partial_images": 2}]
    with client.responses.stream(model=MODEL, input=DRAW, tools=tools) as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
    assert "response.output_text.delta" in kinds and kinds.count("response.image_generation_call.partial_image") >= 1
    is_png(next(item.result for item in final.output if item.type == "image_generation_call"))
    again = client.responses.create(model=MODEL, input="Make it blue.", previous_response_id=final.id)
    assert again.status == "completed"


run(
    chat=lambda: says(ask(TALK).choices[0].message.content),
    stream=stream,
    image_in=lambda: says(ask(OPENAI_MESSAGES["image_in"]).choices[0].message.content, "apple"),
    audio_in=lambda: says(ask(OPENAI_MESSAGES["audio_in"]).choices[0].message.content, "piano"),
    media_out=lambda: is_png(ask(DRAW).choices[0].message.images[0]["image_url"]["url"]),
    errors=lambda: fails(
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": TALK}]),
    ),
    responses=responses,
    completions=lambda: says(client.completions.create(model=MODEL, prompt=TALK).choices[0].text),
    images=lambda: is_png(client.images.generate(model=MODEL, prompt="a cat").data[0].b64_json),
)
