"""Reads one file in a process of its own: what it costs in memory, and a crash, end this process and nothing else.

In: a line of JSON (the file and the limits), then a line for each page that is wanted. Out, for each line: the length
of a JSON text in 8 bytes, that text, and the bytes of the pictures that it announces.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from pipelex.inference.readers.parts import Limits, Page, Source, Unreadable, Wanted


def main() -> None:
    """Open the file that the first line names, then answer until the other side hangs up."""
    out = _own_output()
    opening = json.loads(sys.stdin.buffer.readline())
    _limit_memory(opening["max_memory_bytes"])
    try:
        source = _open(opening, Path(opening["path"]), Limits(**opening["limits"]))
        _send(out, {"total": source.total})
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            _send_page(out, source.page(asked.pop("index"), Wanted(**asked)))
    except Unreadable as error:
        _send(out, {"problem": error.problem, "detail": error.detail[:500]})
    except MemoryError:
        _send(out, {"problem": "memory", "detail": str(opening["max_memory_bytes"])})
    except BrokenPipeError:
        # Nobody waits for the answer any more.
        os._exit(0)


def _own_output() -> BinaryIO:
    """The real standard output, which from here on nobody else writes to."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _limit_memory(most: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        # No such limit on this system: those on pages, pixels and sizes still hold.
        return


def _open(opening: dict[str, Any], path: Path, limits: Limits) -> Source:
    kind = opening["kind"]
    if kind == "pdf":
        from pipelex.inference.readers.pdf import PdfSource

        return PdfSource(path, limits)
    if kind == "image":
        from pipelex.inference.readers.image import ImageSource

        return ImageSource(path, limits)
    from pipelex.inference.readers.flow import WebSource, WordSource

    return WordSource(path, limits) if kind == "word" else WebSource(path, opening["charset"])


def _send_page(out: BinaryIO, page: Page) -> None:
    pictures = [*page.pictures, *([page.view] if page.view else [])]
    head = {
        "text": page.text,
        "is_from_ocr": page.is_from_ocr,
        "notes": page.notes,
        "has_view": page.view is not None,
        "pictures": [{**picture._asdict(), "data": len(picture.data)} for picture in pictures],
    }
    _send(out, head, *(picture.data for picture in pictures))


def _send(out: BinaryIO, head: dict[str, Any], *blobs: bytes) -> None:
    text = json.dumps(head).encode()
    out.write(len(text).to_bytes(8, "big") + text)
    for blob in blobs:
        out.write(blob)
    out.flush()


if __name__ == "__main__":
    main()
