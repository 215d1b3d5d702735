"""Reading what a url names: stored blobs, data urls, the web within limits; never local paths. Runs on workers.

`ingest_file` is the one way in for a local file, and runs on the submitter.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from pipelex.errors import DocumentError, ProviderDownError, RateLimitError
from pipelex.storage.blobs import SCHEME, Blobs, mime_type_of, parse_reference, sniff
from pipelex.storage.settings import StorageSettings

if TYPE_CHECKING:
    import httpx2

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
_WEB_URL = re.compile(r"(?P<scheme>https?://)(?:[^/?#]*@)?(?P<place>[^?#]*)(?P<query>[?#])?", re.IGNORECASE)
_MAX_REDIRECTS: Final = 5
_AGENT: Final = "pipelex"


@dataclass(frozen=True)
class FetchedFile:
    """The bytes behind a url, with what is known of their kind and name."""

    data: bytes
    mime_type: str | None = None
    filename: str | None = None
    charset: str | None = None
    """The encoding of a text, where whoever gave it said so."""


async def read_url(url: str, blobs: Blobs, settings: StorageSettings, *, trusted: str = "") -> FetchedFile:
    """Read a storage reference, a data url or an http(s) url, at most `settings.max_file_bytes` of it.

    `trusted` is a `host:port` of the operator's own choice, which may be in a private network.
    Raises DocumentError when it cannot be read, and a retryable error when the other side may answer later.
    """
    if url.startswith(SCHEME):
        data = await blobs.get(url)
        _check_size(len(data), url, settings)
        return FetchedFile(data, sniff(data) or parse_reference(url).mime_type)
    scheme = url[:4096].partition(":")[0].strip().lower()
    if scheme == "data":
        return _read_data_url(url, settings)
    if scheme in ("http", "https"):
        return await _download(url, settings, trusted)
    raise DocumentError(
        f"{shown(url)} is not a url that a worker reads",
        hint="give local files as inputs of the run: they are stored before it starts; urls are http(s):// or data:",
    )


async def ingest_file(path: Path, blobs: Blobs, *, max_bytes: int | None = None) -> str:
    """Store a local file and give its reference. Raises DocumentError when it cannot be read."""
    data = await asyncio.to_thread(_read_file, path, max_bytes)
    if not data:
        raise DocumentError("the file is empty", where=str(path))
    return await blobs.put(data, mime_type=sniff(data) or mime_type_of(path.name), filename=path.name)


def _read_file(path: Path, max_bytes: int | None) -> bytes:
    try:
        size = path.stat().st_size if path.is_file() else 0
        if max_bytes is not None and size > max_bytes:
            raise DocumentError(f"the file is too large: {size} bytes, at most {max_bytes}", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(
            f"cannot read the file: {error.strerror}",
            where=str(path),
            hint="a relative path starts at the folder of the inputs file, or at the current folder",
        ) from error


def shown(url: str) -> str:
    """The url as messages tell it: short, and of an http url neither the query nor credentials, which give access."""
    found = _WEB_URL.match(url)
    if found is not None:
        url = f"{found['scheme']}{found['place']}{'?...' if found['query'] else ''}"
    return repr(url if len(url) <= 120 else url[:117] + "...")


def _check_size(size: int, url: str, settings: StorageSettings) -> None:
    if size > settings.max_file_bytes:
        raise DocumentError(
            f"the file is too large: more than {settings.max_file_bytes} bytes",
            where=shown(url),
            hint="raise max_file_bytes in the storage settings, or give a smaller file",
        )


def _read_data_url(url: str, settings: StorageSettings) -> FetchedFile:
    head = _DATA_URL.match(url)
    if head is None:
        raise DocumentError(f"{shown(url)} is not a data url: no comma after its media type")
    _check_size((len(url) - head.end()) // 4 * 3, url, settings)
    payload = url[head.end() :]
    if ";base64" in head["parameters"].lower():
        try:
            data = base64.b64decode("".join(unquote(payload).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DocumentError(f"{shown(url)} is not valid base64: {error}") from error
    else:
        data = unquote_to_bytes(payload)
    _check_size(len(data), url, settings)
    charset = _charset(head["parameters"])
    return FetchedFile(data, sniff(data) or head["type"].lower() or "text/plain", charset=charset)


async def _download(url: str, settings: StorageSettings, trusted: str) -> FetchedFile:
    """Follow redirects by hand, because each hop has to pass the guard."""
    import httpx2

    # With the guard on we connect to the very address that was checked, so a proxy is not used.
    seconds = settings.fetch_timeout.total_seconds()
    client = httpx2.AsyncClient(
        timeout=seconds, follow_redirects=False, trust_env=settings.allow_private_hosts, headers={"user-agent": _AGENT}
    )
    try:
        async with client, asyncio.timeout(seconds):
            for _ in range(_MAX_REDIRECTS + 1):
                result = await _one_hop(client, url, settings, trusted)
                if isinstance(result, FetchedFile):
                    return result
                url = result
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise ProviderDownError(f"no full answer in {seconds:g} s", retryable=True, where=shown(url)) from error
    except httpx2.InvalidURL:
        raise DocumentError(f"{shown(url)} is not a valid url") from None
    except httpx2.HTTPError as error:
        raise ProviderDownError(f"the download failed: {error}", retryable=True, where=shown(url)) from error
    raise DocumentError(f"more than {_MAX_REDIRECTS} redirects", where=shown(url))


async def _one_hop(client: httpx2.AsyncClient, url: str, settings: StorageSettings, trusted: str) -> FetchedFile | str:
    """The file, or the url to go on with."""
    import httpx2

    target = httpx2.URL(url)
    if target.scheme not in ("http", "https"):
        raise DocumentError(f"refused to follow a redirect to {shown(url)}")
    headers: dict[str, str] = {}
    extensions: dict[str, str] = {}
    pinned = target
    if not settings.allow_private_hosts and urlsplit(url).netloc != trusted:
        pinned = target.copy_with(host=await _public_address(target.host, target.port or 0))
        headers["host"] = target.netloc.decode("ascii")
        extensions["sni_hostname"] = target.host
    async with client.stream("GET", pinned, headers=headers, extensions=extensions) as response:
        if response.has_redirect_location:
            return str(target.join(response.headers["location"]))
        _check_status(response.status_code, url)
        _check_size(int(response.headers.get("content-length") or 0), url, settings)
        chunks = bytearray()
        async for chunk in response.aiter_bytes():
            chunks += chunk
            _check_size(len(chunks), url, settings)
        declared, _, parameters = response.headers.get("content-type", "").partition(";")
    declared = declared.strip().lower()
    filename = unquote(target.path.rpartition("/")[2]) or None
    if declared in ("", "application/octet-stream", "binary/octet-stream"):
        declared = (mime_type_of(filename) if filename else None) or ""
    mime_type = sniff(bytes(chunks[:1024])) or declared or None
    return FetchedFile(bytes(chunks), mime_type, filename, _charset(f";{parameters}"))


def _charset(parameters: str) -> str | None:
    found = _CHARSET.search(parameters)
    return found[1].lower() if found else None


def _check_status(status: int, url: str) -> None:
    if status == 429:
        raise RateLimitError("the site asks to slow down (429)", retryable=True, status=status, where=shown(url))
    if status >= 500 or status == 408:
        raise ProviderDownError(f"the site answers {status}", retryable=True, status=status, where=shown(url))
    if status != 200:
        raise DocumentError(f"the site answers {status}", where=shown(url), hint="open the url in a browser to check")


async def _public_address(host: str, port: int) -> str:
    """Resolve a host, once, to an address of the public internet. Raises DocumentError for any other address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise ProviderDownError(f"the host {host!r} is not found", retryable=True) from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(_is_public(address) for address in addresses):
        raise DocumentError(
            f"the host {host!r} is not on the public internet, so it is not read",
            hint="if documents do live in a private network, set allow_private_hosts = true in the storage settings",
        )
    return str(addresses[0])


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is not None:
            return _is_public(embedded)
        # NAT64 hides an IPv4 address in the last 32 bits.
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast
