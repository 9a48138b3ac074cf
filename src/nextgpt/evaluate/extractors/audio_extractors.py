"""Extractors of audio: PANNs Cnn14 (16 kHz), VGGish and aiSFX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nextgpt.evaluate.extractors.audio_networks import Aisfx, Cnn14, VGGish
from nextgpt.evaluate.extractors.base import OutputMemory, mono_samples, run_batched
from nextgpt.evaluate.extractors.published_weights import load_published
from nextgpt.media.types import Medium


class Cnn14Extractor:
    """PANNs Cnn14 of FD and of the Inception Score of audio.

    Args:
        path: ``Cnn14_16k_mAP=0.438.pth``.
    """

    name = "cnn14"
    preprocessing = "mono 16 kHz (soxr HQ), window 512, hop 160, 64 mel bands 50 to 8,000 Hz; "
    preprocessing += "2,048 features, 527 classes by softmax"
    FILE = "Cnn14_16k_mAP=0.438.pth"

    def __init__(self, path: Path) -> None:
        self._network = Cnn14()
        load_published(
            self._network,
            path,
            name=self.name,
            expected=self.FILE,
            select=lambda content: content["model"],
            ignored="spectrogram_extractor.",  # the Fourier transform as convolutions
        )
        self._outputs = OutputMemory(lambda media: _columns(map(self._run, media)))

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return embeddings (n, 2048)."""
        return self._outputs(media)[0]

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the softmax (n, 527) of the logits, as the Inception Score of audio takes it."""
        return self._outputs(media)[1]

    @torch.inference_mode()
    def _run(self, medium: Medium) -> tuple[np.ndarray, np.ndarray]:
        samples = mono_samples(medium, 16_000, min_samples=Cnn14.MIN_SAMPLES, name=self.name)
        embeddings, logits = self._network(samples[None])
        return embeddings[0].numpy(), logits[0].softmax(0).numpy()


def _columns(rows: Iterable[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    """Stack the outputs of media that were run one by one, since their lengths differ."""
    return [np.stack(column) for column in zip(*rows, strict=True)]


class VGGishExtractor:
    """VGGish of FAD. FAD takes all patches of all audio as one distribution: see :meth:`extract_windows`.

    Args:
        path: ``vggish-10086976.pth``.
    """

    name = "vggish"
    preprocessing = (
        "mono 16 kHz (soxr HQ), window 400, hop 160, 64 mel bands 125 to 7,500 Hz, log(x + 0.01), patches of 0.96 s "
        "without overlap; 128 features per patch, no last ReLU, no PCA"
    )
    FILE = "vggish-10086976.pth"
    PATCH_FRAMES = 96

    def __init__(self, path: Path) -> None:
        self._network = VGGish()
        load_published(self._network, path, name=self.name, expected=self.FILE)

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the mean embedding (n, 128) of each audio's patches."""
        return np.stack([windows.mean(0) for windows in self.extract_windows(media)])

    def extract_windows(self, media: Sequence[Medium]) -> list[np.ndarray]:
        """Return the embeddings (patches, 128) of each audio."""
        return [run_batched(self._run, list(self._patches(medium)))[0] for medium in media]

    def _run(self, batch: Tensor) -> tuple[Tensor]:
        return (self._network(batch),)

    def _patches(self, medium: Medium) -> Tensor:
        shortest = 400 + 160 * (self.PATCH_FRAMES - 1)
        log_mel = vggish_log_mel(mono_samples(medium, 16_000, min_samples=shortest, name=self.name))
        count = len(log_mel) // self.PATCH_FRAMES
        return log_mel[: count * self.PATCH_FRAMES].reshape(count, 1, self.PATCH_FRAMES, 64)


