"""Files and urls that are broken, hostile or too large, each through the performer: an error that says what to do."""

import asyncio
import contextlib
import io
import random
import struct
import zipfile
import zlib

import psutil
import pytest
from PIL import Image

from document_files import WORD_NAMES, drawn_pdf, image, locked_pdf, paragraph, scanned, text_pdf, word
from pipelex.errors import DocumentError, PipelexError, ProviderDownError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import DocumentSettings, InferenceSettings
from pipelex.pipes.requests import Attachment, ExtractRequest, ModelSetting, TextRequest
from pipelex.storage.local import LocalBlobs
from pipelex.storage.settings import StorageSettings
from pipelex.testing.provider_stub import StubProvider

MODEL = ModelSetting(handle="pypdfium2-extract-pdf")
OPEN = StorageSettings(allow_private_hosts=True, fetch_timeout="1s", max_file_bytes=2_000_000)
SVG = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<svg xmlns="http://www.w3.org/2000/svg"><image href="http://169.254.169.254/latest"/>&x;</svg>"""


@pytest.fixture
async def performer(tmp_path):
    made = {}

    def make(storage=None, **documents) -> Performer:
        blobs = LocalBlobs(tmp_path / "blobs")
        settings = InferenceSettings(documents=DocumentSettings(**documents))
        deck = Deck.load([tmp_path], {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
        made[len(made)] = Performer(settings, deck, blobs, storage=storage)
        return made[len(made) - 1]

    yield make
    for one in made.values():
        await one.aclose()


async def extract(performer: Performer, data: bytes, name: str | None = None, mime_type: str | None = None):
    url = await performer._blobs.put(data, mime_type=mime_type, filename=name)
    return (await performer.perform(ExtractRequest(model=MODEL, url=url, mime_type=mime_type))).pages


def png_of(width: int, height: int) -> bytes:
    """A PNG of one colour whose size is declared, and that is small itself."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0" * ((width // 8 + 1) * min(height, 2000)), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    """A Word file of some kilobytes that would unpack to 300 MB."""
    buffer = io.BytesIO(word(paragraph("x")))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("word/more.xml", "w") as file:
        for _ in range(300):
            file.write(b"\0" * 1_000_000)
    return buffer.getvalue()


def lying_zip_bomb() -> bytes:
    """The same, where the table of contents says that it is small."""
    data = bytearray(zip_bomb())
    real = struct.pack("<I", 300_000_000)
    while (at := data.rfind(real)) >= 0:
        data[at : at + 4] = struct.pack("<I", 1000)
    return bytes(data)


def entity_bomb() -> bytes:
    names = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    body = f"<w:document {WORD_NAMES}><w:body>{paragraph('&a11;')}</w:body></w:document>"
    return word("", more={"word/document.xml": f'<!DOCTYPE w [<!ENTITY a0 "lol">{names}]>{body}'.encode()})


BAD = {
    "empty": (lambda: b"", "a.pdf", None, "empty"),
    "encrypted": (lambda: locked_pdf(), "a.pdf", None, "protected by a password"),
    "truncated": (lambda: text_pdf("one", "two")[:60], "a.pdf", None, "damaged"),
    "pages": (lambda: drawn_pdf([""] * 10_000), "a.pdf", None, "10000 pages, more than the 2000 allowed"),
    "not-a-pdf": (lambda: b"just some words", "a.pdf", None, "does not start like one"),
    "page-to-log-in": (lambda: b"<!DOCTYPE html><html>log in</html>", "a.pdf", "application/pdf", "is a web page"),
    "zip-bomb": (lambda: zip_bomb(), "a.docx", None, "would unpack to more than"),
    "entity-bomb": (lambda: entity_bomb(), "a.docx", None, "Word document is damaged"),
    "not-word": (lambda: b"PK\x03\x04word/document.xml", "a.docx", None, "Word document is damaged"),
    "old-word": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.doc", None, "cannot be read"),
    "svg": (lambda: SVG, "a.svg", None, "image/svg"),
    "svg-as-text": (lambda: SVG, "a.txt", "text/plain", "image/svg"),
    "pixels": (lambda: png_of(60_000, 60_000), "a.png", None, "has 3600000000 pixels"),
    "fifty-megabytes": (lambda: image() + b"\0" * 50_000_000, "a.png", None, "bytes, more than the"),
    "encoding": (
        lambda: "\u041f\u0440\u0438\u0432\u0435\u0442".encode("cp1251"),
        "a.txt",
        "text/plain",
        "not in UTF-8",
    ),
    "binary": (lambda: b"\x00\x01\xff\xfe", "a.bin", None, "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_file_is_an_error_with_advice_and_the_next_is_read(performer, name):
    make, filename, mime_type, words = BAD[name]
    data = make()
    here = performer()
    before = psutil.Process().memory_info().rss
    with pytest.raises(PipelexError, match=words) as caught:
        await extract(here, data, filename, mime_type)
    assert isinstance(caught.value, DocumentError)
    assert not caught.value.is_retryable
    assert caught.value.where
    assert psutil.Process().memory_info().rss - before < 300 * 2**20
    [page] = await extract(here, text_pdf("still here"))
    assert page["text_and_images"]["text"] == {"text": "still here"}


async def test_an_archive_that_lies_about_its_size_does_no_harm(performer):
    [page] = await extract(performer(), lying_zip_bomb(), "a.docx")
    assert page["text_and_images"]["text"] == {"text": "x"}


async def test_a_file_that_needs_much_memory_ends_its_own_process_only(performer):
    cells = paragraph("x") * 120_000
    here = performer(max_memory_bytes=256 * 2**20)
    with pytest.raises(DocumentError, match="bytes of memory"):
        await extract(here, word(cells), "a.docx")
    assert len(await extract(here, text_pdf("still here"))) == 1


async def test_a_truncated_pdf_that_still_opens_gives_what_it_has(performer):
    data = text_pdf("one", "two", "three")
    pages = await extract(performer(), data[: data.index(b"startxref")])
    assert [page["text_and_images"]["text"]["text"] for page in pages] == ["one", "two", "three"]


async def test_pictures_of_one_page_are_bounded(performer):
    here = performer(max_memory_bytes=256 * 2**20, ocr="off")
    noise = Image.frombytes("RGB", (3600, 3600), random.Random(1).randbytes(3600 * 3600 * 3))
    with pytest.raises(DocumentError, match="pictures of one page take more than"):
        await extract(here, scanned(noise))


@pytest.fixture
async def site():
    """A site whose answers are scripted, by path; a body may never end."""
    heads: dict[str, bytes] = {}

    async def serve(reader, writer):
        path = (await reader.readline()).split()[1].decode()
        writer.write(heads[path])
        with contextlib.suppress(ConnectionError):
            while path.startswith("/endless"):
                writer.write(b"x" * (65536 if path == "/endless-fast" else 1))
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    server.close()


def answer(kind: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\n\r\n".encode() + body


async def get(performer: Performer, url: str):
    return (await performer.perform(ExtractRequest(model=MODEL, url=url))).pages


async def test_urls_that_do_harm(performer, site):
    base, heads = site
    heads["/file"] = b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nConnection: close\r\n\r\n"
    heads["/nowhere"] = b"HTTP/1.1 302 Found\r\nConnection: close\r\n\r\n"
    heads["/endless"] = answer("text/plain")
    heads["/endless-fast"] = answer("text/plain")
    heads["/image"] = answer("text/html; charset=utf-8", image())
    heads["/russian"] = answer("text/plain; charset=windows-1251", "\u041f\u0440\u0438".encode("cp1251"))
    here = performer(OPEN)
    with pytest.raises(DocumentError, match="refused to follow a redirect"):
        await get(here, f"{base}/file")
    with pytest.raises(DocumentError, match="answers 302"):
        await get(here, f"{base}/nowhere")
    with pytest.raises(ProviderDownError, match="no full answer in 1 s"):
        await get(here, f"{base}/endless")
    with pytest.raises(DocumentError, match="too large"):
        await get(here, f"{base}/endless-fast")
    [page] = await get(here, f"{base}/image")
    assert page["text_and_images"]["images"][0]["mime_type"] == "image/png"
    [page] = await get(here, f"{base}/russian")
    assert page["text_and_images"]["text"] == {"text": "\u041f\u0440\u0438"}
    guarded = performer()
    for url in (f"{base}/image", "http://169.254.169.254/latest", "http://[::1]/x", "http://localhost/x"):
        with pytest.raises(DocumentError, match="not on the public internet"):
            await get(guarded, url)


async def test_files_of_a_prompt_are_looked_at_before_they_are_sent(tmp_path):
    async with StubProvider() as stub:
        deck = Deck.load([tmp_path], {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.base_url})
        here = Performer(InferenceSettings(), deck, LocalBlobs(tmp_path / "blobs"))
        for name in ("fifty-megabytes", "pixels", "svg", "zip-bomb", "encoding"):
            make, filename, mime_type, words = BAD[name]
            url = await here._blobs.put(make(), mime_type=mime_type, filename=filename)
            attachment = Attachment(kind="image" if "image" in str(mime_type) else "document", url=url)
            with pytest.raises(DocumentError, match=words) as caught:
                await here.perform(
                    TextRequest(model=ModelSetting(handle="gpt-4o"), prompt="x", attachments=[attachment])
                )
            assert caught.value.where
        assert stub.calls == 0
        await here.aclose()
