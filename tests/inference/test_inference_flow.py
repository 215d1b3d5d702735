"""Word documents, web pages and plain texts, through the performer, and in prompts."""

import json
import os

import pytest

from document_files import image, paragraph, word
from pipelex.errors import ConfigError, DocumentError
from pipelex.inference import documents as module
from pipelex.inference.deck import Deck
from pipelex.inference.documents import Documents
from pipelex.inference.performer import Performer
from pipelex.inference.settings import DocumentSettings, InferenceSettings
from pipelex.pipes.requests import Attachment, ExtractRequest, ModelSetting, TextRequest
from pipelex.storage.fetch import FetchedFile
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubProvider

PAGE = b"""<!doctype html><html><head><title>T</title><style>p { color: red }</style><script>alert(1)</script></head>
<body><h1>Terms</h1><p>One <b>bold</b> <a href="https://example.com/x">word</a>.</p>
<img src="http://169.254.169.254/latest" alt="a chart"><iframe src="file:///etc/passwd">no</iframe>
<ul><li>first</li><li>second</li></ul><table><tr><th>a</th></tr><tr><td>1</td></tr></table></body></html>"""


async def read(data, mime_type=None, charset=None, filename=None, settings=None, **options):
    file = FetchedFile(data, mime_type, filename, charset)
    [page] = [page async for page in Documents(settings or DocumentSettings()).read_pages(file, **options)]
    return page


async def test_a_word_document_is_markdown_with_its_pictures():
    body = (
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Contract</w:t></w:r></w:p>'
        + paragraph("Between &lt;A&gt; and B &#8212; caf&#233;")
        + "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>fee</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    page = await read(word(body, picture=image()))
    assert "Between \\<A> and B \u2014 caf\u00e9" in page.text or "Between <A> and B \u2014 caf\u00e9" in page.text
    assert "Contract" in page.text
    assert "fee" in page.text
    assert "![a picture](image-1.png)" in page.text
    assert [(found.data, found.width) for found in page.pictures] == [(image(), 40)]
    assert (await read(word(body, picture=image()), max_images=0)).pictures == ()


async def test_a_linked_picture_of_a_word_document_is_not_opened(tmp_path, caplog):
    secret = tmp_path / "secret.png"
    secret.write_bytes(image())
    page = await read(word(paragraph("hello"), linked=f"file://{secret}"))
    assert page.text.startswith("hello")
    assert page.pictures == ()
    assert "left out" in caplog.text


async def test_a_web_page_is_what_a_reader_sees():
    page = await read(PAGE, "text/html")
    assert page.text.startswith("# Terms")
    assert "One **bold** [word](https://example.com/x)." in page.text
    assert "- first\n- second" in page.text
    assert "a chart" in page.text
    for hidden in ("alert", "color", "169.254", "passwd"):
        assert hidden not in page.text
    assert (await read(PAGE, "text/plain")).text == page.text


async def test_a_web_page_in_an_older_encoding():
    page = "<html><head><meta charset='windows-1251'></head><p>\u041f\u0440\u0438\u0432\u0435\u0442</p></html>"
    assert (await read(page.encode("cp1251"))).text == "\u041f\u0440\u0438\u0432\u0435\u0442"
    plain = page.replace("<meta charset='windows-1251'>", "")
    assert (await read(plain.encode("cp1251"), charset="cp1251")).text == "\u041f\u0440\u0438\u0432\u0435\u0442"


async def test_a_web_page_nested_deeper_than_any_is_still_read():
    deep = b"<html>" + b"<div>" * 20_000 + b"bottom" + b"</div>" * 20_000
    assert (await read(deep)).text == "bottom"


TEXT = "na\u00efve \u2713 text"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
async def test_texts_are_read_in_the_encoding_that_they_show(encoding):
    assert (await read(TEXT.encode(encoding))).text == TEXT
    assert (await read(TEXT.encode(encoding), "text/markdown")).text == TEXT


async def test_texts_are_read_in_the_encoding_that_is_declared():
    text = "\u041f\u0440\u0438\u0432\u0435\u0442"
    assert (await read(text.encode("koi8-r"), "text/plain", "koi8-r")).text == text
    assert (await read(b"plain", "text/plain", "no-such-charset")).text == "plain"


async def test_a_text_of_windows_is_read_with_a_warning_and_any_other_is_refused(caplog):
    page = await read("Un caf\u00e9 \u20ac".encode("cp1252"), "text/plain", filename="menu.txt")
    assert page.text == "Un caf\u00e9 \u20ac"
    assert "menu.txt" in caplog.text
    for text, encoding in (("\u041f\u0440\u0438\u0432\u0435\u0442", "cp1251"), ("\u65e5\u672c\u8a9e", "shift-jis")):
        with pytest.raises(DocumentError, match="not in UTF-8") as caught:
            await read(text.encode(encoding), "text/plain")
        assert "iconv" in caught.value.render()


async def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nsys.modules['mammoth'] = None\nsys.modules['bs4'] = None\n")
    monkeypatch.setattr("pipelex.inference.reader_process._PACKAGES", f"{tmp_path}{os.pathsep}{_packages()}")
    for data in (word(paragraph("x")), PAGE):
        with pytest.raises(ConfigError, match="not installed") as caught:
            await read(data)
        assert "pipelex[documents]" in caught.value.render()


def _packages() -> str:
    from pathlib import Path

    return str(Path(module.__file__).parents[2])


@pytest.fixture
async def bench(tmp_path):
    async with StubProvider() as stub:
        keys = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.base_url}
        blobs = LocalBlobs(tmp_path / "blobs")
        performer = Performer(InferenceSettings(), Deck.load([tmp_path], keys), blobs)
        yield performer, blobs, stub
        await performer.aclose()


async def test_pictures_land_in_storage_once(bench, tmp_path):
    performer, blobs, _ = bench
    twice = word(paragraph("a"), picture=image(), more={"word/media/image2.png": image()})
    urls = []
    for data, name in ((twice, "one.docx"), (word(paragraph("b"), picture=image()), "two.docx")):
        url = await blobs.put(data, mime_type=None, filename=name)
        model = ModelSetting(handle="pypdfium2-extract-pdf")
        [page] = (await performer.perform(ExtractRequest(model=model, url=url))).pages
        [found] = page["text_and_images"]["images"]
        urls.append(found["url"])
    assert len(set(urls)) == 1
    pngs = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.read_bytes() == image()]
    assert len(pngs) == 1


async def test_texts_of_every_kind_go_with_a_prompt(bench):
    performer, blobs, stub = bench
    files = [(word(paragraph("from word")), "a.docx"), (PAGE, "b.html"), (TEXT.encode("utf-16"), "c.txt")]
    urls = [await blobs.put(data, mime_type=None, filename=name) for data, name in files]
    attachments = [Attachment(kind="document", url=url) for url in urls]
    request = TextRequest(model=ModelSetting(handle="gpt-4o"), prompt="compare", attachments=attachments)
    await performer.perform(request)
    sent = json.dumps(stub.requests[-1].body, ensure_ascii=False)
    for words in ("[Document 1]\\nfrom word", "[Document 2]\\n# Terms", f"[Document 3]\\n{TEXT}"):
        assert words in sent
