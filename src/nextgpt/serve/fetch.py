"""The one function that fetches an address which a client named. Nothing else in the package does.

An address is fetched from the domains that the operator allows, over https alone; its name is resolved once, every
resolved address must be a public one, and the connection goes to the very address that was checked. Each redirect is
checked anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from nextgpt.serve.errors import ApiError

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)

Resolve = Callable[[str], Awaitable[list[str]]]
"""A host's addresses."""


@dataclass(frozen=True)
class Fetched:
    """The head of an answer, and its body as it comes."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: AsyncIterator[bytes]


Transport = Callable[[str, str, str], AbstractAsyncContextManager[Fetched]]
"""``(address, host, target)``: ask ``address`` for ``https://host/target``."""


async def fetch(
    url: str,
    *,
    domains: Collection[str],
    max_bytes: int,
    timeout_s: float = 15.0,
    resolve: Resolve | None = None,
    transport: Transport | None = None,
) -> bytes:
    """Fetch a file from an allowed domain.

    Raises:
        ApiError: The address is not allowed, leads to one that is not, or answers with too much or not at all.
    """
    try:
        async with asyncio.timeout(timeout_s):
            for _ in range(MAX_REDIRECTS + 1):
                parts = _allowed(url, domains)
                host = str(parts.hostname)
                address = _public(host, await (resolve or resolve_host)(host))
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                async with (transport or https)(address, host, target) as answer:
                    if answer.status not in REDIRECTS:
                        return await _read(answer, max_bytes)
                    url = urljoin(url, answer.headers.get("location", ""))
    except (TimeoutError, OSError, ValueError) as error:
        raise _refused("could not be fetched") from error
    raise _refused(f"redirects more than {MAX_REDIRECTS} times")


def _allowed(url: str, domains: Collection[str]) -> SplitResult:
    if not domains:
        raise _refused("is not fetched by this server")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("is no address") from None
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https" or parts.username is not None or port not in (None, 443):
        raise _refused("is not plain https")
    if any(character <= " " or character > "~" for character in parts.path + parts.query):
        raise _refused("holds letters that an address cannot have")
    if not any(host == domain or host.endswith(f".{domain}") for domain in domains):
        raise _refused("is on a domain that is not allowed")
    return parts


def _public(host: str, addresses: list[str]) -> str:
    """The first address, where every one is public."""
    if not addresses:
        raise _refused("has a name that does not resolve")
    for address in addresses:
        if not is_public(address):
            raise _refused("leads to an address that is not public")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address is reached over the public internet; wrapped IPv4 is judged by what it wraps."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        wrapped = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if wrapped is None and parsed in _NAT64:
            wrapped = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def _read(answer: Fetched, max_bytes: int) -> bytes:
    if answer.status != 200:
        raise _refused(f"answers with status {answer.status}")
    length = answer.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise _refused(f"is larger than {max_bytes:,} bytes")
    content = bytearray()
    async for piece in answer.body:
        content += piece
        if len(content) > max_bytes:
            raise _refused(f"is larger than {max_bytes:,} bytes")
    return bytes(content)


def _refused(why: str) -> ApiError:
    return ApiError(
        400,
        f"The given URL {why}; expected a data: URI, the id of an uploaded file, or an https address of a domain that "
        "the operator allows with --allow-media-domains. Upload the file to /v1/files.",
        code="url_not_allowed",
    )


async def resolve_host(host: str) -> list[str]:
    """Ask the system for a host's addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@asynccontextmanager
async def https(address: str, host: str, target: str) -> AsyncIterator[Fetched]:
    """Ask over TLS; the certificate is checked against the host's name, the connection goes to the address."""
    reader, writer = await asyncio.open_connection(
        address, 443, ssl=ssl.create_default_context(), server_hostname=host, limit=2**16
    )
    try:
        request = f"GET {target} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\nUser-Agent: nextgpt\r\n\r\n"
        writer.write(request.encode("ascii"))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(":", 1) for line in head[1:] if ":" in line)
        lowered = {name.strip().lower(): value.strip() for name, value in headers.items()}
        yield Fetched(int(head[0].split()[1]), lowered, _pieces(reader))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError) as error:
        raise OSError("the answer is no HTTP") from error
    finally:
        writer.close()


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(2**16):
        yield piece
