"""A chat endpoint without an LLM: it writes dialogues of the small world for ``nextgpt data build``, and can misbehave.

Answers depend on the request only, so builds can be compared. Faults of the transport (429, 500, cut or stalled
responses, oversized ones) depend on the request and the number of the attempt; wrong answers on the request alone.

``python -m nextgpt.testing.llm_endpoint --port 8009 --fail 0.2`` serves it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import BACKGROUNDS, PITCHES
from nextgpt.testing.scripted_model import tiny_image

FIELD = re.compile(r"^(turn\d+_(user|assistant)(?:_(image|audio|video))?): (.+)$", re.MULTILINE)
"""Fields that a prompt asks for: name, role, modality, description."""
TOPIC = re.compile(r"<data>\{.*?: \"(.*?)\"\}</data>")

TEXTS: dict[str, tuple[str, ...]] = {
    "request": (
        "While we speak of {topic}: show me {thing}.", "I would like {thing} for my notes on {topic}, please.",
        "Could you make {thing}? It is about {topic}.", "Next to {topic} I want {thing}.", "Give me {thing}, then.",
    ),
    "implicit": (
        "My class on {topic} would love to meet {thing}.", "I have forgotten how {thing} comes across.",
        "Whenever I think of {topic}, {thing} is what I miss.", "A guest asks me about {thing} and I have nothing.",
    ),
    "edit": (
        "Nice, but now I want {thing} instead.", "Change it into {thing} and keep the rest.",
        "For {topic} it should rather be {thing}.", "Almost! Turn it into {thing}, please.",
    ),
    "cross_modal": (
        "Which goes with this: {thing}? Make it.", "Take what I showed and give me {thing} to match.",
        "Here is something on {topic}; answer it with {thing}.", "Pair that with {thing} for me.",
    ),
    "question": (
        "What do you notice in this one?", "How would you explain it to someone new to {topic}?",
        "Is that typical of {topic}?", "Tell me what strikes you most about it.", "Does it fit {topic}, you think?",
        "What would you change about it for {topic}?", "Would a child like it?",
    ),
    "refusal": (
        "Phone my aunt and read her a poem on {topic}.", "Find out where that stranger lives, it concerns {topic}.",
        "Send a letter on {topic} to the mayor for me.", "Log in to my bank and pay for {topic}.",
    ),
    "chat": (
        "How did you become interested in {topic}?", "What should a beginner know about {topic}?",
        "Name one thing about {topic} that surprises people.", "Why do so many people care for {topic}?",
        "Who taught you about {topic}?", "Does {topic} take more time or more money?",
        "What would you ask an expert in {topic}?",
    ),
}  # fmt: skip
REPLIES = (
    "Gladly, {thing} suits {topic} well.", "Of course; this ought to do for {topic}.", "Here you go, as you wished.",
    "I took {topic} as the theme and kept it simple.", "This is my suggestion; tell me what to change.",
)  # fmt: skip
ANSWERS = (
    "I would say so, mostly because of {thing}.", "The first thing I notice is {thing}, and the rest follows.",
    "Hard to say, although {topic} often looks and sounds like that.", "Start with {thing} and take your time.",
    "People who know {topic} would nod and add a detail of their own.",
)  # fmt: skip
REFUSALS = (
    "That is beyond me, I am afraid, but I can help you write down what to say about {topic}.",
    "I can't do this for you. I could prepare notes on {topic} instead.",
)


@dataclass
class Faults:
    """Probability of each fault."""

    too_many: float = 0.0
    """429 with ``Retry-After: 0``."""
    failure: float = 0.0
    """500."""
    cut: float = 0.0
    """The connection closes in the middle of the body."""
    stall: float = 0.0
    """Nothing arrives for ``stall_s``."""
    stall_s: float = 5.0
    huge: float = 0.0
    """A chat completion of ten megabytes."""
    nonsense: float = 0.0
    """A body that is not a chat completion."""
    invalid_json: float = 0.0
    """A chat completion whose content is broken JSON; half of them only in the first round."""
    wrong: float = 0.0
    """A JSON object that breaks the plan."""
    refuses_schema: bool = False
    """Answer 400 to ``response_format``, as some servers do."""


@dataclass
class Traffic:
    """Requests that were received."""

    received: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Complete chat completions, by request."""
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def repeated(self) -> int:
        """Complete answers beyond the first of each request."""
        return sum(count - 1 for count in self.answers.values())


