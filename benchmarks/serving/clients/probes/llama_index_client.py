"""llama-index OpenAILike: chat, and text completion, its default."""

import openai
from checks import AUDIO, BASE_URL, DRAW, IMAGE, KEY, LISTEN, LOOK, MODEL, TALK, fails, is_png, run, says
from llama_index.core.llms import AudioBlock, ChatMessage, ImageBlock, TextBlock
from llama_index.llms.openai_like import OpenAILike

where = {"api_base": BASE_URL, "api_key": KEY}
chat = OpenAILike(model=MODEL, is_chat_model=True, **where)
plain = OpenAILike(model=MODEL, **where)
unknown = OpenAILike(model="no-such-model", is_chat_model=True, max_retries=0, **where)


def ask(*blocks):
    return chat.chat([ChatMessage(role="user", blocks=list(blocks))])


def media_out():
    is_png(chat.chat([ChatMessage(role="user", content=DRAW)]).raw.choices[0].message.images[0]["image_url"]["url"])


run(
    chat=lambda: says(ask(TextBlock(text=TALK)).message.content),
    stream=lambda: says("".join(chunk.delta or "" for chunk in chat.stream_chat([ChatMessage(content=DRAW)]))),
    image_in=lambda: says(ask(TextBlock(text=LOOK), ImageBlock(path=IMAGE)).message.content, "apple"),
    audio_in=lambda: says(ask(TextBlock(text=LISTEN), AudioBlock(path=AUDIO, format="wav")).message.content, "piano"),
    media_out=media_out,
    errors=lambda: fails(openai.NotFoundError, lambda: unknown.chat([ChatMessage(content=TALK)])),
    completions=lambda: says(plain.complete(TALK).text),
)
