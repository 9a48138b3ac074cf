"""Published NExT-GPT checkpoints under their own key names become models that answer with every modality."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.model.synthesis.families import write_tiny_audioldm, write_tiny_stable_diffusion, write_tiny_zeroscope
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from nextgpt import Audio, Conversation, Depth, Image, Imu, NextGPT, Sampling, Thermal, Video
from nextgpt.cli.app import main
from nextgpt.config import read_config
from nextgpt.convert import convert_imagebind, convert_nextgpt
from nextgpt.errors import ConfigError, ModelError, WeightsError
from nextgpt.message import Part
from nextgpt.model.llm.generation import generate
from nextgpt.model.trained_weights import trained_state_dict
from nextgpt.testing.tokenizer import tiny_tokenizer

WIDTH, LAYERS, RANK = 16, 2, 4
HUMAN = "llama_model.base_model.model."
TOWER_2024 = "model.multimodal_tower.multimodal_tower"
"""Prefix of the frozen ImageBind's state dict in a merged folder of 2024."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The frozen parts, tiny, in their real formats: an LLM and three synthesizers."""
    home = tmp_path_factory.mktemp("parts")
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=LAYERS,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(home / "llm")
    tokenizer.save_pretrained(home / "llm")
    write_tiny_stable_diffusion(home / "image")
    write_tiny_audioldm(home / "audio")
    write_tiny_zeroscope(home / "video")
    return home


@pytest.fixture
def vocabulary(parts):
    return json.loads((parts / "llm" / "config.json").read_text())["vocab_size"]


@pytest.fixture
def imagebind(imagebind_tensors, tiny_imagebind, tmp_path):
    torch.save(imagebind_tensors, tmp_path / "imagebind_huge.pth")
    convert_imagebind(tmp_path / "imagebind_huge.pth", tmp_path / "imagebind", config=tiny_imagebind)
    return tmp_path / "imagebind"


def mapper_tensors(prefix: str, *, llm_width: int, queries: int, condition_width: int) -> dict[str, Tensor]:
    """An output projection under the published names of its parts, tiny: one layer, width 8."""
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}.query_embs": (1, queries, 8)}
    attention = {
        "in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,),
    }  # fmt: skip
    for side, attentions, norms in (("encoder", ("self_attn",), 2), ("decoder", ("self_attn", "multihead_attn"), 3)):
        layer = f"{prefix}.tfm.{side}.layers.0"
        shapes |= {f"{layer}.{kind}.{name}": shape for kind in attentions for name, shape in attention.items()}
        shapes |= {f"{layer}.linear1.weight": (12, 8), f"{layer}.linear1.bias": (12,)}
        shapes |= {f"{layer}.linear2.weight": (8, 12), f"{layer}.linear2.bias": (8,)}
        shapes |= {f"{layer}.norm{i + 1}.{name}": (8,) for i in range(norms) for name in ("weight", "bias")}
        shapes |= {f"{prefix}.tfm.{side}.norm.{name}": (8,) for name in ("weight", "bias")}
    shapes |= {f"{prefix}.fc.weight": (8, llm_width), f"{prefix}.fc.bias": (8,)}
    shapes |= {f"{prefix}.model.weight": (condition_width, 8), f"{prefix}.model.bias": (condition_width,)}
    return {name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}


def files_under(folder: Path) -> list[Path]:
    """Everything in a folder, hidden or not."""
    return sorted(folder.rglob("*"))


def lora(prefix: str, ending: str) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}layers.{layer}.self_attn.{name}_proj.lora_{matrix}{ending}": torch.randn(shape) * 0.1
        for layer in range(LAYERS)
        for name in "qkvo"
        for matrix, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK)))
    }


def mappers(names: dict[str, str]) -> dict[str, torch.Tensor]:
    sizes = {"image": (77, 16), "audio": (1, 16), "video": (77, 16)}
    return {
        key: tensor
        for modality, prefix in names.items()
        for key, tensor in mapper_tensors(
            prefix, llm_width=WIDTH, queries=sizes[modality][0], condition_width=sizes[modality][1]
        ).items()
    }


