"""llm, the command line tool, with a model from its configuration file and attachments."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import AUDIO, BASE_URL, DRAW, IMAGE, KEY, LISTEN, LOOK, MODEL, TALK, run, says

folder = Path(tempfile.mkdtemp())
CONFIG = """
- model_id: ours
  model_name: {model}
  api_base: {url}
  vision: true
  audio: true
- model_id: unknown
  model_name: no-such-model
  api_base: {url}
"""
(folder / "extra-openai-models.yaml").write_text(CONFIG.format(model=MODEL, url=BASE_URL))


def llm(*arguments, model="ours"):
    return subprocess.run(
        [Path(sys.executable).with_name("llm"), "-m", model, "--key", KEY, *arguments],
        env=os.environ | {"LLM_USER_PATH": str(folder)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def errors():
    result = llm("--no-stream", TALK, model="unknown")
    assert result.returncode and "no-such-model" in result.stderr, result


run(
    chat=lambda: says(llm("--no-stream", TALK).stdout),
    stream=lambda: says(llm(DRAW).stdout),
    image_in=lambda: says(llm(LOOK, "-a", str(IMAGE)).stdout, "apple"),
    audio_in=lambda: says(llm(LISTEN, "-a", str(AUDIO)).stdout, "piano"),
    errors=errors,
)
