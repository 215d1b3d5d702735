import asyncio
import base64
import contextlib
from datetime import timedelta

import pytest

from pipelex.errors import DocumentError, ProviderDownError
from pipelex.storage.fetch import read_url
from pipelex.storage.local import LocalBlobs
from pipelex.storage.settings import StorageSettings

OPEN = StorageSettings(allow_private_hosts=True, max_file_bytes=1000)
GUARDED = StorageSettings(max_file_bytes=1000)


@pytest.fixture
def blobs(tmp_path):
    return LocalBlobs(tmp_path)


@pytest.fixture
async def site():
    """A site that answers from a table of raw HTTP answers, by path."""
    answers: dict[str, bytes] = {}

    async def serve(reader, writer):
        line = await reader.readline()
        while (await reader.readline()).strip():
            pass
        writer.write(answers[line.split()[1].decode()])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answers
    server.close()


def http(body: bytes, head: str = "Content-Type: text/plain", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{head}\r\n\r\n".encode() + body


async def test_stored_blobs_are_read(blobs):
    reference = await blobs.put(b"hello", mime_type="text/plain")
    found = await read_url(reference, blobs, GUARDED)
    assert (found.data, found.mime_type) == (b"hello", "text/plain")


async def test_data_urls_are_read(blobs):
    encoded = base64.b64encode(b"hello").decode()
    assert (await read_url(f"data:text/markdown;base64,{encoded}", blobs, GUARDED)).mime_type == "text/markdown"
    assert (await read_url("data:,a%20b", blobs, GUARDED)).data == b"a b"
    for wrong in ("data:text/plain", "data:text/plain;base64,@@@", "data:," + "x" * 1001):
        with pytest.raises(DocumentError):
            await read_url(wrong, blobs, GUARDED)


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "notes.txt", "ftp://example.com/x"])
async def test_a_worker_reads_no_local_path(url, blobs):
    with pytest.raises(DocumentError, match="not a url that a worker reads"):
        await read_url(url, blobs, OPEN)


async def test_the_web_is_read_when_hosts_are_open(blobs, site):
    base, answers = site
    answers["/doc/a%20b.txt"] = http(b"hello")
    answers["/moved"] = http(b"", "Location: /doc/a%20b.txt", "302 Found")
    found = await read_url(f"{base}/moved", blobs, OPEN)
    assert (found.data, found.mime_type, found.filename) == (b"hello", "text/plain", "a b.txt")


async def test_large_files_are_cut_off(blobs, site):
    base, answers = site
    answers["/announced"] = http(b"x" * 1001)
    answers["/silent"] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000
    for path in ("/announced", "/silent"):
        with pytest.raises(DocumentError, match="too large"):
            await read_url(base + path, blobs, OPEN)


async def test_statuses_say_whether_to_try_again(blobs, site):
    base, answers = site
    answers["/gone"] = http(b"", "X: y", "404 Not Found")
    answers["/down"] = http(b"", "X: y", "503 Busy")
    answers["/loop"] = http(b"", "Location: /loop", "302 Found")
    answers["/file"] = http(b"", "Location: file:///etc/passwd", "302 Found")
    with pytest.raises(DocumentError, match="404"):
        await read_url(f"{base}/gone", blobs, OPEN)
    with pytest.raises(ProviderDownError) as caught:
        await read_url(f"{base}/down", blobs, OPEN)
    assert caught.value.is_retryable
    with pytest.raises(DocumentError, match="redirects"):
        await read_url(f"{base}/loop", blobs, OPEN)
    with pytest.raises(DocumentError, match="refused to follow"):
        await read_url(f"{base}/file", blobs, OPEN)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.8", "192.168.1.1", "169.254.169.254", "0.0.0.0", "[::1]", "[fd00::1]",
        "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "100.64.0.1", "224.0.0.1", "2130706433",
    ],
)  # fmt: skip
async def test_private_hosts_are_refused(host, blobs):
    with pytest.raises(DocumentError, match="public internet"):
        await read_url(f"http://{host}:9/latest/meta-data", blobs, GUARDED)


async def test_the_checked_address_is_the_one_that_is_called(blobs, site, monkeypatch):
    """The name is resolved once, and the request goes to that address with the name as host."""
    from pipelex.storage import fetch

    base, answers = site
    answers["/x.txt"] = http(b"pinned")

    async def resolve(host, port):
        assert host == "docs.example.com"
        return "127.0.0.1"

    monkeypatch.setattr(fetch, "_public_address", resolve)
    port = base.rpartition(":")[2]
    assert (await read_url(f"http://docs.example.com:{port}/x.txt", blobs, GUARDED)).data == b"pinned"


async def test_a_site_that_trickles_is_given_up(blobs):
    """The time holds for the whole file: each byte on its own comes quickly enough."""

    async def trickle(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    slow = OPEN.model_copy(update={"fetch_timeout": timedelta(seconds=0.2)})
    with pytest.raises(ProviderDownError, match="no full answer") as caught:
        await read_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a", blobs, slow)
    assert caught.value.is_retryable
    server.close()


async def test_messages_show_neither_the_query_nor_the_credentials_of_a_url(blobs, site):
    base, answers = site
    answers["/gone?sig=canary-of-a-url"] = answers["/gone"] = http(b"", "X: y", "404 Not Found")
    address = base.replace("://", "://user:canary-of-a-password@")
    with pytest.raises(DocumentError) as caught:
        await read_url(f"{address}/gone?sig=canary-of-a-url", blobs, OPEN)
    assert "canary" not in caught.value.render()
    assert "/gone?..." in (caught.value.where or "")
    with pytest.raises(DocumentError, match="not a valid url"):
        await read_url("http://[::1/a?sig=x", blobs, OPEN)