@pytest.fixture
def delta(vocabulary):
    """What the file of 2023 holds after its third stage, in half precision as published."""
    torch.manual_seed(1)
    tensors = {
        "llama_proj.weight": torch.randn(WIDTH, 8),
        "llama_proj.bias": torch.randn(WIDTH),
        **mappers({
            "image": "gen_text_hidden_fcs.0",
            "video": "gen_text_hidden_fcs_video.0",
            "audio": "gen_text_hidden_fcs_audio.0",
        }),
        **lora(f"{HUMAN}model.", ".default.weight"),
        f"{HUMAN}model.embed_tokens.weight": torch.randn(vocabulary + 38, WIDTH),
        f"{HUMAN}lm_head.weight": torch.randn(vocabulary + 38, WIDTH),
    }  # fmt: skip
    return {name: tensor.half() for name, tensor in tensors.items()}


def convert(source: Path, parts: Path, imagebind: Path, out: Path):
    named = {name: parts / name for name in ("image", "audio", "video")}
    return convert_nextgpt(source, llm=parts / "llm", imagebind=imagebind, out=out, synthesizers=named)


@pytest.fixture
def written(delta, tmp_path):
    torch.save(delta, tmp_path / "pytorch_model.pt")
    return tmp_path / "pytorch_model.pt"


def test_every_tensor_of_2023_is_placed(written, delta, parts, imagebind, vocabulary, tmp_path):
    done = convert(written, parts, imagebind, tmp_path / "model")
    assert (done.placed, done.layout, done.missing_parts) == (len(delta), "2023", ())
    ours = load_file(tmp_path / "model" / "nextgpt.safetensors")
    rows = delta[f"{HUMAN}model.embed_tokens.weight"]
    # <Img>, </Img>, then 4 of images, 24 of films, 8 of sounds; ours are images, sounds, films, [EDIT].
    assert torch.equal(ours["signals.input"][:4], rows[vocabulary + 2 : vocabulary + 6])
    assert torch.equal(ours["signals.input"][4:12], rows[vocabulary + 30 : vocabulary + 38])
    assert torch.equal(ours["signals.input"][12:36], rows[vocabulary + 6 : vocabulary + 30])
    assert torch.equal(ours["input_projection.layers.shared.weight"], delta["llama_proj.weight"])
    name = "tfm.decoder.layers.0.multihead_attn.in_proj_weight"
    assert torch.equal(ours[f"output_projections.video.{name}"], delta[f"gen_text_hidden_fcs_video.0.{name}"])
    theirs = f"{HUMAN}model.layers.1.self_attn.o_proj.lora_B.default.weight"
    assert torch.equal(ours["lora.model.layers.1.self_attn.o_proj.B"], delta[theirs])
    llm = load_file(tmp_path / "model" / "llm" / "model.safetensors")
    assert torch.equal(llm["model.embed_tokens.weight"], rows[: vocabulary + 2].float())
    assert torch.equal(llm["lm_head.weight"], delta[f"{HUMAN}lm_head.weight"][: vocabulary + 2].float())


def test_the_config_turns_the_quirks_on_and_names_lora(written, parts, imagebind, tmp_path):
    convert(written, parts, imagebind, tmp_path / "model")
    config = read_config(tmp_path / "model")
    assert config.quirks == "nextgpt_2023" and config.llm.template == "nextgpt_7b_tiva_v0"
    assert config.llm.lora is not None and (config.llm.lora.rank, config.llm.lora.alpha) == (RANK, RANK)
    assert config.synthesizers["audio"].output_projection.queries == 1


SAID = {
    "image": Image(PIL.Image.new("RGB", (40, 30))),
    "audio": Audio(np.zeros((1, 8000), np.float32), 16000),
    "video": Video(np.zeros((4, 32, 32, 3), np.uint8), 2.0),
    "depth": Depth(np.ones((40, 30), np.float32)),
    "thermal": Thermal(np.ones((40, 30), np.float32)),
    "imu": Imu(np.ones((6, 100), np.float32), 100.0),
}


