"""``nextgpt chat``: chat with a model, interactively or for one turn."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from nextgpt.cli.options import Device, Dtype, MaxMemory, MediaLimit, Model, SamplingOption, placement_options
from nextgpt.cli.retrieval import IndexDir, RetrievalOptions, ViaOption
from nextgpt.errors import ConfigError
from nextgpt.model.placement import PlacementOptions

if TYPE_CHECKING:
    from nextgpt.cli.repl import ChatStart
    from nextgpt.message import Medium, Reply

TIMED_STEPS = ("encoding", "llm", "output_projection", "image", "audio", "video")
"""Keys of ``timings_s`` besides ``load`` and ``total``, in the order of the data path."""


def _file_option(noun: str) -> Any:
    return Option(metavar="FILE", help=f"Send {noun} with the first message.")


def chat(
    model: Model = "nano",
    once: Annotated[str | None, Option(metavar="TEXT", help="Send this, show the reply, and end.")] = None,
    image: Annotated[list[Path] | None, _file_option("an image")] = None,
    audio: Annotated[list[Path] | None, _file_option("an audio file")] = None,
    video: Annotated[list[Path] | None, _file_option("a video")] = None,
    depth: Annotated[list[Path] | None, _file_option("a depth map")] = None,
    thermal: Annotated[list[Path] | None, _file_option("a thermal image")] = None,
    imu: Annotated[list[Path] | None, _file_option("inertial measurements")] = None,
    history: Annotated[Path | None, Option(metavar="FILE", help="Continue from a conversation.json.")] = None,
    seed: Annotated[int, Option(min=0, max=2**63 - 1, help="The same seed gives the same reply.")] = 0,
    out: Annotated[Path | None, Option(metavar="DIR", help="Folder for media; default: a temporary one.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    sampling: SamplingOption = None,
    index: IndexDir = None,
    via: ViaOption = None,
    media_limit: MediaLimit = None,
    json: Annotated[bool, Option("--json", help="With --once: print one JSON object.")] = False,
) -> None:
    """Chat with a model: any mix of text, images, audio and video, in both directions."""
    if json and once is None:
        raise ConfigError("--json needs --once; expected one turn to print as JSON. Add --once TEXT.")
    if media_limit:
        from nextgpt.media.limits import set_default_limits

        set_default_limits(media_limit)
    files = {"image": image, "audio": audio, "video": video, "depth": depth, "thermal": thermal, "imu": imu}
    placement = placement_options(device, dtype, max_memory, sampling)
    retrieval = RetrievalOptions(index, via)
    with prepare_chat(
        model, files, history=history, seed=seed, out=out, placement=placement, retrieval=retrieval
    ) as start:
        if once is None:
            from nextgpt.cli.repl import run_repl

            run_repl(start)
        elif json:
            from nextgpt.cli.printing import print_json

            print_json(lambda: _single_turn(start, once))
        else:
            _show_single_turn(start, once)


@contextmanager
def prepare_chat(
    model: str,
    files: Mapping[str, Sequence[Path] | None],
    *,
    history: Path | None,
    seed: int,
    out: Path | None,
    placement: PlacementOptions,
    retrieval: RetrievalOptions = RetrievalOptions(),
) -> Iterator[ChatStart]:
    """Read all inputs, ``files`` by modality, before a model is loaded. Raises :class:`NextGPTError`."""
    from nextgpt.cli.repl import ChatStart
    from nextgpt.conversation_file import read_conversation
    from nextgpt.message import Conversation, Sampling

    attached = tuple(_open(modality, path) for modality, paths in files.items() for path in paths or ())
    earlier = Conversation() if history is None else read_conversation(history)
    with _media_folder(out) as folder:
        yield ChatStart(model, earlier, attached, Sampling(seed=seed), folder, placement, retrieval)


def _open(modality: str, path: Path) -> Medium:
    from nextgpt.cli.printing import damage_note
    from nextgpt.conversation_file import MEDIA_TYPES

    medium = MEDIA_TYPES[modality].open(path)
    if note := damage_note(path, medium):
        print(f"nextgpt: {note}", file=sys.stderr)
    return medium


@contextmanager
def _media_folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder of media; a temporary one is removed if it stayed empty."""
    if out is not None:
        from nextgpt.media.save_media import wrap_write_errors

        with wrap_write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    folder = Path(tempfile.mkdtemp(prefix="nextgpt-"))
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty: it holds media
            folder.rmdir()


def _show_single_turn(start: ChatStart, text: str) -> None:
    from nextgpt.cli import repl
    from nextgpt.cli.terminal_output import standard_output

    output = standard_output()
    with output.status("loading the model"):
        model = repl.load_model(start.model, start.placement, start.retrieval).model
    output.stream(model.stream(start.with_message(text), start.sampling), start.folder)


def _single_turn(start: ChatStart, text: str) -> dict[str, Any]:
    """Return the reply to one message as plain values."""
    from nextgpt.cli import repl

    loaded = repl.load_model(start.model, start.placement, start.retrieval)
    reply = loaded.model.chat(start.with_message(text), start.sampling)
    return {
        "model": start.model,
        "seed": reply.seed,
        "parts": _parts(reply, reply.save(start.folder)),
        "dropped": list(reply.dropped),
        "timings_s": _timings_s(reply, loaded.seconds),
    }


def _parts(reply: Reply, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return text and paths in output order; ``paths`` are those of the media. Retrieved media have an attribution."""
    remaining = iter(paths)
    attributions = {index: {"attribution": asdict(item)} for index, item in reply.attributions.items()}
    return [
        {"type": "text", "text": part.text}
        if part.modality == "text"
        else {"type": part.modality, "path": str(next(remaining)), **attributions.get(index, {})}
        for index, part in enumerate(reply.parts)
    ]


def _timings_s(reply: Reply, load_s: float) -> dict[str, float]:
    """Return seconds per step, 0 for steps that did not run; the total includes loading."""
    steps = {"load": load_s} | {step: reply.timings_s.get(step, 0.0) for step in TIMED_STEPS}
    steps |= {step: reply.timings_s[step] for step in ("retrieval",) if step in reply.timings_s}
    return {step: round(seconds, 4) for step, seconds in {**steps, "total": sum(steps.values())}.items()}
