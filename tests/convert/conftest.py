"""Tiny weights under the published names, spelled out here and not taken from our modules."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextgpt.model.encoding import AudioTower, EncoderConfig, ImuTower, TextTower, ThermalTower, VisionTower
from nextgpt.model.encoding.config import DepthTower

WIDTH, BLOCKS = 16, 2


@pytest.fixture
def tiny_imagebind() -> EncoderConfig:
    """All six towers, tiny."""
    size = {"width": WIDTH, "blocks": BLOCKS, "heads": 2}
    return EncoderConfig(
        width=8,
        vision=VisionTower(**size, size_px=28, clips=1, crops=1),
        text=TextTower(**size, vocabulary=20, positions=6, start_token_id=18, end_token_id=19),
        audio=AudioTower(**size, clips=1),
        depth=DepthTower(**size, size_px=32),
        thermal=ThermalTower(**size, size_px=32),
        imu=ImuTower(**size, samples=32),
    )


@pytest.fixture
def imagebind_tensors() -> dict[str, Tensor]:
    """What ``imagebind_huge.pth`` would hold, were it tiny."""
    torch.manual_seed(0)
    stems = {
        "vision.cls_token": (1, 1, WIDTH),
        "vision.rgbt_stem.proj.1.weight": (WIDTH, 3, 2, 14, 14),
        "vision.pos_embedding_helper.pos_embed": (1, 5, WIDTH),
        "text.token_embedding.weight": (20, WIDTH),
        "text.pos_embed": (1, 6, WIDTH),
        "audio.cls_token": (1, 1, WIDTH),
        "audio.rgbt_stem.proj.weight": (WIDTH, 1, 16, 16),
        "audio.rgbt_stem.norm_layer.weight": (WIDTH,),
        "audio.rgbt_stem.norm_layer.bias": (WIDTH,),
        "audio.pos_embedding_helper.pos_embed": (1, 229, WIDTH),
        "depth.cls_token": (1, 1, WIDTH),
        "depth.depth_stem.proj.weight": (WIDTH, 1, 16, 16),
        "depth.depth_stem.norm_layer.weight": (WIDTH,),
        "depth.depth_stem.norm_layer.bias": (WIDTH,),
        "depth.pos_embedding_helper.pos_embed": (1, 5, WIDTH),
        "thermal.cls_token": (1, 1, WIDTH),
        "thermal.rgbt_stem.proj.weight": (WIDTH, 1, 16, 16),
        "thermal.rgbt_stem.norm_layer.weight": (WIDTH,),
        "thermal.rgbt_stem.norm_layer.bias": (WIDTH,),
        "thermal.pos_embedding_helper.pos_embed": (1, 5, WIDTH),
        "imu.cls_token": (1, 1, WIDTH),
        "imu.pos_embed": (1, 5, WIDTH),
        "imu.imu_stem.proj.weight": (WIDTH, 48),
        "imu.imu_stem.norm_layer.weight": (WIDTH,),
        "imu.imu_stem.norm_layer.bias": (WIDTH,),
    }
    shapes = {f"modality_preprocessors.{name}": shape for name, shape in stems.items()}
    for tower in ("vision", "text", "audio", "depth", "thermal", "imu"):
        shapes |= _trunk(f"modality_trunks.{tower}", has_bias_kv=tower not in ("vision", "text"))
        head = {"text": "text.proj.{}.", "imu": "imu.{}."}.get(tower, f"{tower}.{{}}.")
        last = {"text": 1, "imu": 3}.get(tower, 2)
        shapes |= {f"modality_heads.{head.format(0)}{name}": (WIDTH,) for name in ("weight", "bias")}
        shapes[f"modality_heads.{head.format(last)}weight"] = (8, WIDTH)
        if tower != "vision":
            shapes[f"modality_postprocessors.{tower}.1.log_logit_scale"] = ()
    shapes |= {f"modality_trunks.vision.pre_transformer_layer.0.{name}": (WIDTH,) for name in ("weight", "bias")}
    tensors = {name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}
    tensors["modality_preprocessors.text.mask"] = torch.full((6, 6), float("-inf")).triu(1)
    return tensors


def _trunk(prefix: str, *, has_bias_kv: bool) -> dict[str, tuple[int, ...]]:
    block: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3 * WIDTH, WIDTH),
        "attn.in_proj_bias": (3 * WIDTH,),
        "attn.out_proj.weight": (WIDTH, WIDTH),
        "attn.out_proj.bias": (WIDTH,),
        "norm_1.weight": (WIDTH,),
        "norm_1.bias": (WIDTH,),
        "norm_2.weight": (WIDTH,),
        "norm_2.bias": (WIDTH,),
        "mlp.fc1.weight": (4 * WIDTH, WIDTH),
        "mlp.fc1.bias": (4 * WIDTH,),
        "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
        "mlp.fc2.bias": (WIDTH,),
    }
    if has_bias_kv:
        block |= {"attn.bias_k": (1, 1, WIDTH), "attn.bias_v": (1, 1, WIDTH)}
    return {f"{prefix}.blocks.{i}.{name}": shape for i in range(BLOCKS) for name, shape in block.items()}