def hears_and_answers_and_comes_back(folder: Path, again: Path, heard: Collection[str]) -> None:
    """A turn with media of each kind, an answer of each kind, and the same once more after saving and loading."""
    model = NextGPT.from_pretrained(folder)

    def answers(model: NextGPT) -> list[list[Part]]:
        said = [*(SAID[name] for name in heard), "What is it?"]
        samplings = [Sampling(max_tokens=30, modalities=("text",))]
        made = ("image", "audio", "video")
        samplings += [Sampling(max_tokens=60, modalities=(name,), num_inference_steps={name: 1}) for name in made]
        return [list(model.chat(said, sampling).parts) for sampling in samplings]

    given = answers(model)
    assert [{part.modality for part in parts} for parts in given[1:]] == [{"image"}, {"audio"}, {"video"}]
    model.save_pretrained(again)
    loaded = NextGPT.from_pretrained(again)
    ours, theirs = trained_state_dict(model), trained_state_dict(loaded)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    digests = [[part.text if part.modality == "text" else part.digest for part in parts] for parts in given]
    told = answers(loaded)
    assert digests == [[part.text if part.modality == "text" else part.digest for part in parts] for parts in told]


def test_the_model_hears_and_answers_every_modality_and_comes_back_bit_by_bit(written, parts, imagebind, tmp_path):
    convert(written, parts, imagebind, tmp_path / "model")
    encoder = NextGPT.from_pretrained(tmp_path / "model").encoder
    norms = [item.vectors.norm().item() for item in encoder.encode([SAID["image"], SAID["audio"]])]
    assert norms == pytest.approx([1, 1], rel=1e-5)
    assert encoder.config.audio.last_clip == encoder.config.vision.last_clip == "before_end"
    hears_and_answers_and_comes_back(tmp_path / "model", tmp_path / "again", SAID)


def test_one_pair_of_tags_and_a_start_token_stand_around_every_medium(written, parts, imagebind, tmp_path):
    convert(written, parts, imagebind, tmp_path / "model")
    llm = NextGPT.from_pretrained(tmp_path / "model").llm
    sound = Audio(np.zeros((1, 8000), np.float32), 16000)
    before, after = llm.build_prompt(Conversation().with_message([sound, "hm"])).token_spans
    tag, closing = llm.vocabulary_size - 2, llm.vocabulary_size - 1
    assert before.ids[-1] == tag and after.ids[0] == closing
    assert tag not in llm.build_prompt(Conversation().with_message("<Img>")).token_ids


def test_prompts_of_2023_have_no_blank_before_media_and_a_bare_end_of_turn_after_them(
    written, parts, imagebind, tmp_path
):
    """As published: the tokenizer of transformers 4.29 strips text beside added tokens. In LLaMA's ids there is no
    29871 before <Img>, and 835, which is encode("###"), after a generated medium."""
    convert(written, parts, imagebind, tmp_path / "model")
    llm = NextGPT.from_pretrained(tmp_path / "model").llm
    conversation = Conversation().with_message([SAID["image"], " What is it?"])
    conversation = conversation.with_message(["A dog: ", SAID["image"]], role="assistant")
    prompt = llm.build_prompt(conversation.with_message("Thanks"))
    opening, closing = llm.vocabulary_size - 2, llm.vocabulary_size - 1
    encode = llm.tokenizer.encode
    first, second = prompt.token_spans[0].ids, prompt.token_ids[len(prompt.token_spans[0].ids) :]
    assert first[-1] == opening
    assert list(first[-1 - len(encode("### Human:")) : -1]) == encode("### Human:")
    assert second[0] == closing
    signals = list(llm.signals.vocabulary.span_ids("image"))
    place = second.index(signals[0])
    assert second[place - len(encode("A dog:")) : place] == encode("A dog:")
    ended = second[place + len(signals) :]
    assert ended[: len(encode("###"))] == encode("###")


def test_a_file_of_the_first_stages_has_no_lora(delta, parts, imagebind, tmp_path):
    early = {key.replace("base_model.model.", ""): tensor for key, tensor in delta.items() if "lora" not in key}
    torch.save(early, tmp_path / "pytorch_model.pt")
    convert(tmp_path / "pytorch_model.pt", parts, imagebind, tmp_path / "model")
    assert read_config(tmp_path / "model").llm.lora is None


