"""``nextgpt serve``: the HTTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from nextgpt.cli.options import Device, Dtype, MaxMemory, MediaLimit, SamplingOption, placement_options
from nextgpt.cli.retrieval import IndexDir, RetrievalOptions, ViaOption
from nextgpt.errors import ConfigError
from nextgpt.logging import silence_libraries
from nextgpt.model.placement import PlacementOptions

Host = Annotated[str, Option(help="Address to listen on; anything but loopback needs a key.")]
ApiKeys = Annotated[
    list[str] | None, Option(metavar="KEY", envvar="NEXTGPT_API_KEY", help="Accepted API key; repeatable.")
]
AllowedHosts = Annotated[
    list[str] | None, Option(metavar="NAME", help="Accepted Host header, e.g. behind a proxy; repeatable, * for all.")
]
AllowedOrigins = Annotated[
    list[str] | None, Option(metavar="ORIGIN", help="Origin of web pages that may call the API; repeatable.")
]
PublicUrl = Annotated[
    str | None, Option(metavar="URL", help="Address of the server for clients, e.g. behind a proxy; for media.")
]
MediaDomains = Annotated[
    list[str] | None,
    Option(metavar="DOMAIN", help="Domain from which media URLs are fetched; repeatable, default none."),
]
MaxWaiting = Annotated[int, Option(min=1, help="Queued and running answers; more are refused with 429.")]
Engine = Annotated[Literal["local", "ray"], Option(help="In this process, or every stage on Ray Serve.")]
EngineConfig = Annotated[
    Path | None, Option(metavar="FILE", help="With --engine ray: replicas and resources of each stage, as YAML.")
]


def serve(
    model: Annotated[str, Argument(help="A name that nextgpt models lists, or a folder.")] = "nano",
    host: Host = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 for any free port.")] = 8000,
    api_key: ApiKeys = None,
    insecure: Annotated[bool, Option("--insecure", help="Allow other hosts without a key.")] = False,
    allow_host: AllowedHosts = None,
    allow_origin: AllowedOrigins = None,
    public_url: PublicUrl = None,
    allow_media_domains: MediaDomains = None,
    requests_per_minute: Annotated[int, Option(min=0, help="Limit per key; 0 for none.")] = 0,
    max_running: Annotated[int, Option(min=1, help="Conversations in one batch of the language model.")] = 64,
    max_waiting: MaxWaiting = 256,
    device: Device = None,
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    sampling: SamplingOption = None,
    media_limit: MediaLimit = None,
    index: IndexDir = None,
    via: ViaOption = None,
    engine: Engine = "local",
    config: EngineConfig = None,
) -> None:
    """Serve a model over HTTP with OpenAI's API and a chat page. See docs/serving.md."""
    keys = tuple(key for key in api_key or () if key)
    placement = placement_options(device, dtype, max_memory, sampling)
    if not is_loopback(host) and not keys and not insecure:
        raise ConfigError(f"--host {host} without a key: others could use the server. Add --api-key KEY.")
    if keys and "*" in (allow_origin or ()):
        raise ConfigError("--allow-origin * is not accepted together with an API key. List the origins.")
    if config is not None and engine != "ray":
        raise ConfigError("--config is for --engine ray only. Add --engine ray, or leave --config out.")
    if placement != PlacementOptions() and engine == "ray":
        raise ConfigError(
            "--device, --dtype, --max-memory and --sampling are for --engine local only. Use --config to place the "
            "stages."
        )
    retrieval = RetrievalOptions(index, via)
    if index is not None and engine == "ray":
        raise ConfigError("--index is for --engine local only. Leave --index out, or use --engine local.")
    silence_libraries()
    opened = retrieval.open_index(model)
    from nextgpt.serve.engine.base import EngineSettings
    from nextgpt.serve.launch import BindAddress, launch, launch_ray
    from nextgpt.serve.settings import LOOPBACK, ServerSettings, parse_server_limits

    settings = ServerSettings(
        api_keys=keys,
        allowed_hosts=tuple(allow_host or ()) or (LOOPBACK if is_loopback(host) else ("*",)),
        allowed_origins=tuple(origin.rstrip("/") for origin in allow_origin or ()),
        public_url=(public_url or "").rstrip("/"),
        media_domains=tuple(domain.lower() for domain in allow_media_domains or ()),
        requests_per_minute=requests_per_minute,
        via=retrieval.resolve_via(opened),
        **parse_server_limits(media_limit or ()),
    )
    engine_settings = EngineSettings(max_running=max_running, max_waiting=max_waiting)
    if engine == "ray":
        launch_ray(model, BindAddress(host, port), settings, engine_settings, config)
    else:
        launch(model, BindAddress(host, port), settings, engine_settings, placement.as_arguments(), opened)


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can connect to ``host``."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
