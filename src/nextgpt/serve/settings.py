"""Settings of the HTTP server: access control, limits per request, and retention of files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nextgpt.config import Config
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.media.limits import MediaLimits, parse_limits
from nextgpt.message import Via

MEDIA_LIMITS = {
    "size_bytes": "max_medium_bytes",
    "pixels": "max_pixels",
    "image_pixels": "max_image_pixels",
    "duration_s": "max_duration_s",
    "frames": "max_frames",
    "time_s": "decode_timeout_s",
}
"""Settings of the server by the name of the media limit."""
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


class ServerSettings(Config):
    """Settings of the HTTP side; :class:`~nextgpt.serve.engine.base.EngineSettings` holds those of the engine."""

    api_keys: tuple[str, ...] = ()
    """Accepted API keys. Empty: no key is needed."""
    allowed_hosts: tuple[str, ...] = LOOPBACK
    """Accepted ``Host`` names, against DNS rebinding; ``*.example.org`` includes sub-domains, ``*`` accepts all."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the API besides this server's own, e.g. ``https://app.example.org``."""
    public_url: str = ""
    """Address of this server for clients, for the addresses of media. Empty: the address that the client used."""
    media_domains: tuple[str, ...] = ()
    """Domains, sub-domains included, from which media URLs are fetched. Empty: no URL is fetched."""
    via: Via = "generate"
    """Origin of media in conversations whose request names none."""
    max_body_bytes: int = 64 * 2**20
    """Size of one request body."""
    body_timeout_s: float = 60.0
    """Time within which a request body must be complete."""
    max_total_body_bytes: int = 512 * 2**20
    """Size of all request bodies that are being handled."""
    max_medium_bytes: int = 32 * 2**20
    """Size of one media file."""
    max_media: int = 16
    """Media per request, history included."""
    max_pixels: int = 25_000_000
    """Pixels per image or video frame."""
    max_image_pixels: int = 2_000_000
    """Larger images are scaled down to this many pixels; encoders take 224 x 224."""
    max_duration_s: float = 120.0
    """Length of one audio clip or video."""
    max_frames: int = 600
    """Frames per video."""
    decode_timeout_s: float = 10.0
    """Time for decoding one medium."""
    request_decode_timeout_s: float = 20.0
    """Time for decoding all media of one request."""
    max_request_media_bytes: int = 320 * 2**20
    """Memory for the decoded media of one request."""
    max_total_media_bytes: int = 640 * 2**20
    """Memory for the decoded media of all requests."""
    decode_memory_bytes: int = 2 * 2**30
    """Address space of the decoding process."""
    max_messages: int = 512
    """Messages per conversation."""
    max_n: int = 8
    """Choices per request."""
    max_tokens: int = 2048
    """Tokens per answer; a request for more gets this many."""
    max_inference_steps: int = 100
    """Denoising steps per medium."""
    max_guidance_scale: float = 50.0
    """Classifier-free guidance scale."""
    requests_per_minute: int = 0
    """Requests per minute and API key, or per address if there are no keys. 0: unlimited."""
    max_concurrent_requests: int = 128
    """Open requests per API key or address. Less than the engine's queue, so that one client cannot fill it."""
    keepalive_s: float = 15.0
    """Silence after which an event stream sends a comment."""
    file_ttl_s: float = 3600.0
    """Time for which files and video jobs are kept."""
    max_file_bytes_per_owner: int = 2**30
    """Disk space for the files of one API key; the oldest are removed first."""
    max_responses_per_owner: int = 256
    """Responses of one API key that are kept for ``previous_response_id``; the oldest are removed first."""
    max_response_bytes_per_owner: int = 128 * 2**20
    """Memory for the media of these responses."""
    max_response_bytes: int = 256 * 2**20
    """Memory for the media of all responses."""
    max_files_per_owner: int = 10_000
    """Number of files of one API key; the oldest are removed first."""

    @property
    def media_limits(self) -> MediaLimits:
        """Limits for decoding one medium."""
        return MediaLimits(
            size_bytes=self.max_medium_bytes,
            pixels=self.max_pixels,
            image_pixels=self.max_image_pixels,
            duration_s=self.max_duration_s,
            samples=int(self.max_duration_s * 96_000),
            frames=self.max_frames,
            time_s=self.decode_timeout_s,
        )


def parse_server_limits(settings: Iterable[str]) -> dict[str, Any]:
    """Return the settings of the server for media limits such as ``frames=3000``. Raises :class:`ConfigError`."""
    settings = tuple(settings)
    limits = parse_limits(settings)
    names = [setting.partition("=")[0].strip() for setting in settings]
    for name in names:
        if name not in MEDIA_LIMITS:
            raise ConfigError(unknown_name_message("media limit of the server", name, MEDIA_LIMITS))
    return {MEDIA_LIMITS[name]: getattr(limits, name) for name in names}
