"""``nextgpt serve``: the HTTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from nextgpt.cli.options import Device, Dtype, MaxMemory
from nextgpt.errors import ConfigError
from nextgpt.model.placement import PlacementOptions


def serve(
    model: Annotated[str, Argument(help="What nextgpt models lists.")] = "nano",
    host: Annotated[
        str, Option(help="Address to listen on; other than loopback only with an API key.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535)] = 8000,
    api_key: Annotated[
        list[str] | None,
        Option(
            metavar="KEY", envvar="NEXTGPT_API_KEY", help="A key that requests must bring; may be repeated."
        ),
    ] = None,
    insecure: Annotated[
        bool, Option("--insecure", help="Listen elsewhere without a key, at your own risk.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, Option(metavar="NAME", help="A name under which the server is asked; * for all.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        Option(
            metavar="ORIGIN", help="Origin of web pages that may call the API, e.g. https://app.example.org."
        ),
    ] = None,
    allow_media_domains: Annotated[
        list[str] | None,
        Option(metavar="DOMAIN", help="Fetch media that requests name from here; else from nowhere."),
    ] = None,
    requests_per_minute: Annotated[int, Option(min=0, help="That one key may make; 0 for any number.")] = 0,
    max_running: Annotated[int, Option(min=1, help="Conversations in one batch of the language model.")] = 64,
    max_waiting: Annotated[
        int, Option(min=1, help="Answers that may wait or run; more are refused with 429.")
    ] = 256,
    device: Device = None,
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    engine: Annotated[
        Literal["local", "ray"], Option(help="In this process, or each step as deployments of Ray Serve.")
    ] = "local",
    config: Annotated[
        Path | None,
        Option(metavar="FILE", help="With --engine ray: replicas and resources of each step, as YAML."),
    ] = None,
) -> None:
    """Serve a model over HTTP, in the dialect of OpenAI's clients. See docs/serving.md."""
    keys = tuple(key for key in api_key or () if key)
    if not is_loopback(host) and not keys and not insecure:
        raise ConfigError(
            f"--host {host} came without a key; expected one, as others could use the server. Add --api-key KEY, or "
            "listen on 127.0.0.1."
        )
    if keys and "*" in (allow_origin or ()):
        raise ConfigError("--allow-origin *: not accepted together with an API key. List the origins.")
    if config is not None and engine != "ray":
        raise ConfigError(
            "--config came without --engine ray; expected both. Add --engine ray, or leave it out."
        )
    placement = PlacementOptions(tuple(device or ()), tuple(dtype or ()), max_memory)
    if placement != PlacementOptions() and engine == "ray":
        raise ConfigError(
            "--device, --dtype or --max-memory came with --engine ray; expected neither, as the config of Ray says "
            "where steps run. Leave them out, or take --engine local."
        )
    keep_libraries_quiet()
    from nextgpt.serve.engine.base import EngineSettings
    from nextgpt.serve.launch import BindAddress, launch, launch_ray
    from nextgpt.serve.settings import LOOPBACK, ServerSettings

    settings = ServerSettings(
        api_keys=keys,
        allowed_hosts=tuple(allow_host or ()) or (LOOPBACK if is_loopback(host) else ("*",)),
        allowed_origins=tuple(origin.rstrip("/") for origin in allow_origin or ()),
        media_domains=tuple(domain.lower() for domain in allow_media_domains or ()),
        requests_per_minute=requests_per_minute,
    )
    engine_settings = EngineSettings(max_running=max_running, max_waiting=max_waiting)
    if engine == "ray":
        launch_ray(model, BindAddress(host, port), settings, engine_settings, config)
    else:
        launch(model, BindAddress(host, port), settings, engine_settings, placement.options())


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can connect."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