def _unknown(tensors):
    tensors["module.llama_proj.weight"] = tensors.pop("llama_proj.weight")


def _no_adapter(tensors):
    del tensors[f"{HUMAN}model.layers.0.self_attn.k_proj.lora_B.default.weight"]


def _no_norm(tensors):
    del tensors["gen_text_hidden_fcs_audio.0.tfm.encoder.norm.weight"]


def _no_head(tensors):
    del tensors[f"{HUMAN}lm_head.weight"]


def _other_width(tensors):
    tensors["llama_proj.weight"] = torch.zeros(WIDTH, 9)


def _other_vocabulary(tensors):
    key = f"{HUMAN}model.embed_tokens.weight"
    tensors[key] = tensors[key][1:]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_unknown, "1 unexpected: module.llama_proj.weight"),
        (_no_adapter, r"1 missing: lora.model.layers.0.self_attn.k_proj.B"),
        (_no_norm, "1 missing: output_projections.audio.tfm.encoder.norm.weight"),
        (_no_head, "rows.output is missing"),
        (_other_width, r"shared.weight \(16, 9\) instead of \(16, 8\)"),
        (_other_vocabulary, r"expected \(\d+, 16\), that is the vocabulary of the LLM with 38 new tokens"),
    ],
)
def test_what_has_no_place_stops_it_and_nothing_is_written(harm, told, delta, parts, imagebind, tmp_path):
    harm(delta)
    torch.save(delta, tmp_path / "pytorch_model.pt")
    before = files_under(tmp_path)
    with pytest.raises(WeightsError, match=told):
        convert(tmp_path / "pytorch_model.pt", parts, imagebind, tmp_path / "model")
    assert files_under(tmp_path) == before


class _Code:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def _renamed(path: Path) -> None:
    torch.save({"llama_projection.weight": torch.zeros(WIDTH, 8)}, path)


