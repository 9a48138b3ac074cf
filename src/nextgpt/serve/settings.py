"""What a server allows: who may ask, how much one request may cost, how long what it made is kept."""

from __future__ import annotations

from nextgpt.config import Config
from nextgpt.media.limits import MediaLimits

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServerSettings(Config):
    """Settings of the HTTP side; those of the scheduler are :class:`~nextgpt.serve.engine.base.EngineSettings`."""

    api_keys: tuple[str, ...] = ()
    """Keys of which a request must bring one; empty: everybody who can connect may ask."""
    allowed_hosts: tuple[str, ...] = LOOPBACK
    """Names that a request's ``Host`` may have, against DNS rebinding; ``*`` allows all."""
    media_domains: tuple[str, ...] = ()
    """Domains from which media are fetched, sub-domains included; empty: no URL is fetched."""
    body_bytes: int = 64 * 2**20
    """Size of one request."""
    body_s: float = 60.0
    """Time in which a request must have arrived whole."""
    bodies_bytes: int = 512 * 2**20
    """Size of all requests that are being read."""
    medium_bytes: int = 32 * 2**20
    """Size of one medium as a file."""
    media_count: int = 16
    """Media of one request, history included."""
    pixels: int = 25_000_000
    duration_s: float = 120.0
    frames: int = 600
    decode_s: float = 10.0
    """Time in which a medium must be decoded."""
    decode_memory_bytes: int = 2 * 2**30
    """Address space of the process that decodes."""
    messages: int = 512
    """Messages of one conversation."""
    choices: int = 8
    """``n`` of one request."""
    tokens: int = 2048
    """Tokens of one answer."""
    steps: int = 100
    """Denoising steps of one medium."""
    guidance: float = 50.0
    requests_per_minute: int = 0
    """Requests that one key, or one address where there are no keys, may make in a minute; 0: any number."""
    requests_at_once: int = 128
    """Requests of one key, or one address, that may be open; fewer than may wait, so that nobody fills the queue."""
    keepalive_s: float = 15.0
    """Silence after which a stream says that it is alive."""
    file_s: float = 3600.0
    """How long files are kept."""
    files_bytes: int = 2**30
    """Disk that one key's files may take."""
    files_count: int = 10_000

    @property
    def media_limits(self) -> MediaLimits:
        """What decoding one medium may cost."""
        return MediaLimits(
            size_bytes=self.medium_bytes,
            pixels=self.pixels,
            duration_s=self.duration_s,
            samples=int(self.duration_s * 96_000),
            frames=self.frames,
            time_s=self.decode_s,
        )
