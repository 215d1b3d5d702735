import io
import sys

import psutil
import pypdfium2
import pytest
from PIL import Image

from pipelex.errors import DocumentError
from pipelex.inference import documents as module
from pipelex.inference.documents import Documents
from pipelex.inference.settings import DocumentSettings
from pipelex.storage.fetch import FetchedFile


def png(width=4, height=3, kind="PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, kind)
    return buffer.getvalue()


def pdf(*pages: str, images: int = 0) -> bytes:
    """A small PDF with one line of text per page, and pictures on the first."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    names = " ".join(f"/I{n} {4} 0 R" for n in range(images))
    objects.append(
        "<< /Type /XObject /Subtype /Image /Width 2 /Height 1 /ColorSpace /DeviceRGB /BitsPerComponent 8"
        " /Filter /ASCIIHexDecode /Length 13 >>\nstream\nff000000ff00>\nendstream"
    )
    for number, text in enumerate(pages):
        draw = "".join(f" q 50 0 0 25 {60 * n} 100 cm /I{n} Do Q" for n in range(images)) if number == 0 else ""
        content = f"BT /F1 12 Tf 20 150 Td ({text}) Tj ET{draw}"
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents {len(objects) + 2} 0 R"
            f" /Resources << /Font << /F1 3 0 R >> /XObject << {names} >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects[1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(kids)}] >>"
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    xref = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end = f"{xref}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + end.encode()


async def read(data: bytes, mime_type=None, *, settings=None, **options):
    pages = Documents(settings or DocumentSettings()).read_pages(FetchedFile(data, mime_type), **options)
    return [page async for page in pages]


async def test_pages_come_in_order_with_text_and_pictures():
    first, second = await read(pdf("hello one", "hello two", images=2))
    assert (first.text, second.text) == ("hello one", "hello two")
    assert [(picture.width, picture.height) for picture in first.pictures] == [(2, 1), (2, 1)]
    assert first.pictures[0].data.startswith(b"\x89PNG")
    assert second.pictures == ()
    assert first.view is None


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (1, 1), (None, 2)])
async def test_pictures_kept_per_page(limit, kept):
    [page] = await read(pdf("x", images=2), max_images=limit)
    assert len(page.pictures) == kept


async def test_views_are_rendered_at_the_resolution_within_bounds():
    [page] = await read(pdf("x"), views=True, dpi=144)
    assert page.view is not None
    assert (page.view.width, page.view.height) == (600, 400)
    [small] = await read(pdf("x"), views=True, dpi=144, settings=DocumentSettings(max_image_pixels=15_000))
    assert small.view is not None
    assert small.view.width * small.view.height <= 16_000


async def test_images_and_texts_are_one_page():
    for kind in ("PNG", "JPEG", "WEBP"):
        [page] = await read(png(kind=kind), views=True)
        assert page.text == ""
        assert page.pictures[0].mime_type == f"image/{kind.lower()}"
        assert page.view == page.pictures[0]
    [page] = await read("# caf\u00e9".encode(), "text/markdown")
    assert page.text == "# caf\u00e9"
    assert (await read(b"caf\xe9", "text/plain"))[0].text == "caf\u00e9"


@pytest.mark.parametrize(
    ("data", "mime_type", "words"),
    [
        (b"", None, "empty"),
        (b"%PDF-1.7 nothing", None, "damaged"),
        (b"hello", "application/pdf", "does not start like one"),
        (b"\x89PNG\r\n\x1a\nrubbish", None, "image is damaged"),
        (png(100, 100)[:60], None, "image is damaged"),
        (b"PK\x03\x04", "application/msword", "application/msword"),
        (b"<svg xmlns='x'/>", "image/svg+xml", "svg"),
        (b"\x00\x01\xff", None, "unknown"),
    ],
)
async def test_files_that_cannot_be_read_say_why(data, mime_type, words):
    with pytest.raises(DocumentError, match=words) as caught:
        await read(data, mime_type)
    assert not caught.value.is_retryable


async def test_limits_are_kept():
    with pytest.raises(DocumentError, match="2 pages, more than the 1 allowed"):
        await read(pdf("a", "b"), settings=DocumentSettings(max_pages=1))
    with pytest.raises(DocumentError, match="100x100 pixels"):
        await read(png(100, 100), settings=DocumentSettings(max_image_pixels=9999))


async def test_a_protected_pdf_is_refused():
    # The encryption dictionary is all that pdfium needs to see to ask for the password.
    locked = pdf("secret").replace(
        b"/Root 1 0 R",
        b"/Root 1 0 R /ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <"
        + b"11" * 32 + b"> /U <" + b"22" * 32 + b"> >>",
    )  # fmt: skip
    with pytest.raises(DocumentError, match="password"):
        await read(locked)


def stand_in(monkeypatch, tmp_path, program: str) -> None:
    """A reader that answers as the real one does, then does what the program says."""
    reader = tmp_path / "reader.py"
    reader.write_text(
        "import json, os, sys, time\n"
        "def say(head):\n"
        "    text = json.dumps(head).encode()\n"
        "    sys.stdout.buffer.write(len(text).to_bytes(8, 'big') + text)\n"
        "    sys.stdout.flush()\n"
        "page = {'text': 'one', 'is_from_ocr': False, 'notes': [], 'has_view': False, 'pictures': []}\n"
        f"marks = open({str(tmp_path / 'marks')!r}, 'a')\n"
        "sys.stdin.readline()\n" + program
    )
    monkeypatch.setattr(module, "_COMMAND", (sys.executable, str(reader)))


async def test_a_crash_of_the_reader_is_tried_once_more_then_explained(tmp_path, monkeypatch):
    program = (
        "marks.write('x'); marks.flush(); say({'total': 3})\n"
        "for line in sys.stdin:\n"
        "    say(page) if json.loads(line)['index'] == 0 else os.kill(os.getpid(), 11)\n"
    )
    stand_in(monkeypatch, tmp_path, program)
    with pytest.raises(DocumentError, match="crash at page 2"):
        await read(b"%PDF-1.4", settings=DocumentSettings(processes=1))
    assert (tmp_path / "marks").read_text() == "xx"


async def test_a_reader_that_dies_once_goes_on_where_it_stopped(tmp_path, monkeypatch):
    program = (
        "again = os.path.getsize(marks.name); marks.write('x'); marks.flush(); say({'total': 3})\n"
        "for line in sys.stdin:\n"
        "    index = json.loads(line)['index']\n"
        "    os.kill(os.getpid(), 9) if index == 1 and not again else say({**page, 'text': str(index)})\n"
    )
    stand_in(monkeypatch, tmp_path, program)
    pages = await read(b"%PDF-1.4", settings=DocumentSettings(processes=1))
    assert [page.text for page in pages] == ["0", "1", "2"]


@pytest.mark.parametrize("program", ["time.sleep(600)\n", "say({'total': 1}); time.sleep(600)\n"])
async def test_a_reader_that_hangs_is_ended(program, tmp_path, monkeypatch):
    stand_in(monkeypatch, tmp_path, "marks.write(str(os.getpid())); marks.flush()\n" + program)
    with pytest.raises(DocumentError, match="could not be read in"):
        await read(b"%PDF-1.4", settings=DocumentSettings(page_timeout="500ms"))
    assert not psutil.pid_exists(int((tmp_path / "marks").read_text()))


async def test_the_reader_is_given_none_of_our_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    stand_in(monkeypatch, tmp_path, "say({'total': 1}); sys.stdin.readline(); say({**page, 'text': str(os.environ)})\n")
    [page] = await read(b"%PDF-1.4")
    assert "PATH" in page.text
    assert "secret" not in page.text


async def test_many_documents_at_once():
    import asyncio

    documents = Documents(DocumentSettings(processes=2))

    async def text(number: int) -> str:
        pages = documents.read_pages(FetchedFile(pdf(f"number {number}")))
        return "".join([page.text async for page in pages])

    assert await asyncio.gather(*(text(n) for n in range(6))) == [f"number {n}" for n in range(6)]
    assert pypdfium2.PdfDocument(pdf("x")).get_page_size(0) == (300, 200)