def vggish_log_mel(samples: Tensor) -> Tensor:
    """Return log-mel frames (W, 64) of samples (L,) at 16 kHz, as VGGish's authors compute them."""
    window = torch.hann_window(400)
    magnitudes = torch.fft.rfft(samples.unfold(0, 400, 160) * window, n=512).abs()
    return torch.log(magnitudes @ _vggish_mel_filters() + 0.01)


@lru_cache(maxsize=1)
def _vggish_mel_filters() -> Tensor:
    """Return the filters (257, 64), triangular in mel."""
    hz = torch.arange(257, dtype=torch.float64) * 16_000 / 512
    mel = 1127 * torch.log(1 + hz / 700)
    low, high = (1127 * torch.log(torch.tensor(1 + edge / 700, dtype=torch.float64)) for edge in (125.0, 7500.0))
    edges = torch.linspace(float(low), float(high), 66, dtype=torch.float64)
    rising = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0)
    filters[0] = 0  # the constant component
    return filters.float()


class AisfxExtractor:
    """CNN for sound effects of the package ``aisfx`` (MIT), with 69 categories of the Universal Category System.

    Args:
        path: ``checkpoint.pth`` of the package.
    """

    name = "aisfx"
    preprocessing = (
        "mono 44.1 kHz, peak 1, window 2,048, hop 1,024, 96 mel bands 0 to 22,050 Hz, patches of 100 frames with half "
        "overlap, averaged; 512 features, 69 categories"
    )
    SPECTRUM_MAX = 9.457798957824707
    """Scale of the spectrograms in the training of the network."""
    PATCH_FRAMES = 100

    def __init__(self, path: Path) -> None:
        self._network = Aisfx()
        load_published(
            self._network,
            path,
            name=self.name,
            expected="checkpoint.pth of aisfx 0.1.2",
            select=lambda content: {
                key.replace(Aisfx.HEAD, "fc."): value
                for key, value in content[0].items()
                if not key.startswith("fc.") or key.startswith(Aisfx.HEAD)
            },
        )

        self._outputs = OutputMemory(lambda media: _columns(map(self._run, media)))

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return embeddings (n, 512), averaged over patches."""
        return self._outputs(media)[0]

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return probabilities (n, 69) of the categories, averaged over patches."""
        return self._outputs(media)[1]

    @torch.inference_mode()
    def _run(self, medium: Medium) -> tuple[np.ndarray, np.ndarray]:
        frames = aisfx_log_mel(mono_samples(medium, 44_100, name=self.name)) / self.SPECTRUM_MAX
        frames = torch.nn.functional.pad(frames, (0, 0, 0, max(0, self.PATCH_FRAMES - len(frames))))
        patches = frames.unfold(0, self.PATCH_FRAMES, self.PATCH_FRAMES // 2).transpose(1, 2)
        embeddings, logits = self._network(patches)
        return embeddings.mean(0).numpy(), logits.softmax(1).mean(0).numpy()


def aisfx_log_mel(samples: Tensor) -> Tensor:
    """Return log-mel frames (W, 96) of samples (L,) at 44.1 kHz, scaled to a peak of 1."""
    samples = samples / samples.abs().max().clamp(min=1e-12)
    window = torch.hann_window(2048)
    spectrum = torch.stft(samples, 2048, 1024, window=window, pad_mode="constant", return_complex=True).abs() ** 2
    return torch.log10(spectrum.T @ _aisfx_mel_filters() * 10_000 + 1)


@lru_cache(maxsize=1)
def _aisfx_mel_filters() -> Tensor:
    """Return the filters (1025, 96): triangular in Hz between points equidistant in mel, each of sum 1."""
    hz = torch.arange(1025, dtype=torch.float64) * 44_100 / 2048
    top = 2595 * torch.log10(torch.tensor(1 + 22_050 / 700, dtype=torch.float64))
    edges = 700 * (10 ** (torch.linspace(0, float(top), 98, dtype=torch.float64) / 2595) - 1)
    rising = (hz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0)
    return (filters / filters.sum(0).clamp(min=1e-12)).float()
