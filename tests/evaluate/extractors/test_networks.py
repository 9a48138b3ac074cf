"""Networks of published extractors against a second, plain implementation of their published lists of layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.evaluate.extractors.audio_extractors import aisfx_log_mel, vggish_log_mel
from nextgpt.evaluate.extractors.audio_networks import Aisfx, Cnn14, VGGish
from nextgpt.evaluate.extractors.inception_network import Inception2015

State = dict[str, Tensor]


def randomized(network: nn.Module) -> nn.Module:
    """Fill a network with random weights, including the statistics of its batch norms."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            fan_in = value[0].numel() if value.ndim > 1 else 1
            positive = name.endswith(("running_var", "bn.weight", "melW")) or (
                ".bn" in name and name.endswith("weight")
            )
            value.copy_(
                noise.abs() + 0.5 if positive else noise * (2 / fan_in) ** 0.5 if value.ndim > 1 else noise / 10
            )
    return network.eval()


def batch_norm(x: Tensor, state: State, name: str, eps: float = 1e-5) -> Tensor:
    shape = (1, -1, *(1,) * (x.ndim - 2))
    mean, var, weight, bias = (
        state[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


def panns_block(x: Tensor, state: State, name: str) -> Tensor:
    for index in (1, 2):
        x = functional.conv2d(x, state[f"{name}.conv{index}.weight"], padding=1)
        x = batch_norm(x, state, f"{name}.bn{index}").clamp(min=0)
    return x


def outputs_of(network: nn.Module, names: list[str], *inputs: Tensor) -> dict[str, Tensor]:
    """Run a network; return the outputs of the named layers."""
    outputs: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
        for name in names
    ]
    with torch.inference_mode():
        outputs["result"] = network(*inputs)
    for hook in hooks:
        hook.remove()
    return outputs


@torch.inference_mode()
def test_cnn14_has_the_published_layers():
    network = randomized(Cnn14())
    samples = 0.1 * torch.randn(1, Cnn14.MIN_SAMPLES, generator=torch.Generator().manual_seed(1))
    names = ["logmel_extractor", *(f"conv_block{index}" for index in range(1, 7))]
    ours = outputs_of(network, names, samples)
    state = network.state_dict()

    # torchlibrosa: frames are centred with reflection, windows are periodic Hann, power, then 10 log10 of mel bands.
    padded = np.pad(samples[0].numpy(), 256, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.stack([padded[i : i + 512] * window for i in range(0, len(padded) - 511, 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    x = 10 * torch.log10(torch.from_numpy(power).float() @ state["logmel_extractor.melW"]).clamp(min=-100)
    assert torch.allclose(ours["logmel_extractor"][0], x, atol=1e-3)

    x = batch_norm(x.T[None], state, "bn0").transpose(1, 2)[:, None]  # mel bands are the channels of bn0
    for index in range(1, 7):
        x = panns_block(x, state, f"conv_block{index}")
        if index < 6:
            x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
            x = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
        assert x.shape[1] == 32 * 2**index
        assert torch.allclose(ours[f"conv_block{index}"], x, rtol=1e-3, atol=1e-3), f"conv_block{index}"
    x = x.mean(3)
    embedding = ((x.max(2).values + x.mean(2)) @ state["fc1.weight"].T + state["fc1.bias"]).clamp(min=0)
    assert torch.allclose(ours["result"][0], embedding, rtol=1e-3, atol=1e-3)
    logits = embedding @ state["fc_audioset.weight"].T + state["fc_audioset.bias"]
    assert torch.allclose(ours["result"][1], logits, rtol=1e-3, atol=1e-2)
    assert logits.shape == (1, 527)


@torch.inference_mode()
def test_vggish_has_the_published_layers():
    network = randomized(VGGish())
    patches = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(1))
    state = network.state_dict()
    # The published model is of TensorFlow: channels come last, and its feature maps are flattened in that order.
    x = patches
    for index, pools in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
        x = functional.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1).clamp(
            min=0
        )
        if pools:
            x = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)
    assert x.shape == (2, 512, 6, 4)
    x = torch.stack([x[:, :, i, j] for i in range(6) for j in range(4)], 1).reshape(2, -1)
    for index in (0, 2, 4):
        x = x @ state[f"embeddings.{index}.weight"].T + state[f"embeddings.{index}.bias"]
        x = x.clamp(min=0) if index < 4 else x
    assert torch.allclose(network(patches), x, rtol=1e-3, atol=1e-3)
    assert sum(value.numel() for value in state.values()) == 72_141_184  # the published parameter count


@torch.inference_mode()
def test_aisfx_has_the_layers_of_its_package():
    network = randomized(Aisfx())
    patches = torch.rand(2, 100, 96, generator=torch.Generator().manual_seed(1))
    state = network.state_dict()
    x = patches[:, None]
    for index in range(1, 5):
        x = panns_block(x, state, f"embedding_net.conv_block{index}")
        x = functional.max_pool2d(x, 2) if index < 4 else x
    embedding = x.mean(3).max(2).values
    ours, logits = network(patches)
    assert torch.allclose(ours, embedding, rtol=1e-4, atol=1e-4)
    assert logits.shape == (2, 69)


def conv_norm(x: Tensor, state: State, name: str, stride: int = 1, padding: tuple[int, int] | int = 0) -> Tensor:
    x = functional.conv2d(x, state[f"{name}.conv.weight"], None, stride, padding)
    return batch_norm(x, state, f"{name}.bn", 0.001).clamp(min=0)


def inception_average(x: Tensor) -> Tensor:
    """Average 3 x 3 neighbours that exist."""
    ones = functional.conv2d(torch.ones_like(x[:1, :1]), torch.ones(1, 1, 3, 3), padding=1)
    channels = x.shape[1]
    return functional.conv2d(x, torch.ones(channels, 1, 3, 3), padding=1, groups=channels) / ones


@torch.inference_mode()
def test_inception_has_the_published_layers():
    network = randomized(Inception2015())
    pixels = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(1)) * 2 - 1
    names = [f"Mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")]
    ours = outputs_of(network, names, pixels)
    s = network.state_dict()
    assert (
        sum(p.numel() for p in network.parameters()) == 23_834_568 + 8 * 2049
    )  # torchvision's without aux, 1,008 classes

    x = conv_norm(pixels, s, "Conv2d_1a_3x3", 2)
    x = conv_norm(conv_norm(x, s, "Conv2d_2a_3x3"), s, "Conv2d_2b_3x3", 1, 1)
    x = conv_norm(conv_norm(functional.max_pool2d(x, 3, 2), s, "Conv2d_3b_1x1"), s, "Conv2d_4a_3x3")
    x = functional.max_pool2d(x, 3, 2)
    assert x.shape == (1, 192, 35, 35)

    def chain(x: Tensor, prefix: str, *steps: tuple[str, int, tuple[int, int] | int]) -> Tensor:
        for name, stride, padding in steps:
            x = conv_norm(x, s, f"{prefix}.{name}", stride, padding)
        return x

    row, column = (0, 3), (3, 0)
    for name in names:
        c = lambda x, *steps, name=name: chain(x, name, *steps)  # noqa: E731
        if name.startswith("Mixed_5"):
            x = torch.cat([
                c(x, ("branch1x1", 1, 0)),
                c(x, ("branch5x5_1", 1, 0), ("branch5x5_2", 1, 2)),
                c(x, ("branch3x3dbl_1", 1, 0), ("branch3x3dbl_2", 1, 1), ("branch3x3dbl_3", 1, 1)),
                c(inception_average(x), ("branch_pool", 1, 0)),
            ], 1)  # fmt: skip
        elif name == "Mixed_6a":
            x = torch.cat([
                c(x, ("branch3x3", 2, 0)),
                c(x, ("branch3x3dbl_1", 1, 0), ("branch3x3dbl_2", 1, 1), ("branch3x3dbl_3", 2, 0)),
                functional.max_pool2d(x, 3, 2),
            ], 1)  # fmt: skip
        elif name.startswith("Mixed_6"):
            x = torch.cat([
                c(x, ("branch1x1", 1, 0)),
                c(x, ("branch7x7_1", 1, 0), ("branch7x7_2", 1, row), ("branch7x7_3", 1, column)),
                c(x, ("branch7x7dbl_1", 1, 0), ("branch7x7dbl_2", 1, column), ("branch7x7dbl_3", 1, row),
                  ("branch7x7dbl_4", 1, column), ("branch7x7dbl_5", 1, row)),
                c(inception_average(x), ("branch_pool", 1, 0)),
            ], 1)  # fmt: skip
        elif name == "Mixed_7a":
            x = torch.cat([
                c(x, ("branch3x3_1", 1, 0), ("branch3x3_2", 2, 0)),
                c(x, ("branch7x7x3_1", 1, 0), ("branch7x7x3_2", 1, row), ("branch7x7x3_3", 1, column),
                  ("branch7x7x3_4", 2, 0)),
                functional.max_pool2d(x, 3, 2),
            ], 1)  # fmt: skip
        else:
            single = c(x, ("branch3x3_1", 1, 0))
            double = c(x, ("branch3x3dbl_1", 1, 0), ("branch3x3dbl_2", 1, 1))
            pooled = functional.max_pool2d(x, 3, 1, 1) if name == "Mixed_7c" else inception_average(x)
            x = torch.cat([
                c(x, ("branch1x1", 1, 0)),
                c(single, ("branch3x3_2a", 1, (0, 1))), c(single, ("branch3x3_2b", 1, (1, 0))),
                c(double, ("branch3x3dbl_3a", 1, (0, 1))), c(double, ("branch3x3dbl_3b", 1, (1, 0))),
                c(pooled, ("branch_pool", 1, 0)),
            ], 1)  # fmt: skip
        scale = x.abs().max()
        assert (ours[name] - x).abs().max() < 1e-3 * scale, name
    features, logits = ours["result"]
    assert x.shape == (1, 2048, 8, 8)
    assert torch.allclose(features, x.mean((2, 3)), rtol=1e-3, atol=1e-3 * float(x.abs().max()))
    assert logits.shape == (1, 1008)


