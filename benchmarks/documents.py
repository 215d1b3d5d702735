"""`python -m benchmarks.documents`: seconds and memory for 100 and 200 pages, in one process and over the cores.

Figures only; nothing is asserted.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from PIL import Image, ImageDraw, ImageFont

from pipelex.inference.documents import Documents
from pipelex.inference.settings import DocumentSettings
from pipelex.storage.fetch import FetchedFile

LINES = 50
SCANS = 8


def text_pdf(pages: int) -> bytes:
    """A PDF with 50 lines of text on each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    for page in range(pages):
        lines = " ".join(f"(Page {page}, line {line}: the tenant keeps the roof dry) Tj T*" for line in range(LINES))
        content = f"BT /F1 11 Tf 14 TL 60 780 Td {lines} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects) + 2} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(pages))
    objects[1] = f"<< /Type /Pages /Count {pages} /Kids [{kids}] >>"
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return bytes(out) + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()


def scanned_pdf(pages: int) -> bytes:
    """A PDF of pictures of text."""
    sheets = []
    for number in range(pages):
        sheet = Image.new("L", (1240, 1754), "white")
        pen = ImageDraw.Draw(sheet)
        for line in range(30):
            pen.text(
                (100, 100 + 50 * line),
                f"{number}.{line} The tenant keeps the roof dry",
                font=ImageFont.load_default(30),
            )
        sheets.append(sheet)
    buffer = io.BytesIO()
    sheets[0].save(buffer, "PDF", resolution=150, save_all=True, append_images=sheets[1:])
    return buffer.getvalue()


class Memory:
    """The most memory that this process and those it started held together."""

    def __init__(self) -> None:
        self.most_mib = 0.0
        self.is_over = threading.Event()

    def watch(self) -> None:
        """Look at it until it is over."""
        here = psutil.Process()
        while not self.is_over.wait(0.05):
            total = 0
            for process in [here, *here.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.most_mib = max(self.most_mib, total / 2**20)


@contextmanager
def watched() -> Iterator[Memory]:
    """Watch the memory meanwhile."""
    memory = Memory()
    thread = threading.Thread(target=memory.watch)
    thread.start()
    try:
        yield memory
    finally:
        memory.is_over.set()
        thread.join()


async def _read(data: bytes, processes: int, *, views: bool) -> int:
    documents = Documents(DocumentSettings(processes=processes))
    pages = documents.read_pages(FetchedFile(data), views=views, dpi=150)
    return len([None async for _ in pages])


def main() -> None:
    """Print one line per case."""
    cores = os.cpu_count() or 1
    print(f"{'what':<28}{'pages':>6}{'processes':>11}{'seconds':>9}{'MiB at most':>13}")
    papers = {pages: text_pdf(pages) for pages in (100, 200)}
    cases = [("text", pages, paper, False) for pages, paper in papers.items()]
    cases += [("page views at 150 dpi", pages, paper, True) for pages, paper in papers.items()]
    cases.append(("OCR", SCANS, scanned_pdf(SCANS), False))
    for name, pages, paper, views in cases:
        for processes in sorted({1, cores}):
            began = time.perf_counter()
            with watched() as memory:
                read = asyncio.run(_read(paper, processes, views=views))
            assert read == pages
            seconds = time.perf_counter() - began
            print(f"{name:<28}{pages:>6}{processes:>11}{seconds:>9.2f}{memory.most_mib:>13.0f}")


if __name__ == "__main__":
    main()
