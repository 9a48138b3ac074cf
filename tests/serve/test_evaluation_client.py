"""``nextgpt eval --against openai:URL`` against this project's own server."""

from __future__ import annotations

from nextgpt.evaluate.standard.item_systems.openai_endpoint import OpenAIChat, OpenAIEndpoint
from nextgpt.message import Conversation, Sampling
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


def test_another_server_answers_items_with_text_and_media(address: str) -> None:
    conversation = Conversation().with_message(["Look.", tiny_image(), tiny_audio(), tiny_video()])
    (reply,) = OpenAIChat(OpenAIEndpoint(f"{address}/v1")).chat_batch([conversation], [Sampling(seed=3)])
    assert reply.text and reply.seed == 3
    assert {part.modality for part in reply.parts} > {"text"}
