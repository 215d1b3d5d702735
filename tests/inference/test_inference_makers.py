"""Images, searches and documents: the deck, the real clients against a stub, the simulated ones, the files."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from pipelex.errors import ConfigError, DocumentError, ModelNotFoundError, RateLimitError, ReplyError
from pipelex.inference.deck import Deck
from pipelex.inference.page import read_page
from pipelex.inference.pdf_writer import write_pdf
from pipelex.inference.performer import Performer
from pipelex.inference.providers.sizes import pixels
from pipelex.inference.settings import InferenceSettings, SimulatedSettings
from pipelex.pipes.models import ModelAsk
from pipelex.pipes.requests import (
    Attachment,
    DocumentRequest,
    ExtractRequest,
    ImageRequest,
    ModelSetting,
    SearchRequest,
)
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import PIXEL, StubAnswer, StubProvider

PNG = base64.b64decode(PIXEL)
SIMULATED = "simulated"


def performer(tmp_path: Path, base_url: str = "http://127.0.0.1:9/v1", **settings) -> Performer:
    keys = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": base_url, "LINKUP_API_KEY": "l", "TAVILY_API_KEY": "t"}
    (tmp_path / "backends.toml").write_text(f'[linkup]\nendpoint = "{base_url}"\n[tavily]\nendpoint = "{base_url}"\n')
    return Performer(InferenceSettings(**settings), Deck.load([tmp_path], keys), LocalBlobs(tmp_path / "blobs"))


@pytest.fixture
async def stub():
    async with StubProvider() as server:
        yield server


@pytest.fixture
async def real(tmp_path, stub):
    made = performer(tmp_path, stub.base_url)
    yield made
    await made.aclose()


def image(prompt="a cup", handle="gpt-image-1", backend=None, setting=None, **more) -> ImageRequest:
    model = ModelSetting(handle=handle, backend=backend, **(setting or {}))
    return ImageRequest(model=model, prompt=prompt, **more)


# The deck


def ask(family, choice=None, default="default") -> ModelAsk:
    return ModelAsk(family, choice, default)


PUBLISHED = [
    ("img_gen", ["$gen-image", "$gen-image-fast", "$gen-image-high-quality", "$gen-image-testing"]),
    ("img_gen", ["@default-small", "@default-premium", "gpt-image-2", "nano-banana-2", "nano-banana-pro", "flux-pro"]),
    ("search", ["$standard", "$deep", "$linkup-standard", "$linkup-deep", "linkup-standard", "linkup-deep"]),
    ("judgment", ["@default-judgment", "@default-small", "$retrieval", "best-gpt", "gpt-4o"]),
]


@pytest.mark.parametrize(("family", "names"), PUBLISHED)
def test_the_names_of_published_methods_resolve(family, names):
    deck = Deck.load([], {})
    for name in [None, *names]:
        assert deck.setting(ask(family, name)).backend is None
        assert deck.setting(ask(family, name), simulate=True).backend == SIMULATED


def test_the_first_search_backend_with_a_key_is_taken():
    assert Deck.load([], {"TAVILY_API_KEY": "t"}).setting(ask("search")).handle == "tavily-basic"
    assert Deck.load([], {"LINKUP_API_KEY": "l"}).setting(ask("search")).handle == "linkup-standard"
    assert Deck.load([], {"EXA_API_KEY": "e"}).setting(ask("search", "$deep")).handle == "exa-deep"
    assert Deck.load([], {"BRAVE_API_KEY": "b"}).setting(ask("search", "$deep")).handle == "brave-web"


@pytest.mark.parametrize(
    ("family", "setting", "expected"),
    [
        ("img_gen", {"quality": "high", "safety_tolerance": 2, "is_moderated": False}, {}),
        ("img_gen", {"nb_steps": 4, "guidance_scale": 2.5, "description": "d"}, {"description": None}),
        ("search", {"include_images": True, "include_inline_citations": False, "max_results": 3}, {}),
    ],
)
def test_inline_settings_of_each_family(family, setting, expected):
    handle = {"img_gen": "gpt-image-1", "search": "linkup-deep"}[family]
    found = Deck.load([], {}).setting(ask(family, {"model": handle, **setting})).model_dump()
    assert {key: found.get(key) for key in setting} == {**setting, **expected}


@pytest.mark.parametrize(
    ("family", "setting", "words"),
    [
        ("img_gen", {"quality": "high", "nb_steps": 4}, "both quality and nb_steps"),
        ("img_gen", {"quality": "best"}, "quality"),
        ("img_gen", {"temperature": 1}, "temperature"),
        ("search", {"max_results": 0}, "max_results"),
        ("judgment", {"temperature": 0.1}, "temperature"),
    ],
)
def test_bad_inline_settings_are_refused(family, setting, words):
    handle = {"img_gen": "gpt-image-1", "search": "linkup-deep", "judgment": "gpt-4o"}[family]
    with pytest.raises(ConfigError, match=words):
        Deck.load([], {}).setting(ask(family, {"model": handle, **setting}))


def test_a_handle_of_another_family_is_refused():
    with pytest.raises(ModelNotFoundError, match="linkup"):
        Deck.load([], {}).setting(ask("llm", "linkup-deep", "for_text"))


# Real images


async def test_images_are_generated_and_stored(real, stub, tmp_path):
    setting = {"quality": "high", "is_moderated": True}
    reply = await real.perform(
        image(count=2, aspect_ratio="landscape_3_2", background="transparent", output_format="png", setting=setting)
    )
    sent = stub.requests[-1]
    assert sent.path == "/v1/images/generations"
    assert sent.headers["authorization"] == "Bearer k"
    assert sent.body == {
        "model": "gpt-image-1",
        "prompt": "a cup",
        "n": 2,
        "size": "1536x1024",
        "quality": "high",
        "background": "transparent",
        "output_format": "png",
        "moderation": "auto",
    }
    assert [(item["mime_type"], item["width"], item["height"]) for item in reply.images] == [("image/png", 1, 1)] * 2
    assert await LocalBlobs(tmp_path / "blobs").get(reply.images[0]["url"]) == PNG
    assert (reply.usage.calls, reply.usage.images, reply.usage.cost_usd) == (1, 2, None)


async def test_reference_images_make_it_an_edit(real, stub, tmp_path):
    url = await LocalBlobs(tmp_path / "blobs").put(PNG, mime_type="image/png")
    await real.perform(image(attachments=(Attachment(kind="image", url=url),)))
    sent = stub.requests[-1]
    assert sent.path == "/v1/images/edits"
    assert 'name="image[]"' in sent.body["form"]
    assert 'name="prompt"' in sent.body["form"]


async def test_the_tokens_of_an_image_are_priced(real, stub):
    usage = {"input_tokens": 10, "output_tokens": 1000}
    stub.behaviour = lambda asked, n: StubAnswer(body={"data": [{"b64_json": PIXEL}], "usage": usage})
    assert (await real.perform(image())).usage.cost_usd == pytest.approx((10 * 5 + 1000 * 40) / 1e6)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"aspect_ratio": "landscape_21_9"}, "landscape_21_9"),
        ({"size": "4k"}, "4k"),
        ({"negative_prompt": "no"}, "negative prompt"),
        ({"seed": 7}, "seed"),
    ],
)
async def test_what_the_model_cannot_draw_is_an_error(real, stub, more, words):
    with pytest.raises(ConfigError, match=words):
        await real.perform(image(**more))
    assert stub.calls == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (StubAnswer(status=429, text="slow"), RateLimitError),
        (StubAnswer(body={"data": [{}]}), ReplyError),
        (StubAnswer(body={"data": [{"b64_json": "bm90IGFuIGltYWdl"}]}), ReplyError),
    ],
)
async def test_faults_of_image_makers(real, stub, answer, error):
    stub.behaviour = lambda asked, n: answer
    with pytest.raises(error) as caught:
        await real.perform(image())
    assert caught.value.is_retryable


@pytest.mark.parametrize(
    ("ratio", "size", "expected"),
    [
        (None, None, None),
        ("square", None, (1024, 1024)),
        ("square", "2k", (2048, 2048)),
        (None, "640x480", (640, 480)),
        ("landscape_16_9", "1k", (1360, 768)),
        ("portrait_9_16", None, (768, 1360)),
    ],
)
def test_sizes_in_pixels(ratio, size, expected):
    assert pixels(image(aspect_ratio=ratio, size=size)) == expected


# Real searches


def search(handle, **more) -> SearchRequest:
    return SearchRequest(model=ModelSetting(handle=handle), prompt="tea?", **more)


FILTERS = {"max_results": 2, "from_date": "2026-01-01", "include_domains": ("a.org",), "include_images": True}


@pytest.mark.parametrize(
    ("handle", "body"),
    [
        (
            "linkup-deep",
            {
                "q": "tea?",
                "depth": "deep",
                "outputType": "sourcedAnswer",
                "includeImages": True,
                "includeInlineCitations": True,
                "maxResults": 2,
                "fromDate": "2026-01-01",
                "includeDomains": ["a.org"],
            },
        ),
        (
            "tavily-basic",
            {
                "query": "tea?",
                "search_depth": "basic",
                "include_answer": True,
                "include_images": True,
                "max_results": 2,
                "start_date": "2026-01-01",
                "include_domains": ["a.org"],
            },
        ),
    ],
)
async def test_searches_are_sent_and_read(real, stub, handle, body):
    reply = await real.perform(search(handle, **FILTERS))
    assert stub.requests[-1].body == body
    assert stub.requests[-1].headers["authorization"] == f"Bearer {handle[0]}"
    source = {"url": "https://example.invalid/1", "title": "One", "snippet": "s"}
    assert reply.result == {"answer": "ok", "sources": [source]}
    assert (reply.usage.searches, reply.usage.cost_usd) == (1, {"linkup-deep": 0.055, "tavily-basic": 0.008}[handle])
    stub.behaviour = lambda asked, n: StubAnswer(body={"odd": 1})
    with pytest.raises(ReplyError, match="sources"):
        await real.perform(search(handle))


# The simulated ones


async def test_simulated_images_are_small_labelled_and_always_the_same(tmp_path):
    request = image(handle="flux-pro", backend=SIMULATED, count=2, aspect_ratio="landscape_16_9", prompt="a cup of tea")
    reply = await performer(tmp_path).perform(request)
    assert await performer(tmp_path).perform(request) == reply
    assert len({item["url"] for item in reply.images}) == 2
    data = await LocalBlobs(tmp_path / "blobs").get(reply.images[0]["url"])
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (512, 289))
        assert picture.getextrema() != ((0, 0), (0, 0), (0, 0))
        assert any(high == 255 for _, high in picture.getextrema()), "there is writing on it"
    assert len(data) < 30_000
    assert reply.usage.is_simulated
    assert reply.usage.images == 2


async def test_simulated_searches_point_nowhere(tmp_path):
    model = ModelSetting(handle="x", backend=SIMULATED)
    request = SearchRequest(model=model, prompt="What is tea?", max_results=2)
    reply = await performer(tmp_path).perform(request)
    assert reply.result["answer"].startswith("[simulated] ")
    assert "What is tea?" in reply.result["answer"]
    assert [item["url"].split("/")[2] for item in reply.result["sources"]] == ["example.invalid"] * 2
    assert reply.usage.is_simulated


async def test_simulated_faults_reach_images_too(tmp_path):
    made = performer(tmp_path, simulated=SimulatedSettings(rate_limit_rate=1))
    with pytest.raises(RateLimitError):
        await made.perform(image(backend=SIMULATED))


# Documents

PAGE = """<h1>Order</h1><table class="grid"><tr><th>Customer</th><td>María</td></tr></table>
<h2>Lines</h2><table><thead><tr><th>Name</th><th>Count</th></tr></thead>
<tr><td>=1+1<br>x</td><td class="number">3</td></tr></table>
<h1>Note</h1><p>One <strong>two</strong>&nbsp;&lt;3</p><ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>
<script>alert(1)</script><pre>{
  1 }</pre><img src="https://127.0.0.1/a.png" alt="a cup">"""


def document(html=PAGE, kind="pdf") -> DocumentRequest:
    return DocumentRequest(format=kind, html=html, filename=f"order.{kind}")


async def pdf_text(reply, tmp_path) -> str:
    import pypdfium2

    pdf = pypdfium2.PdfDocument(await LocalBlobs(tmp_path / "blobs").get(reply.document["url"]))
    return "\n".join(page.get_textpage().get_text_range().replace("\r", "") for page in pdf)


async def test_a_page_becomes_a_pdf(tmp_path):
    reply = await performer(tmp_path).perform(document())
    assert reply.document["mime_type"] == "application/pdf"
    assert reply.document["filename"] == "order.pdf"
    text = await pdf_text(reply, tmp_path)
    for words in ("Order", "Customer María", "Name Count", "=1+1", "One two", "1.", "•", "2.", "[a cup]"):
        assert words in text, words
    assert "alert" not in text


@pytest.mark.parametrize("kind", ["pdf", "xlsx"])
async def test_the_same_page_is_the_same_file_at_any_time(tmp_path, kind, monkeypatch):
    first = await performer(tmp_path).perform(document(kind=kind))
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert await performer(tmp_path).perform(document(kind=kind)) == first


async def test_stored_pictures_are_printed(tmp_path):
    url = await LocalBlobs(tmp_path / "blobs").put(PNG, mime_type="image/png")
    reply = await performer(tmp_path).perform(document(f'<p>x</p><img src="{url}" alt="gone">'))
    data = await LocalBlobs(tmp_path / "blobs").get(reply.document["url"])
    assert b"/Subtype /Image" in data
    assert "gone" not in await pdf_text(reply, tmp_path)


def test_characters_without_a_font_are_told():
    with pytest.raises((DocumentError, ConfigError), match="characters"):
        write_pdf("<p>\U0001fae8</p>", {})
    with pytest.raises(ConfigError, match="not there"):
        write_pdf("<p>x</p>", {}, font="/nowhere.ttf")


async def test_a_page_becomes_a_workbook(tmp_path):
    import openpyxl

    reply = await performer(tmp_path).perform(document(kind="xlsx"))
    data = await LocalBlobs(tmp_path / "blobs").get(reply.document["url"])
    book = openpyxl.load_workbook(io.BytesIO(data))
    rows = [[[cell.value for cell in row] for row in sheet.rows] for sheet in book.worksheets]
    assert book.sheetnames == ["Order", "Note"]
    assert rows[0] == [
        ["Customer", "María"],
        [None, None],
        ["Lines", None],
        [None, None],
        ["Name", "Count"],
        ["=1+1\nx", 3],
    ]
    assert book["Order"]["A6"].data_type == "s"
    assert rows[1][0] == ["One two <3"]


async def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'pptx'"):
        await performer(tmp_path).perform(document(kind="pptx"))


@pytest.mark.parametrize(
    "html", ["", "<p>", "</td></b>", "<table><tr>", "<table></table>", "<li>x", "<h9>x</h9>", "<b>x"]
)
def test_odd_pages_do_no_harm(html):
    assert write_pdf(html, {}).startswith(b"%PDF")
    assert all(block.text or block.kind != "text" for block in read_page(html))


async def test_captions_are_refused_by_extractors_without_them(tmp_path):
    request = ExtractRequest(
        model=ModelSetting(handle="pypdfium2-extract-pdf"), url="data:text/plain,x", page_image_captions=True
    )
    with pytest.raises(ConfigError, match="captions"):
        await performer(tmp_path).perform(request)
