"""Start of a page's server in this process."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from nextgpt.errors import ConfigError


def launch_pages(app: FastAPI, host: str, port: int, paths: Sequence[str] = ("/",)) -> None:
    """Serve a page until a signal arrives; print the addresses of ``paths`` to standard error.

    Raises:
        ConfigError: The address cannot be used.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}. Choose another address or port.") from None
    origin = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    for path in paths:
        print(f"{origin}{path}", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
