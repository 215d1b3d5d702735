from __future__ import annotations

import pytest

from pipelex.values.concepts import Concepts
from pipelex.values.files import described, filename_of, mime_type_of

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("url", "mime_type", "filename"),
    [
        ("leaf.png", "image/png", "leaf.png"),
        ("a/b c.JPG", "image/jpeg", "b c.JPG"),
        ("~/scan.pdf", "application/pdf", "scan.pdf"),
        ("50%20off?.pdf", "application/pdf", "50%20off?.pdf"),
        ("C:\\tea\\scan.pdf", "application/pdf", "scan.pdf"),
        ("file:///tmp/my%20scan.pdf", "application/pdf", "my scan.pdf"),
        ("https://x.test/a/b%20c.docx?v=1.png#top", DOCX, "b c.docx"),
        ("https://x.test/", None, None),
        ("https://x.test", None, None),
        ("https://x.test/page", None, "page"),
        ("https://x.test/v1.2", None, "v1.2"),
        ("data:image/webp;base64,AAAA", "image/webp", None),
        ("data:,hello.png", "text/plain", None),
        ("pipelex-storage://" + "0" * 64 + ".pdf", "application/pdf", None),
        (".pdf", None, ".pdf"),
        ("folder/", None, None),
        ("", None, None),
        ("https://[bad/x.png", None, None),
    ],
)
def test_what_a_url_tells(url: str, mime_type: str | None, filename: str | None) -> None:
    assert filename_of(url) == filename
    assert mime_type_of(url) == mime_type


def test_what_is_given_stays(concepts: Concepts) -> None:
    given = {"url": "a.png", "mime_type": "image/x-tea", "filename": None}
    assert described([given], "tea.Dried", concepts) == [{**given, "filename": "a.png"}]
    page = {"text_and_images": {"text": None, "images": [{"url": "b.gif"}]}, "page_view": None}
    assert described(page, "native.Page", concepts) == {
        "text_and_images": {
            "text": None,
            "images": [{"url": "b.gif", "mime_type": "image/gif", "filename": "b.gif"}],
        },
        "page_view": None,
    }
    assert described({"url": "a.png"}, "native.Dynamic", concepts) == {"url": "a.png"}
