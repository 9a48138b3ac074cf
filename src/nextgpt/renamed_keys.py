"""Keys of recipes, ``config.json``, ``nextgpt.json`` and deploy files that were renamed.

An old key is an error that names the new one; see :func:`nextgpt.config.parse_config`.
"""

from __future__ import annotations

from collections.abc import Mapping

RENAMED_KEYS: Mapping[str, tuple[str, ...]] = {
    "is_shared": ("shared",),
    "requests": ("max_ongoing_requests",),
    "target_requests": ("target_ongoing_requests",),
    "cpus": ("num_cpus",),
    "gpus": ("num_gpus",),
    "threads": ("num_threads",),
    "tries": ("max_attempts",),
    "patience_s": ("stage_timeout_s",),
    "room": ("engine",),
    "body_bytes": ("max_body_bytes",),
    "bodies_bytes": ("max_total_body_bytes",),
    "body_s": ("body_timeout_s",),
    "medium_bytes": ("max_medium_bytes",),
    "media_count": ("max_media",),
    "pixels": ("max_pixels",),
    "duration_s": ("max_duration_s",),
    "frames": ("max_frames",),
    "decode_s": ("decode_timeout_s",),
    "messages": ("max_messages",),
    "choices": ("max_n",),
    "tokens": ("max_tokens",),
    "steps": ("max_inference_steps", "num_inference_steps"),
    "guidance": ("max_guidance_scale", "guidance_scale"),
    "requests_at_once": ("max_concurrent_requests",),
    "file_s": ("file_ttl_s",),
    "files_bytes": ("max_file_bytes_per_owner",),
    "files_count": ("max_files_per_owner",),
    "solver": ("scheduler",),
    "wave_rate_hz": ("waveform_rate_hz",),
    "preview_factors": ("latent_rgb_factors",),
    "start": ("bos",),
    "stop": ("stop_strings",),
    "system_open": ("system_prefix",),
    "system_close": ("system_suffix",),
    "user_open": ("user_prefix",),
    "user_close": ("user_suffix",),
    "assistant_open": ("assistant_prefix",),
    "media_open": ("media_prefix",),
    "media_close": ("media_suffix",),
}
"""New names by old key, without the path before it. If there are several, the one that the config class has counts."""
