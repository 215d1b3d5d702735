"""Pages read by Mistral and by Azure: real HTTP against stubs that speak their APIs."""

import base64

import pytest

from document_files import image, text_pdf
from pipelex.errors import (
    AuthenticationError,
    ConfigError,
    CredentialError,
    DocumentError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.checkpoint import KeptCheckpoint
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.inprocess.host import InProcessHost
from pipelex.inprocess.recording import NotedCall
from pipelex.inprocess.settings import InProcessSettings
from pipelex.pipes.models import ModelAsk
from pipelex.pipes.port import Plan
from pipelex.pipes.requests import ExtractRequest, ModelSetting
from pipelex.pipes.tracing import OFF
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import PIXEL
from pipelex.testing.stub_azure_document import StubAzureDocument
from pipelex.testing.stub_http import StubAnswer
from pipelex.testing.stub_mistral_ocr import StubMistralOcr

KEY = "k3y-of-ours"
MISTRAL, AZURE = "mistral-ocr-latest", "azure-document-intelligence"


def performer(tmp_path, endpoint: str, costs: str = "", **settings) -> Performer:
    (tmp_path / "backends.toml").write_text(
        f'[mistral]\nendpoint = "{endpoint}"\n[azure_document_intelligence]\nendpoint = "{endpoint}"\n'
    )
    (tmp_path / "backends").mkdir(exist_ok=True)
    (tmp_path / "backends" / "mistral.toml").write_text(f"[{MISTRAL}]\n{costs}\n")
    keys = {"MISTRAL_API_KEY": KEY, "AZURE_DOCUMENT_INTELLIGENCE_API_KEY": KEY}
    return Performer(InferenceSettings(**settings), Deck.load([tmp_path], keys), LocalBlobs(tmp_path / "blobs"))


async def ask(here: Performer, handle: str, data: bytes | None = None, checkpoint=None, **options):
    url = await here._blobs.put(data or text_pdf("one", "two"), mime_type=None)
    try:
        request = ExtractRequest(model=ModelSetting(handle=handle), url=url, **options)
        return await here.perform(request, checkpoint=checkpoint)
    finally:
        await here.aclose()


def texts(reply) -> list[str]:
    return [page["text_and_images"]["text"]["text"] for page in reply.pages]


def test_the_names_of_published_methods_resolve():
    deck = Deck.load([], {})
    for name in ("@azure-best-ocr", AZURE, "mistral-document-ai-2505", MISTRAL):
        assert deck.setting(ModelAsk("extract", name, "default")).handle


async def test_mistral_reads_pages_with_pictures(tmp_path):
    async with StubMistralOcr() as stub:
        here = performer(tmp_path, stub.base_url)
        reply = await ask(here, MISTRAL, page_views=True)
        [sent] = stub.requests
    assert texts(reply) == ["# One\n\n![img-0.png](img-0.png)", "| a | b |\n|---|---|\n| 1 | 2 |"]
    [picture] = reply.pages[0]["text_and_images"]["images"]
    assert await here._blobs.get(picture["url"]) == base64.b64decode(PIXEL)
    assert reply.pages[1]["page_view"]["width"] > 1000
    assert (reply.usage.calls, reply.usage.pages, reply.usage.cost_usd) == (1, 2, None)
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body["model"] == MISTRAL
    kind, _, data = sent.body["document"]["document_url"].partition(",")
    assert kind == "data:application/pdf;base64"
    assert base64.b64decode(data) == text_pdf("one", "two")


async def test_mistral_reads_images_and_leaves_pictures_out(tmp_path):
    async with StubMistralOcr() as stub:
        reply = await ask(
            performer(tmp_path, stub.base_url, "costs = { page = 0.002 }"), MISTRAL, image(), max_page_images=0
        )
        [sent] = stub.requests
    assert sent.body["document"]["image_url"].startswith("data:image/png;base64,")
    assert sent.body["include_image_base64"] is False
    assert reply.pages[0]["text_and_images"]["images"] == []
    assert reply.usage.cost_usd == pytest.approx(0.004)


async def test_azure_reads_pages_and_figures(tmp_path):
    running = [StubAnswer(body={"status": "notStarted"}), StubAnswer(body={"status": "running"})]
    async with StubAzureDocument(states=running) as stub:
        here = performer(tmp_path, stub.root_url)
        reply = await ask(here, AZURE)
    assert texts(reply) == ["# One\n\nfirst caf\u00e9 \U0001f600", "second"]
    [picture] = reply.pages[0]["text_and_images"]["images"]
    assert await here._blobs.get(picture["url"]) == base64.b64decode(PIXEL)
    assert (reply.usage.calls, reply.usage.pages, reply.usage.cost_usd) == (1, 2, None)
    [sent] = stub.requests
    assert sent.path == "/documentintelligence/documentModels/prebuilt-layout:analyze"
    assert "outputContentFormat=markdown" in sent.query
    assert "output=figures" in sent.query
    assert base64.b64decode(sent.body["base64Source"]) == text_pdf("one", "two")
    assert [item.path.rpartition("/")[2] for item in stub.asked][-1] == "1.1"
    assert len(stub.asked) == 4
    assert {item.headers["ocp-apim-subscription-key"] for item in [sent, *stub.asked]} == {KEY}
    assert "authorization" not in sent.headers


async def test_azure_fetches_no_figure_that_is_not_wanted(tmp_path):
    async with StubAzureDocument() as stub:
        reply = await ask(performer(tmp_path, stub.root_url), AZURE, max_page_images=0)
        assert len(stub.asked) == 1
        assert "figures" not in stub.requests[0].query
    assert reply.pages[0]["text_and_images"]["images"] == []


FAULTS = [
    (StubAnswer(status=400, text="bad file"), RequestRefusedError, False),
    (StubAnswer(status=401, text=f"wrong key {KEY}"), AuthenticationError, False),
    (StubAnswer(status=404), RequestRefusedError, False),
    (StubAnswer(status=408), ProviderDownError, True),
    (StubAnswer(status=429, headers={"retry-after": "7"}), RateLimitError, True),
    (StubAnswer(status=500), ProviderDownError, True),
    (StubAnswer(drop=True), ProviderDownError, True),
    (StubAnswer(body=b"not json"), ReplyError, True),
    (StubAnswer(body={"pages": [{"index": "x"}]}), ReplyError, True),
    (StubAnswer(body=b" " * 40_000), ReplyError, False),
    (StubAnswer(delay=30), ProviderDownError, True),
]


@pytest.mark.parametrize("handle", [MISTRAL, AZURE])
@pytest.mark.parametrize(("fault", "error", "is_retryable"), FAULTS)
async def test_faults_say_who_can_act(tmp_path, handle, fault, error, is_retryable):
    stub = (StubMistralOcr if handle == MISTRAL else StubAzureDocument)(lambda asked, n: fault)
    async with stub:
        endpoint = stub.base_url if isinstance(stub, StubMistralOcr) else stub.root_url
        here = performer(tmp_path, endpoint, max_reply_bytes=30_000, request_timeout="500ms" if fault.delay else "20s")
        with pytest.raises(error) as caught:
            await ask(here, handle)
        assert stub.calls == 1
    assert caught.value.is_retryable is is_retryable
    assert KEY not in caught.value.render()
    if fault.status == 429:
        assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (StubAnswer(status=429, headers={"retry-after": "7"}), RateLimitError),
        (StubAnswer(status=500), ProviderDownError),
        (StubAnswer(drop=True), ProviderDownError),
        (StubAnswer(body=b"rubbish"), ReplyError),
        (
            StubAnswer(body={"status": "failed", "error": {"code": "InternalServerError", "message": "x"}}),
            ProviderDownError,
        ),
        (StubAnswer(body={"status": "failed", "error": {"code": "InvalidContent", "message": "x"}}), DocumentError),
        (StubAnswer(body={"status": "succeeded", "analyzeResult": {"content": "", "pages": [{}]}}), ReplyError),
    ],
)
async def test_a_job_that_fails_on_its_way(tmp_path, state, error):
    async with StubAzureDocument(states=[state]) as stub:
        with pytest.raises(error):
            await ask(performer(tmp_path, stub.root_url), AZURE)