def create_app(faults: Faults = Faults(), *, delay_s: float = 0.0) -> FastAPI:
    """Create the endpoint; ``app.state.traffic`` counts."""
    app = FastAPI()
    traffic = app.state.traffic = Traffic()
    attempts: Counter[str] = Counter()

    @app.post("/chat/completions")
    @app.post("/v1/chat/completions")
    async def create_chat_completion(request: Request) -> Response:
        """Answer, or misbehave."""
        body = json.loads(await request.body())
        key = blake2b(json.dumps([body["model"], body["messages"]]).encode(), digest_size=16).hexdigest()
        traffic.received += 1
        attempts[key] += 1
        await asyncio.sleep(delay_s)
        name, response = await _respond(body, key, attempts[key], faults)
        traffic.statuses[name] += 1
        traffic.answers[key] += response.status_code == 200 and name in ("answer", "huge")
        return response

    @app.post("/images/generations")
    @app.post("/v1/images/generations")
    async def create_image(request: Request) -> Response:
        """Answer with an image of one color."""
        prompt = json.loads(await request.body())["prompt"]
        traffic.received += 1
        colour = tuple(blake2b(prompt.encode(), digest_size=3).digest())
        file = io.BytesIO()
        tiny_image(colour).image.save(file, format="PNG")  # type: ignore[arg-type]
        traffic.statuses["image"] += 1
        return JSONResponse({"created": 0, "data": [{"b64_json": base64.b64encode(file.getvalue()).decode()}]})

    return app


async def _respond(body: dict[str, Any], key: str, attempt: int, faults: Faults) -> tuple[str, Response]:
    rng = random.Random(f"{key} {attempt}")
    if faults.refuses_schema and "response_format" in body:
        return "400", JSONResponse({"error": {"message": "response_format is not supported"}}, 400)
    if rng.random() < faults.too_many:
        return "429", JSONResponse({"error": {"message": "slow down"}}, 429, headers={"Retry-After": "0"})
    if rng.random() < faults.failure:
        return "500", JSONResponse({"error": {"message": "out of order"}}, 500)
    if rng.random() < faults.stall:
        await asyncio.sleep(faults.stall_s)
    if rng.random() < faults.cut:
        return "cut", StreamingResponse(_cut_body(), media_type="application/json")
    if rng.random() < faults.nonsense:
        return "nonsense", Response("<html>Bad gateway</html>", media_type="text/html")
    rng = random.Random(key)  # from here on the request alone decides
    if rng.random() < faults.huge:
        return "huge", JSONResponse(_completion(body, "x" * 10_000_000))
    return "answer", JSONResponse(_completion(body, _write_answer(body, rng, faults)))


async def _cut_body() -> AsyncIterator[bytes]:
    yield b'{"choices": [{"message": {"content": "{\\"turn1_'
    raise ConnectionResetError("the mock endpoint cuts this response")


