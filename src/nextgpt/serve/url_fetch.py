"""Fetch a media URL that a client named. No other code of the server opens outgoing connections.

URLs are fetched over https from the operator's domains only. Each host name is resolved once, every address must be
public, and the connection goes to the very address that was checked (no DNS rebinding). Redirects pass the same checks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection

import httpx

from nextgpt.serve.errors import ApiError

MAX_REDIRECTS = 3
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Resolve = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a host name."""


class PinnedTransport(httpx.AsyncBaseTransport):
    """Checks every request, redirects included, and sends it to the address that was checked.

    Args:
        domains: Allowed domains, sub-domains included.
        resolve: Resolver; tests replace it.
        inner: Transport that connects; tests replace it.
    """

    def __init__(
        self, domains: Collection[str], resolve: Resolve | None, inner: httpx.AsyncBaseTransport | None
    ) -> None:
        self._domains = domains
        self._resolve = resolve or resolve_host
        self._inner = inner or httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; TLS and the ``Host`` header keep the host name."""
        host = _check_url(request.url, self._domains)
        address = _check_addresses(await self._resolve(host))
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            extensions=request.extensions | {"sni_hostname": host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


async def fetch(
    url: str,
    *,
    domains: Collection[str],
    max_bytes: int,
    timeout_s: float = 15.0,
    resolve: Resolve | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Fetch a file from an allowed domain.

    Raises:
        ApiError: The URL or a redirect is not allowed, the file is too large, or there is no answer in time.
    """
    if not domains:
        raise _refusal("is not fetched by this server")
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "nextgpt"}
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(
                transport=PinnedTransport(domains, resolve, transport),
                headers=headers,
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
            ) as client,
            client.stream("GET", url) as response,
        ):
            return await _read(response, max_bytes)
    except httpx.TooManyRedirects as error:
        raise _refusal(f"redirects more than {MAX_REDIRECTS} times") from error
    except httpx.InvalidURL as error:
        raise _refusal("is no valid URL") from error
    except (TimeoutError, OSError, ValueError, httpx.HTTPError) as error:
        raise _refusal("could not be fetched") from error


def _check_url(url: httpx.URL, domains: Collection[str]) -> str:
    """Return the host name of an allowed URL. Raises :class:`ApiError`."""
    host = url.host.rstrip(".").lower()
    if url.scheme != "https" or url.userinfo or url.port not in (None, 443):
        raise _refusal("is not plain https")
    if not any(host == domain or host.endswith(f".{domain}") for domain in domains):
        raise _refusal("is on a domain that is not allowed")
    return host


def _check_addresses(addresses: list[str]) -> str:
    """Return the first address if all are public. Raises :class:`ApiError`."""
    if not addresses:
        raise _refusal("has a host name that does not resolve")
    if not all(is_public(address) for address in addresses):
        raise _refusal("leads to an address that is not public")
    return addresses[0]


def is_public(address: str) -> bool:
    """Return whether an address is on the public internet; an IPv4 address inside an IPv6 one counts itself."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if embedded is None and parsed in NAT64:
            embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.status_code != 200:
        raise _refusal(f"answers with status {response.status_code}")
    length = response.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise _refusal(f"is larger than {max_bytes:,} bytes")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > max_bytes:
            raise _refusal(f"is larger than {max_bytes:,} bytes")
    return bytes(content)


def _refusal(reason: str) -> ApiError:
    return ApiError(
        400,
        f"The media URL {reason}; accepted are data: URIs, ids of uploaded files, and https URLs of the domains that "
        "the operator allows with --allow-media-domains. Upload the file to /v1/files.",
        code="url_not_allowed",
    )


async def resolve_host(host: str) -> list[str]:
    """Ask the system's resolver for the addresses of a host name."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]