async def test_a_job_that_never_ends_is_given_up(tmp_path):
    forever = [StubAnswer(body={"status": "running"})] * 1000
    async with StubAzureDocument(states=forever) as stub:
        with pytest.raises(ProviderDownError, match="had not read the document in 1 s") as caught:
            await ask(performer(tmp_path, stub.root_url, request_timeout="1s"), AZURE)
    assert caught.value.is_retryable


RUNNING = StubAnswer(body={"status": "running"})
JOB = "0d3f5a2e-0000-4000-8000-000000000001"
NOTED = {"provider": "azure_document_intelligence", "jobs": [JOB]}


async def test_a_document_is_sent_once_and_its_job_found_again(tmp_path):
    kept = KeptCheckpoint()
    async with StubAzureDocument(states=[RUNNING, StubAnswer(drop=True)]) as stub:
        with pytest.raises(ProviderDownError):
            await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=kept)
        assert kept.last == NOTED
        assert len(texts(await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=kept))) == 2
        assert stub.calls == 1


async def test_retries_in_process_wait_for_the_same_job_of_azure(tmp_path):
    async def pause(seconds: float) -> None:
        pass

    async with StubAzureDocument(states=[StubAnswer(status=503), RUNNING, StubAnswer(status=429)]) as stub:
        here = performer(tmp_path, stub.root_url)
        url = await here._blobs.put(text_pdf("one", "two"), mime_type=None)
        host = InProcessHost(None, Plan(), here, InProcessSettings(attempts=3), sleep=pause)
        noted = NotedCall("act_extract_gen_extract_pages", AZURE, scheduled=0.0, excerpts=None, given={})
        request = ExtractRequest(model=ModelSetting(handle=AZURE), url=url)
        assert len((await host.perform(request, noted, OFF)).pages) == 2
        await here.aclose()
        assert (noted.attempts, stub.calls) == (3, 1)


