"""Documents through the real commands: those that are bad end a run with advice, and a worker goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e_project import Project

from document_files import locked_pdf, paragraph, scanned, text_pdf, word, written

READ = """
domain = "reading"
main_pipe = "read"

[pipe.read]
type = "PipeExtract"
description = "Read a document"
inputs = { paper = "Document" }
output = "Page[]"
"""
BOMB = word(paragraph("x"), more={"word/more.xml": b"\0" * 300_000_000})
BAD = [
    ("locked.pdf", locked_pdf(), "protected by a password", "save a copy without the password"),
    ("bomb.docx", BOMB, "would unpack to more than", "save it with smaller pictures"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "svg", "PNG"),
]


def given(work: Project, name: str, data: bytes) -> tuple[str, ...]:
    """The inputs of a run that reads that file."""
    (work.folder / name).write_bytes(data)
    return ("-i", json.dumps({"paper": {"url": str(work.folder / name)}}))


@pytest.mark.parametrize(("name", "data", "words", "hint"), BAD, ids=[name for name, *_ in BAD])
async def test_a_bad_document_ends_a_run_with_advice(
    tmp_path: Path, name: str, data: bytes, words: str, hint: str
) -> None:
    async with Project(tmp_path) as work:
        work.write("method.mthds", READ)
        run = await work.run("run", "bundle", "method.mthds", "--no-temporal", *given(work, name, data))
        assert await run.ended() == 1
        assert "[document-error]" in run.err
        assert words in run.err
        assert hint in run.err
        assert "Traceback" not in run.err
        assert not [path for path in work.results if "main_stuff" in str(path)]


@pytest.mark.server
async def test_a_worker_reads_the_next_document_after_a_bad_one(address: str, tmp_path: Path) -> None:
    async with Project(tmp_path) as work:
        work.use(address)
        work.write("method.mthds", READ)
        worker = await work.worker()
        for name, data, words, _ in BAD:
            run = await work.method(*given(work, name, data))
            assert await run.ended() == 1
            assert words in run.err
        for name, data, text in (
            ("typed.pdf", text_pdf("typed words"), "typed words"),
            ("scan.pdf", scanned(written("scanned words")), "scanned words"),
            ("letter.docx", word(paragraph("written words")), "written words"),
        ):
            run = await work.method(*given(work, name, data), "--json")
            assert await run.ended() == 0, run.err
            assert text in run.out
        assert worker.process.returncode is None
