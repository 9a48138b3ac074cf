"""OpenRouter's Python SDK, which validates every answer against its own types."""

from checks import BASE_URL, DRAW, KEY, MODEL, OPENAI_MESSAGES, TALK, is_png, run, says
from openrouter import OpenRouter

# Its default time limit is 5 s, after which it repeats a request for up to an hour.
client = OpenRouter(server_url=BASE_URL, api_key=KEY, timeout_ms=300_000)


def ask(content):
    return client.chat.send(model=MODEL, messages=[{"role": "user", "content": content}])


def stream():
    with client.chat.send(model=MODEL, messages=[{"role": "user", "content": DRAW}], stream=True) as chunks:
        says("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))


run(
    chat=lambda: says(ask(TALK).choices[0].message.content),
    stream=stream,
    image_in=lambda: says(ask(OPENAI_MESSAGES["image_in"]).choices[0].message.content, "apple"),
    audio_in=lambda: says(ask(OPENAI_MESSAGES["audio_in"]).choices[0].message.content, "piano"),
    media_out=lambda: is_png(ask(DRAW).choices[0].message.images[0].image_url.url),
)
