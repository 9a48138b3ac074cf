"""A chat endpoint around any causal LLM of transformers, for ``nextgpt data build`` without another server.

``python -m benchmarks.transformers_endpoint FOLDER --port 8010`` serves a folder with a chat template. Requests
wait for each other.
There is no structured output, so the schema stands in the prompt alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse


def create_app(folder: str) -> FastAPI:
    """Load the LLM and create the endpoint."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    llm = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    lock = threading.Lock()
    app = FastAPI()

    @torch.inference_mode()
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        """Generate one reply; the seed follows from the request."""
        prompt = tokenizer.apply_chat_template(
            body["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        length = prompt["input_ids"].shape[1]
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
        temperature = body.get("temperature", 1.0)
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_p": 0.9} if temperature else {"do_sample": False}
        )
        with lock:
            torch.manual_seed(int.from_bytes(digest[:4], "big"))
            output = llm.generate(**prompt, max_new_tokens=body["max_tokens"], **sampling)[0, length:]
        message = {"role": "assistant", "content": tokenizer.decode(output, skip_special_tokens=True)}
        usage = {"prompt_tokens": length, "completion_tokens": len(output)}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}

    @app.post("/v1/chat/completions")
    async def create_chat_completion(request: Request) -> JSONResponse:
        """Answer a chat completion request."""
        body = await request.json()
        if "response_format" in body:
            return JSONResponse({"error": {"message": "response_format is not supported"}}, 400)
        return JSONResponse(await run_in_threadpool(answer, body))

    return app


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A chat endpoint around an LLM of transformers.")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8010)
    options = parser.parse_args()
    uvicorn.run(create_app(options.folder), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
