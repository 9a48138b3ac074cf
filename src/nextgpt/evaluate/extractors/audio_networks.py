"""Networks of published audio extractors: PANNs Cnn14 (16 kHz), VGGish, and the CNN of aiSFX.

State dicts have the published names. Kong et al. 2020 (arXiv:1912.10211), Hershey et al. 2017 (arXiv:1609.09430),
Ma et al. 2022 (ISMIR). Sizes: ``L`` samples, ``W`` frames, ``M`` mel bands.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Pool = Literal["avg", "max"]


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norms and ReLUs, then pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "B C W M"], pool_size: int, pool: Pool) -> Float[Tensor, "B C2 W2 M2"]:
        """Return the pooled maps."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.avg_pool2d(x, pool_size) if pool == "avg" else functional.max_pool2d(x, pool_size)


class _LogMel(nn.Module):
    """Log power of mel bands in dB; the filters are part of the published weights."""

    def __init__(self, n_fft: int, hop: int, mel_bands: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("melW", torch.zeros(n_fft // 2 + 1, mel_bands))

    def forward(self, samples: Float[Tensor, "B L"]) -> Float[Tensor, "B W M"]:
        window = torch.hann_window(self.n_fft, device=samples.device)
        spectrum = torch.stft(samples, self.n_fft, self.hop, window=window, pad_mode="reflect", return_complex=True)
        return 10 * torch.log10((spectrum.abs() ** 2).transpose(1, 2).matmul(self.melW).clamp(min=1e-10))


class Cnn14(nn.Module):
    """PANNs Cnn14 for 16 kHz: window 512, hop 160, 64 mel bands from 50 to 8,000 Hz."""

    MIN_SAMPLES = 160 * 64
    """Shortest input: the five poolings halve the frames to at least one."""

    def __init__(self, classes: int = 527) -> None:
        super().__init__()
        self.logmel_extractor = _LogMel(512, 160, 64)
        self.bn0 = nn.BatchNorm2d(64)
        widths = (1, 64, 128, 256, 512, 1024, 2048)
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            self.add_module(f"conv_block{index}", ConvBlock(before, after))
        self.fc1 = nn.Linear(2048, 2048)
        self.fc_audioset = nn.Linear(2048, classes)

    def forward(self, samples: Float[Tensor, "B L"]) -> tuple[Float[Tensor, "B 2048"], Float[Tensor, "B classes"]]:
        """Return the embeddings, and the logits of AudioSet's classes."""
        x = self.logmel_extractor(samples)[:, None]  # (B, 1, W, M)
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)  # normalizes each mel band
        for index in range(1, 7):
            x = self.get_submodule(f"conv_block{index}")(x, 2 if index < 6 else 1, "avg")
        x = x.mean(3)  # (B, 2048, W)
        embeddings = functional.relu(self.fc1(x.amax(2) + x.mean(2)))
        return embeddings, self.fc_audioset(embeddings)


class VGGish(nn.Module):
    """VGGish on log-mel patches of 96 frames and 64 bands (0.96 s), without the last ReLU and the later PCA."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool"):
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )

    def forward(self, patches: Float[Tensor, "B 1 96 64"]) -> Float[Tensor, "B 128"]:
        """Return one embedding per patch."""
        return self.embeddings(self.features(patches).permute(0, 2, 3, 1).flatten(1))


class _AisfxTrunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for index, (before, after) in enumerate(((1, 64), (64, 128), (128, 256), (256, 512)), start=1):
            self.add_module(f"conv_block{index}", ConvBlock(before, after))

    def forward(self, x: Tensor) -> Tensor:
        for index in range(1, 5):
            x = self.get_submodule(f"conv_block{index}")(x, 2 if index < 4 else 1, "max")
        return x.mean(3).amax(2)


class Aisfx(nn.Module):
    """CNN for sound effects on log-mel patches of 100 frames and 96 bands, with the head of UCS categories."""

    CLASSES = 69
    HEAD = "fc.2."
    """Prefix of the head ``ucsMixed`` in the published file, which has nine."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding_net = _AisfxTrunk()
        self.fc = nn.Sequential(
            nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, self.CLASSES)
        )

    def forward(self, patches: Float[Tensor, "B 100 96"]) -> tuple[Float[Tensor, "B 512"], Float[Tensor, "B classes"]]:
        """Return the embeddings, and the logits of the categories."""
        embeddings = self.embedding_net(patches[:, None])
        return embeddings, self.fc(embeddings)
