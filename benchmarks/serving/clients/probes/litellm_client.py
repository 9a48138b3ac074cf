"""litellm: chat and text completion."""

import litellm
from checks import BASE_URL, DRAW, KEY, MODEL, OPENAI_MESSAGES, TALK, fails, is_png, run, says

where = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": KEY}


def ask(content, **options):
    return litellm.completion(messages=[{"role": "user", "content": content}], **where, **options)


def stream():
    says("".join(chunk.choices[0].delta.content or "" for chunk in ask(DRAW, stream=True)))


def unknown():
    litellm.completion(**(where | {"model": "openai/no-such-model"}), messages=[{"role": "user", "content": TALK}])


run(
    chat=lambda: says(ask(TALK).choices[0].message.content),
    stream=stream,
    image_in=lambda: says(ask(OPENAI_MESSAGES["image_in"]).choices[0].message.content, "apple"),
    audio_in=lambda: says(ask(OPENAI_MESSAGES["audio_in"]).choices[0].message.content, "piano"),
    media_out=lambda: is_png(ask(DRAW).choices[0].message.images[0]["image_url"]["url"]),
    errors=lambda: fails(litellm.exceptions.NotFoundError, unknown),
    completions=lambda: says(
        litellm.text_completion(**(where | {"model": f"text-completion-openai/{MODEL}"}), prompt=TALK).choices[0].text
    ),
)