def _cut_off(path: Path) -> None:
    torch.save({"llama_proj.weight": torch.zeros(WIDTH, 800)}, path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: None, "is missing"),
        (_cut_off, "is damaged"),
        (_renamed, "1 unexpected: llama_projection.weight"),
        (lambda path: torch.save({"llama_proj.weight": _Code()}, path), "contains code"),
    ],
    ids=["missing", "cut off", "renamed", "code"],
)
def test_a_bad_checkpoint_is_one_line_and_status_2_and_nothing_is_written(write, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pytorch_model.pt"
    write(path)
    before = files_under(tmp_path)
    command = ["convert", "nextgpt", str(path), "--llm", "llm", "--imagebind", "imagebind", "--out", "model"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and told in said
    assert files_under(tmp_path) == before


def test_an_llm_of_another_width_stops_it_and_nothing_is_written(written, parts, imagebind, tmp_path):
    shutil.copytree(parts / "llm", tmp_path / "llm")
    said = json.loads((tmp_path / "llm" / "config.json").read_text())
    (tmp_path / "llm" / "config.json").write_text(json.dumps(said | {"hidden_size": 24}))
    before = files_under(tmp_path)
    with pytest.raises(WeightsError, match=r"expected \(\d+, 24\), that is .* and its width. Name the LLM"):
        convert_nextgpt(written, llm=tmp_path / "llm", imagebind=imagebind, out=tmp_path / "model", synthesizers={})
    assert files_under(tmp_path) == before


def test_a_tokenizer_with_other_ids_stops_it_and_nothing_is_written(written, parts, imagebind, tmp_path):
    shutil.copytree(parts / "llm", tmp_path / "llm")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(tmp_path / "llm")
    before = files_under(tmp_path)
    named = {name: parts / name for name in ("image", "audio", "video")}
    with pytest.raises(ModelError, match="The tokenizer gives <Img>"):
        convert_nextgpt(written, llm=tmp_path / "llm", imagebind=imagebind, out=tmp_path / "model", synthesizers=named)
    assert files_under(tmp_path) == before


def linear_2024(prefix: str = "model.mm_input_projector") -> dict[str, torch.Tensor]:
    return {f"{prefix}.weight": torch.randn(WIDTH, 8), f"{prefix}.bias": torch.randn(WIDTH)}


def mlp_2024(prefix: str = "model.mm_input_projector") -> dict[str, torch.Tensor]:
    shapes = {"0.weight": (WIDTH, 8), "0.bias": (WIDTH,), "2.weight": (WIDTH, WIDTH), "2.bias": (WIDTH,)}
    return {f"{prefix}.layer.{name}": torch.randn(shape) for name, shape in shapes.items()}


def group_2024(prefix: str = "model.mm_input_projector") -> dict[str, torch.Tensor]:
    """A grouping projector 16 wide of 2, 1 and 1 blocks, 6 and 3 groups."""

    def linear(name: str, out: int, given: int, *, has_bias: bool = True) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (out, given)} | ({f"{name}.bias": (out,)} if has_bias else {})

    def norms(*names: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.{kind}": (16,) for name in names for kind in ("weight", "bias")}

    def mlp(name: str, given: int = 16, between: int = 64, made: int = 16) -> dict[str, tuple[int, ...]]:
        return linear(f"{name}.fc1", between, given) | linear(f"{name}.fc2", made, between)

    shapes = linear("in_fc", 16, 8) | linear("out_fc", WIDTH, 16) | norms("norm")
    for stage, depth in enumerate((2, 1, 1)):
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}"
            shapes |= norms(f"{name}.norm1", f"{name}.norm2") | mlp(f"{name}.mlp")
            shapes |= linear(f"{name}.attn.qkv", 48, 16, has_bias=False) | linear(f"{name}.attn.proj", 16, 16)
    for stage, groups in enumerate((6, 3)):
        name = f"layers.{stage}.downsample"
        shapes[f"layers.{stage}.group_token"] = (1, groups, 16)
        shapes |= norms(*(f"{name}.norm_{kind}" for kind in ("tokens", "x", "post_tokens", "new_x")))
        shapes |= mlp(f"{name}.mlp_inter", groups, 8, groups) | mlp(f"{name}.mlp_channels")
        shapes |= mlp(f"{name}.pre_assign_attn.mlp") | linear(f"{name}.pre_assign_attn.attn.proj", 16, 16)
        shapes |= norms(f"{name}.pre_assign_attn.norm2", f"{name}.pre_assign_attn.norm_post")
        for kind in "qkv":
            shapes |= linear(f"{name}.pre_assign_attn.attn.{kind}_proj", 16, 16)
            shapes |= linear(f"{name}.assign.{kind}_proj", 16, 16)
        shapes |= linear(f"{name}.assign.proj", 16, 16)
    shapes |= norms("layers.1.group_projector.0") | mlp("layers.1.group_projector.1", 6, 8, 3)
    return {f"{prefix}.{name}": torch.randn(shape) * 0.3 for name, shape in shapes.items()}


def outputs_2024() -> dict[str, torch.Tensor]:
    old = mappers({
        "image": "model.mm_output_img_projector",
        "video": "model.mm_output_vid_projector",
        "audio": "model.mm_output_aud_projector",
    })  # fmt: skip
    return {
        key.replace("projector.fc.", "projector.in_fc.").replace("projector.model.", "projector.out_fc."): tensor
        for key, tensor in old.items()
    }


@pytest.fixture
def rows_2024(vocabulary):
    return {
        "model.embed_tokens.weight": torch.randn(vocabulary + 36, WIDTH),
        "lm_head.weight": torch.randn(vocabulary + 36, WIDTH),
    }


@pytest.fixture
def run_2024(rows_2024, tmp_path):
    """The output of all stages of the official code of 2024."""
    torch.manual_seed(2)
    run = tmp_path / "run"
    run.mkdir()
    torch.save(linear_2024() | rows_2024, run / "mm_input_projector.bin")
    torch.save(outputs_2024() | rows_2024, run / "mm_output_projector.bin")
    later = {"base_model.model.model.mm_input_projector.bias": torch.ones(WIDTH)}
    torch.save(later, run / "non_lora_trainables.bin")
    save_file(lora("base_model.model.model.", ".weight"), run / "adapter_model.safetensors")
    said = {"r": RANK, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"], "bias": "none"}
    (run / "adapter_config.json").write_text(json.dumps(said))
    # The official code writes this file into every output folder, merged or not.
    config = {"model_type": "nextgpt_llama", "mm_input_projector_type": "linear", "hidden_size": WIDTH}
    (run / "config.json").write_text(json.dumps(config))
    return run


@pytest.fixture
def imagebind_of_patches(imagebind, tiny_imagebind, tmp_path):
    convert_imagebind(tmp_path / "imagebind_huge.pth", tmp_path / "patches", has_patches=True, config=tiny_imagebind)
    return tmp_path / "patches"


def test_an_encoder_of_the_other_version_stops_it(run_2024, parts, imagebind, tmp_path):
    with pytest.raises(ModelError, match="gives pooled; a checkpoint of 2024 was trained on patches.*with --patches"):
        convert(run_2024, parts, imagebind, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_files_of_2024_are_placed_and_later_stages_win(run_2024, parts, imagebind_of_patches, vocabulary, tmp_path):
    done = convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert done.layout == "2024"
    ours = load_file(tmp_path / "model" / "nextgpt.safetensors")
    assert torch.equal(ours["input_projection.layers.shared.bias"], torch.ones(WIDTH))
    rows = torch.load(run_2024 / "mm_output_projector.bin", weights_only=True)["model.embed_tokens.weight"]
    assert torch.equal(ours["signals.input"][:4], rows[vocabulary : vocabulary + 4])
    assert torch.equal(ours["signals.input"][4:12], rows[vocabulary + 28 :])
    config = read_config(tmp_path / "model")
    assert config.quirks == "nextgpt_2024" and config.llm.template.user_prefix == "USER: "
    assert not config.llm.template.media_prefix  # media stand among the words without tags
    assert config.llm.lora is not None and (config.llm.lora.rank, config.llm.lora.alpha) == (RANK, 8)
    model = NextGPT.from_pretrained(tmp_path / "model")
    assert model.chat("Hello", Sampling(max_tokens=2)).parts is not None


def test_signal_tokens_of_2024_are_joined_by_blanks_and_all_positions_are_projected(
    run_2024, parts, imagebind_of_patches, tmp_path
):
    """As published: N tokens joined by the blank (29871 in LLaMA) are 2 N - 1 ids, and as many hidden states."""
    convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    model = NextGPT.from_pretrained(tmp_path / "model")
    blank = model.llm.tokenizer.hf_tokenizer.convert_tokens_to_ids("\u0120")  # of the byte-level test tokenizer
    for modality, count in (("image", 7), ("audio", 15), ("video", 47)):
        sampling = Sampling(max_tokens=60, modalities=(modality,), num_inference_steps={modality: 1})
        conversation = Conversation().with_message("Show me.")
        request = model.make_request(conversation, sampling)
        *_, (_, output) = generate(model.llm, [request], torch.zeros(0, 1, WIDTH))
        ids = model.llm.signals.vocabulary.span_ids(modality)
        assert output.token_ids[:count:2] == ids and set(output.token_ids[1:count:2]) == {blank}
        hidden = output.segments[0].hidden_states
        assert hidden.shape == (count, WIDTH)
        inputs = model.llm.span_embeddings(modality)
        torch.testing.assert_close(inputs, model.llm.embed_ids(output.token_ids[:count]))
        condition = model.project_conditions(modality, hidden[None])
        changed = hidden.clone()
        changed[1] += 1  # a state at a blank
        assert not torch.allclose(model.project_conditions(modality, changed[None]), condition)
        history = Conversation().with_message([SAID[modality]], role="assistant")
        prompt = model.llm.prompt_builder.build(history, add_generation_prompt=False).token_ids
        first = prompt.index(ids[0])
        assert tuple(prompt[first : first + count]) == output.token_ids[:count]


def test_a_projector_of_2024_that_has_no_place_stops_it(run_2024, parts, imagebind, tmp_path):
    torch.save({"model.mm_input_projector.layers.3.odd.weight": torch.zeros(2)}, run_2024 / "mm_input_projector.bin")
    with pytest.raises(WeightsError, match=r"1 unexpected: model.mm_input_projector.layers.3.odd.weight"):
        convert(run_2024, parts, imagebind, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture(params=["linear", "mlp", "grouping"])
def projector(request, run_2024, rows_2024):
    """The run with an input projector of a kind: (kind, its tensors)."""
    tensors = {"linear": linear_2024, "mlp": mlp_2024, "grouping": group_2024}[request.param]()
    torch.save(tensors | rows_2024, run_2024 / "mm_input_projector.bin")
    (run_2024 / "non_lora_trainables.bin").unlink()
    return request.param, tensors


def test_every_kind_of_input_projector_is_placed_whole(projector, run_2024, parts, imagebind_of_patches, tmp_path):
    kind, tensors = projector
    convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    config = read_config(tmp_path / "model")
    assert (config.input_projection.kind, config.input_projection.soft_tokens) == (kind, 3 if kind == "grouping" else 1)
    written = load_file(tmp_path / "model" / "nextgpt.safetensors")
    placed = {name: t for name, t in written.items() if name.startswith("input_projection.")}
    assert sorted(t.sum().item() for t in placed.values()) == sorted(t.sum().item() for t in tensors.values())
    model = NextGPT.from_pretrained(tmp_path / "model")
    assert model.encode_media([Image(PIL.Image.new("RGB", (30, 30), "red"))]).isfinite().all()


def test_a_model_of_2024_hears_and_answers_every_modality_and_comes_back_bit_by_bit(
    projector, run_2024, parts, imagebind_of_patches, tmp_path
):
    convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    hears_and_answers_and_comes_back(tmp_path / "model", tmp_path / "again", ("image", "audio", "video"))


def test_a_projector_that_lacks_a_tensor_is_refused_by_name(
    projector, run_2024, rows_2024, parts, imagebind_of_patches, tmp_path
):
    kind, tensors = projector
    lost, ours = {
        "linear": ("bias", "layers.shared.bias"),
        "mlp": ("layer.2.bias", "networks.shared.2.bias"),
        "grouping": ("layers.1.downsample.assign.v_proj.bias", "networks.shared.stages.1.assignment.value.bias"),
    }[kind]
    del tensors[f"model.mm_input_projector.{lost}"]
    torch.save(tensors | rows_2024, run_2024 / "mm_input_projector.bin")
    with pytest.raises(WeightsError, match=rf"1 missing: input_projection.{ours}"):
        convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_stages_of_before_may_2025_without_a_head_are_told_apart(
    run_2024, rows_2024, parts, imagebind_of_patches, tmp_path
):
    for name in ("mm_input_projector.bin", "mm_output_projector.bin"):
        tensors = torch.load(run_2024 / name, weights_only=True)
        del tensors["lm_head.weight"]
        torch.save(tensors, run_2024 / name)
    with pytest.raises(WeightsError, match=r"no lm_head.weight: before May 2025 stages 1 and 2.*did not save it"):
        convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    head = {"base_model.model.lm_head.weight": rows_2024["lm_head.weight"]}
    torch.save(head, run_2024 / "non_lora_trainables.bin")  # the third stage saves it
    convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")


def test_the_first_stage_alone_makes_a_model_that_hears_and_says_words(
    run_2024, parts, imagebind_of_patches, tmp_path, capsys
):
    for name in ("mm_output_projector.bin", "non_lora_trainables.bin", "adapter_model.safetensors"):
        (run_2024 / name).unlink()
    command = ["convert", "nextgpt", str(run_2024), "--llm", str(parts / "llm"), "--imagebind"]
    assert main([*command, str(imagebind_of_patches), "--out", str(tmp_path / "model")]) == 0
    assert "No output projection of image, audio, video" in capsys.readouterr().out
    model = NextGPT.from_pretrained(tmp_path / "model")
    assert model.modalities == ("text",)
    reply = model.chat([Image(PIL.Image.new("RGB", (30, 30))), "What is it?"], Sampling(max_tokens=3))
    assert {part.modality for part in reply.parts} <= {"text"}


@pytest.fixture
def merged_2024(rows_2024, parts, imagebind_tensors, tmp_path):
    """A merged folder: the whole LLM, changed, with projections, rows and the frozen ImageBind, in two files."""
    torch.manual_seed(3)
    folder = tmp_path / "nextgpt-v1.5-7b"
    folder.mkdir()
    own = {name: t + 1 for name, t in load_file(parts / "llm" / "model.safetensors").items() if name not in rows_2024}
    tower = {f"{TOWER_2024}.{name}": tensor for name, tensor in imagebind_tensors.items()}
    tensors = own | linear_2024() | outputs_2024() | rows_2024 | tower
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in files.items():
        save_file({name: tensors[name].contiguous() for name in held}, folder / file)
    weight_map = {name: file for file, held in files.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    said = json.loads((parts / "llm" / "config.json").read_text())
    merged = said | {"model_type": "nextgpt_llama", "vocab_size": said["vocab_size"] + 36, "mm_hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(merged))
    return folder


def test_a_merged_folder_brings_its_own_llm(merged_2024, parts, imagebind_of_patches, rows_2024, vocabulary, tmp_path):
    convert(merged_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert read_config(tmp_path / "model").llm.lora is None
    written = {}
    for file in (tmp_path / "model" / "llm").glob("*.safetensors"):
        written |= load_file(file)
    before = load_file(parts / "llm" / "model.safetensors")
    assert written.keys() == before.keys()
    assert torch.equal(written["model.norm.weight"], before["model.norm.weight"] + 1)
    assert torch.equal(written["lm_head.weight"], rows_2024["lm_head.weight"][:vocabulary])
    model = NextGPT.from_pretrained(tmp_path / "model")
    assert torch.equal(model.llm.transformer.model.norm.weight, before["model.norm.weight"] + 1)
    assert model.chat("Hello", Sampling(max_tokens=2)).parts is not None


def test_the_frozen_encoder_in_a_merged_folder_is_not_read_and_is_listed(
    merged_2024, parts, imagebind_of_patches, imagebind_tensors, tmp_path, capsys
):
    done = convert(merged_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert done.ignored == tuple(sorted(f"{TOWER_2024}.{name}" for name in imagebind_tensors))
    command = ["convert", "nextgpt", str(merged_2024), "--llm", str(parts / "llm"), "--imagebind"]
    assert main([*command, str(imagebind_of_patches), "--out", str(tmp_path / "again")]) == 0
    assert f"model.multimodal_tower.* ({len(imagebind_tensors)})" in capsys.readouterr().out


def test_a_merged_folder_with_a_key_too_many_or_too_few_is_refused(merged_2024, parts, imagebind_of_patches, tmp_path):
    path = merged_2024 / "model-00001-of-00002.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("model.layers."))
    save_file({key: t for key, t in tensors.items() if key != name}, path)
    with pytest.raises(WeightsError, match=f"1 missing: {name}"):
        convert(merged_2024, parts, imagebind_of_patches, tmp_path / "model")
    save_file(tensors | {"model.vision_tower.a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="1 unexpected: model.vision_tower.a"):
        convert(merged_2024, parts, imagebind_of_patches, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_adapters_that_are_no_plain_lora_are_refused(run_2024, parts, imagebind_of_patches, tmp_path):
    said = json.loads((run_2024 / "adapter_config.json").read_text())
    (run_2024 / "adapter_config.json").write_text(json.dumps(said | {"use_rslora": True}))
    with pytest.raises(ConfigError, match="turns use_rslora on; expected plain LoRA"):
        convert(run_2024, parts, imagebind_of_patches, tmp_path / "model")


def test_the_command_writes_the_presets_own_folder(written, parts, imagebind, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path / "home"))
    named = [word for name in ("image", "audio", "video") for word in (f"--{name}", str(parts / name))]
    command = ["convert", "nextgpt", str(written), "--llm", str(parts / "llm"), "--imagebind", str(imagebind), *named]
    assert main(command) == 0
    assert "Converted all" in capsys.readouterr().out
    assert NextGPT.from_pretrained("paper").config.quirks == "nextgpt_2023"


def test_a_folder_without_a_checkpoint_names_the_files_that_were_expected(parts, imagebind, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"none of mm_input_projector.bin.*adapter_model.safetensors"):
        convert(tmp_path / "empty", parts, imagebind, tmp_path / "model")