async def test_a_job_that_takes_longer_than_an_attempt_is_not_forgotten(tmp_path):
    kept = KeptCheckpoint()
    async with StubAzureDocument(states=[RUNNING] * 1000) as stub:
        with pytest.raises(ProviderDownError) as caught:
            await ask(performer(tmp_path, stub.root_url, request_timeout="300ms"), AZURE, checkpoint=kept)
        assert "the same job" in (caught.value.hint or "")
        assert kept.last == NOTED
        stub.states.clear()
        await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=kept)
        assert stub.calls == 1


@pytest.mark.parametrize(
    "state",
    [StubAnswer(status=404), StubAnswer(body={"status": "failed", "error": {"code": "InternalServerError"}})],
)
async def test_a_job_that_is_gone_or_failed_is_begun_anew_by_the_next_attempt(tmp_path, state):
    kept = KeptCheckpoint(NOTED)
    async with StubAzureDocument(states=[state]) as stub:
        with pytest.raises(ProviderDownError) as caught:
            await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=kept)
        assert (caught.value.is_retryable, kept.last, stub.calls) == (True, None, 0)
        await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=kept)
        assert stub.calls == 1


@pytest.mark.parametrize("last", [{"provider": "fal", "jobs": ["x"]}, {**NOTED, "jobs": ["../x"]}, "odd", None])
async def test_what_another_provider_left_is_not_asked_of_azure(tmp_path, last):
    async with StubAzureDocument() as stub:
        await ask(performer(tmp_path, stub.root_url), AZURE, checkpoint=KeptCheckpoint(last))
        assert stub.calls == 1


async def test_texts_are_read_here_whatever_the_model(tmp_path):
    async with StubMistralOcr() as stub:
        assert texts(await ask(performer(tmp_path, stub.base_url), MISTRAL, b"plain words")) == ["plain words"]
        assert stub.calls == 0


async def test_captions_and_missing_keys_are_told(tmp_path):
    with pytest.raises(ConfigError, match="captions"):
        await ask(performer(tmp_path, "http://127.0.0.1:9"), AZURE, page_image_captions=True)
    for handle, name in ((MISTRAL, "MISTRAL_API_KEY"), (AZURE, "AZURE_DOCUMENT_INTELLIGENCE_ENDPOINT")):
        here = Performer(InferenceSettings(), Deck.load([], {}), LocalBlobs(tmp_path))
        with pytest.raises(CredentialError, match=name):
            await ask(here, handle)
