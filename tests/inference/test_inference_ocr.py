"""Pages without a text layer, read with the real tesseract; and what is said where there is none."""

import asyncio
import os
import time

import psutil
import pytest

from document_files import as_bytes, drawn_pdf, scanned, text_pdf, written
from pipelex.errors import ConfigError, DocumentError
from pipelex.inference.documents import Documents
from pipelex.inference.settings import DocumentSettings
from pipelex.storage.fetch import FetchedFile


async def read(data, settings=None, **options):
    return [page async for page in Documents(settings or DocumentSettings()).read_pages(FetchedFile(data), **options)]


async def test_a_scanned_page_is_read_by_ocr():
    first, second = await read(
        scanned(written("The quick brown fox", "jumps over the lazy dog"), written("Invoice number 4711"))
    )
    assert first.text == "The quick brown fox\njumps over the lazy dog"
    assert second.text == "Invoice number 4711"
    assert len(first.pictures) == 1


async def test_an_image_is_read_by_ocr():
    [page] = await read(as_bytes(written("Total due: 42 euros")))
    assert page.text == "Total due: 42 euros"
    assert page.pictures[0].width == 1240


async def test_a_text_layer_is_trusted_and_blank_pages_stay_blank(monkeypatch, tmp_path):
    marks = stand_in(monkeypatch, tmp_path, "touch %s; exit 1")
    short, blank = await read(drawn_pdf(["BT /F1 11 Tf 60 780 Td (Page 1) Tj ET", ""]))
    assert (short.text, blank.text) == ("Page 1", "")
    assert not marks.exists()


async def test_ocr_is_left_out_where_nobody_wants_it(caplog):
    paper = scanned(written("Hello there"))
    [off] = await read(paper, DocumentSettings(ocr="off"))
    [no_text] = await read(paper, text=False)
    assert (off.text, no_text.text) == ("", "")
    assert not caplog.records


def stand_in(monkeypatch, tmp_path, script):
    """A tesseract that runs this script, in which %s is a file for marks."""
    marks = tmp_path / "marks"
    program = tmp_path / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'tesseract 5.3.0'; exit; fi\n{script % marks}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return marks


def without_tesseract(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


async def test_a_scan_without_any_ocr_says_what_to_install(monkeypatch, tmp_path, caplog):
    without_tesseract(monkeypatch, tmp_path)
    with pytest.raises(DocumentError, match="no page of the PDF has a text layer") as caught:
        await read(scanned(written("one"), written("two")))
    for words in ("apt install tesseract-ocr", "pipelex[ocr]", "mistral-ocr-latest"):
        assert words in caught.value.render()
    [view] = await read(scanned(written("one")), views=True)
    assert view.view is not None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_one_warning_for_a_document_with_some_scans(monkeypatch, tmp_path, caplog):
    import pypdfium2

    without_tesseract(monkeypatch, tmp_path)
    both = pypdfium2.PdfDocument(text_pdf("typed"))
    both.import_pages(pypdfium2.PdfDocument(scanned(written("a"), written("b"))))
    path = tmp_path / "both.pdf"
    both.save(path)
    assert [page.text for page in await read(path.read_bytes())] == ["typed", "", ""]
    [record] = caplog.records
    assert "apt install tesseract-ocr" in record.getMessage()
    [picture] = await read(as_bytes(written("x")))
    assert picture.text == ""


async def test_a_language_that_is_not_installed_is_named():
    with pytest.raises(ConfigError, match="no data for the languages 'tlh'") as caught:
        await read(scanned(written("x")), DocumentSettings(ocr_languages="tlh"))
    assert "tesseract-ocr-tlh" in caught.value.render()


def has_ended(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


async def until(condition) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_tesseract_ends_with_the_time_of_the_page(monkeypatch, tmp_path):
    marks = stand_in(monkeypatch, tmp_path, "echo $$ > %s; exec sleep 600")
    with pytest.raises(DocumentError, match="could not be read in 4 s"):
        await read(scanned(written("x")), DocumentSettings(page_timeout="4s"))
    await until(lambda: has_ended(int(marks.read_text())))


async def test_it_ends_when_nobody_waits_for_the_pages_any_more(monkeypatch, tmp_path):
    marks = stand_in(monkeypatch, tmp_path, "echo $$ > %s; exec sleep 600")
    reading = asyncio.create_task(read(scanned(written("x"))))
    await until(lambda: marks.exists() and marks.read_text().strip())
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: has_ended(int(marks.read_text())))


async def test_a_photograph_gives_no_noise():
    import random

    from PIL import Image

    chance = random.Random(1)
    noise = Image.frombytes("L", (300, 300), chance.randbytes(90_000)).resize((900, 900))
    [page] = await read(as_bytes(noise))
    assert page.text == ""


async def test_two_columns_keep_their_order():
    left = " ".join(f"(left line {n} goes on here) Tj T*" for n in range(1, 9))
    right = " ".join(f"(right line {n} goes on here) Tj T*" for n in range(1, 9))
    page = f"BT /F1 12 Tf 18 TL 50 780 Td {left} ET BT /F1 12 Tf 18 TL 330 780 Td {right} ET"
    [typed] = await read(drawn_pdf([page]))
    wanted = [f"{side} line {n} goes on here" for side in ("left", "right") for n in range(1, 9)]
    assert typed.text.split("\n") == wanted
    [shown] = await read(drawn_pdf([page]), views=True, dpi=200)
    [seen] = await read(shown.view.data)
    assert [line for line in seen.text.split("\n") if line] == wanted


async def test_pages_are_read_in_several_processes_at_once_and_stay_in_order(monkeypatch, tmp_path):
    # Each waits for the other: alone, neither would ever end.
    script = (
        "mkdir -p %s.d; touch %s.d/$$; "
        'until [ $(ls %s.d | wc -l) -ge 2 ]; do sleep 0.02; done; exec /usr/bin/tesseract "$@"'
    ).replace("%s", str(tmp_path / "marks"))
    stand_in(monkeypatch, tmp_path, script + " # %s")
    paper = scanned(*[written(f"This is page {n}") for n in range(1, 6)])
    settings = DocumentSettings(processes=3, page_timeout="30s")
    documents = Documents(settings)
    # The first page is read alone: only then is it known that pages take long.
    (tmp_path / "marks.d").mkdir()
    (tmp_path / "marks.d" / "0").touch()
    texts = [page.text async for page in documents.read_pages(FetchedFile(paper))]
    assert texts == [f"This is page {n}" for n in range(1, 6)]
