"""lmms-eval: a local task of questions in words and about media, through each of its classes for OpenAI's API."""

import base64
import json
import os
import tempfile
from functools import cache
from pathlib import Path

from checks import AUDIO_B64, BASE_URL, IMAGE, KEY, LISTEN, LOOK, MODEL, TALK, run, says
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager

TASK = """
task: local_questions
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/questions.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function local_questions.doc_to_visual
doc_to_text: question
doc_to_messages: !function local_questions.doc_to_messages
doc_to_target: answer
process_results: !function local_questions.process_results
generation_kwargs: {{max_new_tokens: 64}}
metric_list: [{{metric: correct, aggregation: mean, higher_is_better: true}}]
metadata: [{{version: 0.0}}]
"""
FUNCTIONS = """
def doc_to_visual(doc):
    return [doc["url"]] if doc["url"] else []


def doc_to_messages(doc):
    media = [{"type": doc["kind"], "url": doc["url"]}] if doc["url"] else []
    return [{"role": "user", "content": [*media, {"type": "text", "text": doc["question"]}]}]


def process_results(doc, results):
    return {"correct": float(bool(results[0].strip()) and doc["answer"] in results[0].lower())}
"""
WATCH = "What moves in this video?"
AUDIO_URI = f"data:audio/wav;base64,{AUDIO_B64}"
VIDEO_URI = "data:video/mp4;base64," + base64.b64encode(Path(os.environ["VIDEO"]).read_bytes()).decode()
QUESTIONS = (
    {"kind": "text", "url": "", "question": TALK, "answer": ""},
    {"kind": "image", "url": str(IMAGE), "question": LOOK, "answer": "apple"},
    {"kind": "audio", "url": AUDIO_URI, "question": LISTEN, "answer": "piano"},
    {"kind": "video", "url": VIDEO_URI, "question": WATCH, "answer": "car"},
)


@cache
def evaluate(cls, model=MODEL, kinds=("text", "image", "audio", "video"), options=""):
    """Run the task; return the logged answer and its score, by kind of question."""
    folder = Path(tempfile.mkdtemp())
    (folder / "local_questions.yaml").write_text(TASK.format(folder=folder))
    (folder / "local_questions.py").write_text(FUNCTIONS)
    lines = [json.dumps(question) for question in QUESTIONS if question["kind"] in kinds]
    (folder / "questions.jsonl").write_text("\n".join(lines))
    results = simple_evaluate(
        model=cls,
        model_args=f"model={model},base_url={BASE_URL},api_key={KEY},max_retries=1{options}",
        tasks=["local_questions"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        batch_size=1,
    )
    rows = sorted(results["samples"]["local_questions"], key=lambda row: row["doc_id"])
    return dict(zip(kinds, rows, strict=True))


def answered(kind, cls="openai", **options):
    """Check the logged answer, and that the task's own function scored it as correct."""
    row = evaluate(cls, **options)[kind]
    says(row["filtered_resps"][0])
    assert row["correct"] == 1, row["filtered_resps"]


def errors():
    text = evaluate("openai", model="no-such-model", kinds=("text",))["text"]["filtered_resps"][0]
    assert text.startswith("[LMMS_EVAL_REQUEST_FAILED") and "no-such-model" in text, text


def async_openai():
    for kind in ("text", "image", "audio"):
        answered(kind, "async_openai", kinds=("text", "image", "audio"))


videos = {"options": ",pass_video_url=True"}
run(
    chat=lambda: answered("text", **videos),
    image_in=lambda: answered("image", **videos),
    audio_in=lambda: answered("audio", **videos),
    errors=errors,
    video_in=lambda: answered("video", **videos),
    async_openai=async_openai,
)
