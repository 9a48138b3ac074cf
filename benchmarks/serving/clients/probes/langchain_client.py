"""langchain-openai: the chat with content parts, and the Responses API."""

import openai
from checks import BASE_URL, DRAW, KEY, MODEL, OPENAI_MESSAGES, TALK, fails, is_png, run, says
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

where = {"base_url": BASE_URL, "api_key": KEY}
chat = ChatOpenAI(model=MODEL, **where)
parts = ChatOpenAI(model=MODEL, extra_body={"nextgpt": {"content": "parts"}}, **where)
responses = ChatOpenAI(model=MODEL, use_responses_api=True, **where)


def ask(content):
    return chat.invoke([HumanMessage(content)]).content


def media_out():
    content = parts.invoke(DRAW).content
    is_png(next(part["image_url"]["url"] for part in content if part["type"] == "image_url"))


def responses_out():
    blocks = responses.invoke(DRAW).content
    is_png(next(block["result"] for block in blocks if block["type"] == "image_generation_call"))


run(
    chat=lambda: says(ask(TALK)),
    stream=lambda: says("".join(chunk.content for chunk in chat.stream(DRAW))),
    image_in=lambda: says(ask(OPENAI_MESSAGES["image_in"]), "apple"),
    audio_in=lambda: says(ask(OPENAI_MESSAGES["audio_in"]), "piano"),
    media_out=media_out,
    errors=lambda: fails(openai.NotFoundError, lambda: ChatOpenAI(model="no-such-model", **where).invoke(TALK)),
    responses=responses_out,
)
