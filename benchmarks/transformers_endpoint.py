"""A chat endpoint around any causal LLM of transformers, for ``nextgpt data build`` without another server.

``python -m benchmarks.transformers_endpoint FOLDER --port 8010`` serves a folder with a chat template. Requests
wait for each other.
With a JSON schema of strings as ``response_format``, the keys are given and the LLM writes the values one by one, so
that even a small LLM answers with valid JSON. ``--no-repeat-ngram 4`` forbids n-grams of tokens that the prompt or the
answer already has: a small LLM otherwise copies its instructions, and itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from torch import Tensor


def create_app(folder: str, *, dtype: torch.dtype = torch.float32, no_repeat_ngram: int = 0) -> FastAPI:
    """Load the LLM and create the endpoint.

    Args:
        dtype: Of the weights.
        no_repeat_ngram: Length in tokens of n-grams that occur once at most in prompt and answer; 0 allows all.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    llm = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
    lock = threading.Lock()
    app = FastAPI()

    def tokenize(text: str) -> Tensor:
        return tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]

    def generate(text: str, max_tokens: int, sampling: dict[str, Any]) -> tuple[str, int, int]:
        """Continue a text; return the new text and the number of tokens read and written."""
        ids = tokenize(text)
        output = llm.generate(ids, max_new_tokens=max_tokens, **sampling)[0, ids.shape[1] :]
        return tokenizer.decode(output, skip_special_tokens=True), ids.shape[1], len(output)

    def write_fields(text: str, names: list[str], limit: int, sampling: dict[str, Any]) -> tuple[str, int, int]:
        """Write the values of an object whose keys are given.

        All values share one KV cache, so that the prompt is read once.
        """
        values: dict[str, str] = {}
        ids, cache, written = tokenize(f'{text}{{"{names[0]}": "'), DynamicCache(config=llm.config), 0
        read = ids.shape[1]
        for name, following in zip(names, [*names[1:], None], strict=True):
            output = llm.generate(
                ids,
                past_key_values=cache,
                max_new_tokens=limit // len(names),
                stop_strings=['"', "\n"],
                tokenizer=tokenizer,
                **sampling,
            )[:, ids.shape[1] :]
            values[name] = first_line(tokenizer.decode(output[0], skip_special_tokens=True))
            written += output.shape[1]
            # The cache keeps what was read before the value; the value is read again as it stands in the object.
            if (extra := cache.get_seq_length() - ids.shape[1]) > 0:
                cache.crop(-extra)
            ending = f'{json.dumps(values[name], ensure_ascii=False)[1:]}, "{following}": "'
            ids = torch.cat((ids, tokenize(ending)), dim=1)
        return json.dumps(values, ensure_ascii=False), read, written

    @torch.inference_mode()
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        """Generate one reply; the seed follows from the request."""
        text = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False)
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
        temperature = body.get("temperature", 1.0)
        sampling: dict[str, Any] = (
            {"do_sample": True, "temperature": temperature, "top_p": 0.9} if temperature else {"do_sample": False}
        )
        sampling["no_repeat_ngram_size"] = no_repeat_ngram
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        with lock:
            torch.manual_seed(int.from_bytes(digest[:4], "big"))
            if schema:
                content, read, written = write_fields(text, schema["required"], body["max_tokens"], sampling)
            else:
                content, read, written = generate(text, body["max_tokens"], sampling)
        message = {"role": "assistant", "content": content}
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}

    @app.post("/v1/chat/completions")
    async def create_chat_completion(request: Request) -> JSONResponse:
        """Answer a chat completion request."""
        return JSONResponse(await run_in_threadpool(answer, await request.json()))

    return app


def first_line(text: str) -> str:
    """Return a text up to its line's end or a quotation mark; without one, its whole sentences, if it has any."""
    value, *rest = re.split(r'["\n]', text, maxsplit=1)
    sentences = None if rest else re.match(r".*[.!?](?= |$)", value)
    return (sentences[0] if sentences else value).strip()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A chat endpoint around an LLM of transformers.")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8010)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--no-repeat-ngram", type=int, default=0, help="Length of n-grams that may not repeat.")
    options = parser.parse_args()
    app = create_app(options.folder, dtype=getattr(torch, options.dtype), no_repeat_ngram=options.no_repeat_ngram)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
