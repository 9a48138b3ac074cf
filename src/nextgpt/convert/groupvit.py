"""Map the weight names of GroupViT, the network of the official code's ``group`` projector, to ours.

The names are those of NVlabs/GroupViT, as listed by huggingface/transformers (``convert_groupvit_nvlab_to_hf.py``),
between ``in_fc`` and ``out_fc``. No such checkpoint was published to test them with; an unknown name is an error.
"""

from __future__ import annotations

BLOCK = {
    "norm1": "norm_1",
    "norm2": "norm_2",
    "attn.qkv": "qkv",
    "attn.proj": "out",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
GATHER = {
    "norm_tokens": "norm_groups",
    "norm_x": "norm_patches",
    "mlp_inter.fc1": "mix.fc1",
    "mlp_inter.fc2": "mix.fc2",
    "norm_post_tokens": "norm_mixed",
    "pre_assign_attn.attn.q_proj": "cross_attention.query",
    "pre_assign_attn.attn.k_proj": "cross_attention.key",
    "pre_assign_attn.attn.v_proj": "cross_attention.value",
    "pre_assign_attn.attn.proj": "cross_attention.out",
    "pre_assign_attn.norm2": "cross_attention.norm_mlp",
    "pre_assign_attn.norm_post": "cross_attention.norm_out",
    "pre_assign_attn.mlp.fc1": "cross_attention.mlp.fc1",
    "pre_assign_attn.mlp.fc2": "cross_attention.mlp.fc2",
    "assign.q_proj": "query",
    "assign.k_proj": "key",
    "assign.v_proj": "value",
    "assign.proj": "out",
    "norm_new_x": "norm_mlp",
    "mlp_channels.fc1": "mlp.fc1",
    "mlp_channels.fc2": "mlp.fc2",
}


def grouping_patterns(theirs: str, ours: str) -> dict[str, str]:
    """Return regular expressions for names that begin with ``theirs``, and replacements that begin with ``ours``."""
    rows = {
        r"in_fc\.(\w+)": r"in_proj.\1",
        r"norm\.(\w+)": r"norm.\1",
        r"out_fc\.(\w+)": r"out_proj.\1",
        r"layers\.([01])\.group_token": r"stages.\1.tokens",
        r"layers\.1\.group_projector\.0\.(\w+)": r"stages.1.group_mixer.0.\1",
        r"layers\.1\.group_projector\.1\.(fc[12]\.\w+)": r"stages.1.group_mixer.1.\1",
    }
    for name, own in BLOCK.items():
        rows[rf"layers\.([01])\.blocks\.(\d+)\.{name}\.(\w+)"] = rf"stages.\1.blocks.\2.{own}.\3"
        rows[rf"layers\.2\.blocks\.(\d+)\.{name}\.(\w+)"] = rf"blocks.\1.{own}.\2"
    for name, own in GATHER.items():
        rows[rf"layers\.([01])\.downsample\.{name}\.(\w+)"] = rf"stages.\1.assignment.{own}.\2"
    return {theirs + name: ours + own for name, own in rows.items()}