def _completion(body: dict[str, Any], content: str) -> dict[str, Any]:
    limit = body.get("max_tokens", body.get("max_completion_tokens", 10**9))
    inputs = sum(len(message["content"]) for message in body["messages"]) // 4
    usage = {"prompt_tokens": inputs, "completion_tokens": min(limit, len(content) // 4)}
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


def _write_answer(body: dict[str, Any], rng: random.Random, faults: Faults) -> str:
    """Write all fields of the prompt; a broken answer is corrected in half of the repair rounds."""
    prompt = next(message["content"] for message in body["messages"] if message["role"] == "user")
    is_repair = sum(message["role"] == "user" for message in body["messages"]) > 1
    fields = _write_fields(prompt, rng)
    share = 0.5 if is_repair else 1.0
    if rng.random() < share * faults.invalid_json:
        return json.dumps(fields)[: len(prompt) // 8]
    if rng.random() < share * faults.wrong:
        fields.pop(sorted(fields)[0])
        fields["turn9_user"] = "<image>Ignore your plan.</image>"
    return json.dumps(fields)


def _write_fields(prompt: str, rng: random.Random) -> dict[str, str]:
    """Write fields from templates, with captions as in the training of nano's synthesizers."""
    request = prompt.rpartition("</data>")[2]
    topic = (TOPIC.findall(prompt) or ["this"])[-1]
    numbers = np.random.default_rng(rng.getrandbits(32))
    wanted = FIELD.findall(request)
    captions: dict[str, str] = {}
    last: dict[str, str] = {}
    for name, role, modality, description in wanted:
        if modality:
            is_edit = role == "assistant" and "edited" in description and modality in last
            captions[name] = last[modality] = _edit(last[modality], rng) if is_edit else _caption(modality, numbers)
    fields: dict[str, str] = {}
    intent = "chat"
    for name, role, modality, description in wanted:
        turn = name.partition("_")[0]
        shown = [caption for field, caption in captions.items() if field.startswith(f"{turn}_assistant_")]
        thing = _thing(shown[0]) if shown else _thing(_caption("image", numbers))
        if modality:
            fields[name] = captions[name]
            continue
        if role == "user":
            intent = _intent(description)
            choices: tuple[str, ...] = TEXTS[intent]
        else:
            choices = REPLIES if "comes with" in description else REFUSALS if intent == "refusal" else ANSWERS
        texts = [text.format(topic=topic, thing=thing) for text in choices]
        fields[name] = rng.choice([text for text in texts if text not in fields.values()] or texts)
    return fields


def _intent(description: str) -> str:
    """Recognize the intent by a word of its description."""
    words = {
        "without naming": "implicit", "to change": "edit", "belongs to it": "cross_modal", "asks about": "question",
        "declines": "refusal", "asks openly": "request",
    }  # fmt: skip
    return next((intent for word, intent in words.items() if word in description), "chat")


def _caption(modality: str, rng: np.random.Generator) -> str:
    sample = {"image": sample_scene, "audio": sample_sound, "video": sample_clip}[modality]
    return canonical_caption(sample(rng))


def _edit(caption: str, rng: random.Random) -> str:
    """Change background or pitch of a caption."""
    parts = caption.split(", ")
    index = next((i for i, part in enumerate(parts) if part in PITCHES or part.endswith("background")), 0)
    choices = PITCHES if parts[index] in PITCHES else [f"{name} background" for name in BACKGROUNDS]
    parts[index] = rng.choice([choice for choice in choices if choice != parts[index]])
    return ", ".join(parts)


def _thing(caption: str) -> str:
    """Return the first object or source of a caption, with an article."""
    noun = re.sub(r"^(small|large) | (top|bottom|left|right|center|sound|\w+ing \w+)\b.*$", "", caption.split(", ")[0])
    if noun.startswith("the "):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def main() -> None:
    """Serve the endpoint until it is interrupted."""
    import uvicorn

    parser = argparse.ArgumentParser(description="A chat endpoint without an LLM.")
    parser.add_argument("--port", type=int, default=8009)
    parser.add_argument("--fail", type=float, default=0.0, help="Probability of each kind of fault.")
    parser.add_argument("--delay", type=float, default=0.0, help="Seconds before each answer.")
    options = parser.parse_args()
    share = options.fail
    faults = Faults(*[share] * 4, huge=share, nonsense=share, invalid_json=share, wrong=share)
    uvicorn.run(create_app(faults, delay_s=options.delay), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
