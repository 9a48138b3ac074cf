"""Our blocks against the reference: transformers' CLIP and torch's attention, with the same weights."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from nextgpt.model.encoding import EncoderConfig, ImageBind, TextTower, VisionTower
from nextgpt.model.encoding.transformer import NORM_EPS, Attention, Trunk

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": NORM_EPS,
}


def copy_layers(layers: nn.ModuleList, trunk: Trunk) -> None:
    for layer, block in zip(layers, trunk.blocks, strict=True):
        projections = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        block.attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        block.attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        for source, target in (
            (layer.self_attn.out_proj, block.attn.out_proj),
            (layer.layer_norm1, block.norm_1),
            (layer.layer_norm2, block.norm_2),
            (layer.mlp.fc1, block.mlp.fc1),
            (layer.mlp.fc2, block.mlp.fc2),
        ):
            target.load_state_dict(source.state_dict())


def randomise(module: nn.Module) -> None:
    """Norms and biases start at 0 and 1, where a mix-up would not show."""
    for parameter in module.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.2)


@torch.no_grad()
def test_the_text_tower_equals_clips():
    torch.manual_seed(0)
    config = CLIPTextConfig(vocab_size=50, max_position_embeddings=9, eos_token_id=49, **SIZES)
    reference = CLIPTextModel(config).eval()
    randomise(reference)
    tower = TextTower(width=32, blocks=3, heads=4, vocabulary=50, positions=9, end_token_id=49)
    ours = ImageBind(EncoderConfig(width=16, vision=None, audio=None, text=tower)).eval()
    parts = reference.text_model if hasattr(reference, "text_model") else reference
    stem = ours.modality_preprocessors["text"]
    stem.token_embedding.weight.copy_(parts.embeddings.token_embedding.weight)
    stem.pos_embed.copy_(parts.embeddings.position_embedding.weight[None])
    copy_layers(parts.encoder.layers, ours.modality_trunks["text"])
    norm, projection = ours.modality_heads["text"].proj
    norm.load_state_dict(parts.final_layer_norm.state_dict())

    ids = torch.tensor([[3, 7, 11, 49, 0, 0], [5, 49, 0, 0, 0, 0], [1, 2, 3, 4, 5, 49]])
    expected = nn.functional.normalize(projection(reference(input_ids=ids).pooler_output), dim=-1) / 0.07
    torch.testing.assert_close(ours.forward_modality("text", ids), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_vision_tower_equals_clips():
    torch.manual_seed(0)
    reference = CLIPVisionModel(CLIPVisionConfig(image_size=24, patch_size=8, **SIZES)).eval()
    randomise(reference)
    tower = VisionTower(width=32, blocks=3, heads=4, size_px=24, patch_px=8)
    ours = ImageBind(EncoderConfig(width=16, vision=tower, audio=None, text=None)).eval()
    parts = reference.vision_model if hasattr(reference, "vision_model") else reference
    stem, trunk = ours.modality_preprocessors["vision"], ours.modality_trunks["vision"]
    # CLIP sees one moment: half its kernel for each of two equal frames.
    stem.rgbt_stem.proj[1].weight.copy_(parts.embeddings.patch_embedding.weight[:, :, None] / 2)
    stem.cls_token.copy_(parts.embeddings.class_embedding.view(1, 1, -1))
    stem.pos_embedding_helper.pos_embed.copy_(parts.embeddings.position_embedding.weight[None])
    trunk.pre_transformer_layer[0].load_state_dict(parts.pre_layrnorm.state_dict())
    copy_layers(parts.encoder.layers, trunk)
    norm, _, projection = ours.modality_heads["vision"]
    norm.load_state_dict(parts.post_layernorm.state_dict())

    pictures = torch.randn(2, 3, 24, 24)
    expected = nn.functional.normalize(projection(reference(pixel_values=pictures).pooler_output), dim=-1)
    torch.testing.assert_close(ours.forward_modality("vision", pictures[:, :, None]), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_attention_with_one_more_key_and_value_equals_torchs():
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(24, 4, add_bias_kv=True, batch_first=True).eval()
    randomise(reference)
    ours = Attention(24, 4, has_bias_kv=True)
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(ours(x, None), reference(x, x, x, need_weights=False)[0], atol=1e-5, rtol=1e-5)