def test_mel_frames_of_vggish_follow_its_published_formula():
    samples = np.random.default_rng(0).normal(size=16_000).astype(np.float32) / 10
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([samples[i : i + 400] * hann for i in range(0, 16_000 - 399, 160)])
    spectrum = np.abs(np.fft.rfft(frames, 512))
    mel = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    edges = np.linspace(*(1127 * np.log(1 + hz / 700) for hz in (125, 7500)), 66)
    filters = np.zeros((257, 64))
    for band in range(64):
        low, center, high = edges[band : band + 3]
        filters[:, band] = np.maximum(0, np.minimum((mel - low) / (center - low), (high - mel) / (high - center)))
    filters[0] = 0
    expected = np.log(spectrum @ filters + 0.01)
    assert vggish_log_mel(torch.from_numpy(samples)).shape == (98, 64)
    assert np.allclose(vggish_log_mel(torch.from_numpy(samples)).numpy(), expected, atol=1e-4)


def test_mel_filters_of_aisfx_are_those_of_transformers():
    from transformers.audio_utils import mel_filter_bank

    from nextgpt.evaluate.extractors.audio_extractors import _aisfx_mel_filters

    expected = mel_filter_bank(1025, 96, 0, 22_050, 44_100, norm=None, mel_scale="htk")
    expected = expected / np.maximum(expected.sum(0), 1e-12)
    assert np.allclose(_aisfx_mel_filters().numpy(), expected, atol=1e-5)
    silence = aisfx_log_mel(torch.zeros(44_100))
    assert silence.shape == (44, 96)
    assert float(silence.abs().max()) == pytest.approx(0)
