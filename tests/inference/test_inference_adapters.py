"""One contract for every adapter of language models: what holds for one provider holds for all of them."""

import asyncio
import base64
import json
import logging
from dataclasses import dataclass

import pytest

from pipelex.errors import (
    AuthenticationError,
    ConfigError,
    PipelexError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import Attachment, ModelSetting, ObjectListRequest, ObjectRequest, TextRequest
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubAnswer, StubProvider

CANARY = "canary-4f1c-never-shown"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
PDF = b"%PDF-1.4 pretend"
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 2}, "founded": {"type": "string", "format": "date"}},
    "required": ["name", "founded"],
    "additionalProperties": False,
}
LYON = {"name": "Lyon", "founded": "2020-01-01"}


@dataclass(frozen=True)
class Adapter:
    """One provider: a handle it serves, and where its API puts what is common to all."""

    backend: str
    handle: str
    path: str
    max_tokens: tuple[str, ...]
    key_header: str = "authorization"

    def __str__(self) -> str:
        return self.backend


ADAPTERS = [
    Adapter("openai", "gpt-4o", "/v1/chat/completions", ("max_tokens",)),
    Adapter("anthropic", "claude-4.6-sonnet", "/v1/messages", ("max_tokens",)),
    Adapter(
        "google",
        "gemini-3.8-flash",
        "/v1beta/models/gemini-3.8-flash:generateContent",
        ("generationConfig", "maxOutputTokens"),
        "x-goog-api-key",
    ),
    Adapter(
        "bedrock", "bedrock-nova-pro", "/model/us.amazon.nova-pro-v1%3A0/converse", ("inferenceConfig", "maxTokens")
    ),
    Adapter("responses", "gpt-4o", "/v1/responses", ("max_output_tokens",)),
    Adapter(
        "azure_openai",
        "house",
        "/openai/deployments/house/chat/completions",
        ("max_completion_tokens",),
        "api-key",
    ),
    Adapter("azure_responses", "house", "/openai/v1/responses", ("max_output_tokens",)),
]
each = pytest.mark.parametrize("adapter", ADAPTERS, ids=str)


class Bench:
    """A performer whose every backend is the stub."""

    def __init__(self, tmp_path, stub, *, more=None, **settings):
        (tmp_path / "backends.toml").write_text(
            f'[responses]\nsdk = "openai_responses"\nendpoint = "{stub.base_url}"\napi_key = "${{OPENAI_API_KEY}}"\n'
            f'[azure_responses]\nsdk = "azure_openai_responses"\nendpoint = "{stub.root_url}/openai/v1"\n'
            'api_key = "${AZURE_API_KEY}"\n'
        )
        (tmp_path / "backends").mkdir(exist_ok=True)
        for name in ("azure_openai", "azure_responses", "responses"):
            inputs = 'inputs = ["text", "images", "pdf"]\n'
            (tmp_path / "backends" / f"{name}.toml").write_text(f"[defaults]\n{inputs}[house]\n[gpt-4o]\n")
        self.environ = {
            "OPENAI_API_KEY": CANARY,
            "OPENAI_BASE_URL": stub.base_url,
            "ANTHROPIC_API_KEY": CANARY,
            "ANTHROPIC_BASE_URL": stub.root_url,
            "GOOGLE_API_KEY": CANARY,
            "GOOGLE_GEMINI_BASE_URL": stub.root_url,
            "AWS_BEARER_TOKEN_BEDROCK": CANARY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": stub.root_url,
            "AZURE_API_KEY": CANARY,
            "AZURE_API_BASE": stub.root_url,
            "AZURE_API_VERSION": "2024-10-21",
            **(more or {}),
        }
        self.blobs = LocalBlobs(tmp_path)
        self.stub = stub
        self.performer = Performer(InferenceSettings(**settings), Deck.load([tmp_path], self.environ), self.blobs)

    def model(self, adapter, **setting):
        return ModelSetting(handle=adapter.handle, backend=adapter.backend, **setting)

    async def text(self, adapter, prompt="hi", attachments=(), system=None, **setting):
        return await self.performer.perform(
            TextRequest(
                model=self.model(adapter, **setting), prompt=prompt, system=system, attachments=tuple(attachments)
            )
        )

    async def city(self, adapter, schema=CITY, **setting):
        return await self.performer.perform(
            ObjectRequest(model=self.model(adapter, **setting), prompt="a city", name="a City", output_schema=schema)
        )

    def sent(self, *path):
        found = self.stub.requests[-1].body
        for key in path:
            found = found[key]
        return found


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    """Clients take long to build, so all tests that can share them."""
    async with StubProvider() as server:
        made = Bench(tmp_path_factory.mktemp("adapters"), server, max_reply_bytes=100_000)
        yield made
        await made.performer.aclose()


@pytest.fixture
def bench(shared):
    stub = shared.stub
    stub.behaviour, stub.latency, stub.calls, stub.most_running = None, 0.0, 0, 0
    stub.requests.clear()
    stub.calls_by_prompt.clear()
    return shared


@pytest.fixture
def stub(bench):
    return bench.stub


def scripted(*answers: StubAnswer):
    """These answers in turn, the last one for ever."""
    return lambda asked, n: answers[min(n, len(answers) - 1)]


@each
async def test_a_text_with_its_usage(bench, stub, adapter):
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    stub.behaviour = scripted(StubAnswer(text=" hello\n", usage=usage))
    reply = await bench.text(adapter, "who is there", system="be brief")
    assert reply.text.strip() == "hello"
    found = reply.usage
    assert (found.calls, found.input_tokens, found.cached_tokens, found.output_tokens) == (1, 1000, 400, 100)
    [request] = stub.requests
    assert request.path == adapter.path
    assert CANARY in request.headers[adapter.key_header]
    assert request.query == ("api-version=2024-10-21" if adapter.backend == "azure_openai" else "")
    said = json.dumps(request.body)
    assert "be brief" in said
    assert "who is there" in said
    assert stub.calls_by_prompt["who is there"] == 1


@each
async def test_the_price_of_a_known_model_is_counted_and_that_of_others_unknown(bench, stub, adapter):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    stub.behaviour = scripted(StubAnswer(text="ok", usage=usage))
    prices = {"openai": (2.5, 10.0), "anthropic": (3.0, 15.0), "google": (1.5, 7.5), "bedrock": (0.8, 3.2)}
    cost = (await bench.text(adapter)).usage.cost_usd
    if adapter.backend in prices:
        given, made = prices[adapter.backend]
        assert cost == pytest.approx((1000 * given + 100 * made) / 1e6)
    else:
        assert cost is None


@each
async def test_max_tokens_are_always_sent(bench, adapter):
    await bench.text(adapter)
    assert bench.sent(*adapter.max_tokens) >= 4096
    await bench.text(adapter, max_tokens=50, temperature=0.3, seed=7)
    assert bench.sent(*adapter.max_tokens) == 50
    assert '"temperature": 0.3' in json.dumps(bench.sent())


@each
async def test_an_object_that_fits_its_schema(bench, stub, adapter):
    stub.behaviour = scripted(StubAnswer(data=LYON))
    assert (await bench.city(adapter)).data == LYON
    said = json.dumps(bench.sent()).replace('\\"', '"').replace(" ", "")
    for words in ('"founded"', '"required":["name","founded"]'):
        assert words in said, "the schema is sent in the words of the API"


@each
async def test_the_default_answer_of_the_stub_fits_the_schema(bench, adapter):
    data = (
        await bench.city(adapter, {**CITY, "properties": {"name": {"type": "string"}, "founded": {"type": "string"}}})
    ).data
    assert set(data) == {"name", "founded"}


@each
async def test_a_misfit_is_asked_again_with_the_reasons(bench, stub, adapter):
    stub.behaviour = scripted(StubAnswer(data={**LYON, "founded": "long ago"}), StubAnswer(data=LYON))
    reply = await bench.city(adapter)
    assert (reply.data, reply.usage.calls) == (LYON, 2)
    said = json.dumps(bench.sent())
    assert "long ago" in said
    assert "does not fit the JSON schema" in said


@each
async def test_a_list_is_wrapped_counted_and_unwrapped(bench, stub, adapter):
    stub.behaviour = scripted(StubAnswer(data={"items": [LYON, LYON]}))
    request = ObjectListRequest(model=bench.model(adapter), prompt="cities", name="City", output_schema=CITY, count=2)
    assert (await bench.performer.perform(request)).data == [LYON, LYON]


@each
async def test_images_and_documents_are_labelled_and_inlined(bench, adapter):
    image = await bench.blobs.put(PNG, mime_type="image/png")
    notes = await bench.blobs.put(b"# notes", mime_type="text/markdown")
    pdf = await bench.blobs.put(PDF, mime_type="application/pdf")
    attachments = [
        Attachment(kind="image", url=image),
        Attachment(kind="document", url=notes),
        Attachment(kind="document", url=pdf),
    ]
    await bench.text(adapter, "compare them", attachments, image_detail="low")
    said = json.dumps(bench.sent())
    parts = [
        "[Image 1]",
        base64.b64encode(PNG).decode(),
        "[Document 1]\\n# notes",
        "[Document 2]",
        base64.b64encode(PDF).decode(),
        "compare them",
    ]
    # Google writes base64 in the alphabet of urls.
    said = said.replace("-", "+").replace("_", "/") if adapter.backend == "google" else said
    at = [said.find(part) for part in parts]
    assert min(at) >= 0, dict(zip(parts, at, strict=True))
    assert at == sorted(at)


@each
async def test_a_reply_to_a_system_prompt_alone(bench, adapter):
    assert (await bench.text(adapter, "", system="say ok")).text == "ok"


GONE = StubAnswer(status=404, text="no such model")
FAILURES = [
    (StubAnswer(status=429, text="too fast", headers={"Retry-After": "7"}), RateLimitError, True),
    (StubAnswer(status=401, text=f"wrong key: {CANARY}"), AuthenticationError, False),
    (StubAnswer(status=403, body=b"forbidden"), AuthenticationError, False),
    (StubAnswer(status=400, text="a parameter is wrong"), RequestRefusedError, False),
    (StubAnswer(status=402, text="pay first"), RequestRefusedError, False),
    (GONE, RequestRefusedError, False),
    (StubAnswer(status=413, text="too large"), RequestRefusedError, False),
    (StubAnswer(status=408, body=b""), ProviderDownError, True),
    (StubAnswer(status=409, body=b""), ProviderDownError, True),
    (StubAnswer(status=500, body=b"<html>oops</html>"), ProviderDownError, True),
    (StubAnswer(status=503, text="x" * 5000, headers={"Retry-After": "7"}), ProviderDownError, True),
    (StubAnswer(status=529, text="overloaded"), ProviderDownError, True),
    (
        StubAnswer(status=301, headers={"location": "http://127.0.0.1:1/elsewhere"}, body=b""),
        RequestRefusedError,
        False,
    ),
    (StubAnswer(drop=True), ProviderDownError, True),
    (StubAnswer(body=b"{not json"), ReplyError, True),
    (StubAnswer(body=b""), ReplyError, True),
    (StubAnswer(body=["odd"]), ReplyError, True),
    (StubAnswer(body={}), ReplyError, True),
    (StubAnswer(text=""), ReplyError, True),
    (StubAnswer(text="cut", finish_reason="length"), ReplyError, False),
    (StubAnswer(text="x", finish_reason="content_filter"), ReplyError, False),
    (StubAnswer(body=b"x" * 200_000), ReplyError, False),
]


def named(value):
    if isinstance(value, StubAnswer):
        if value.status != 200:
            return str(value.status)
        return "dropped" if value.drop else value.finish_reason if value.body is None else str(value.body)[:8]
    return ""


@each
@pytest.mark.parametrize(("answer", "expected", "retryable"), FAILURES, ids=named)
async def test_failures_are_classified(bench, stub, caplog, adapter, answer, expected, retryable):
    caplog.set_level(logging.DEBUG, "pipelex")
    stub.behaviour = scripted(answer)
    with pytest.raises(PipelexError) as caught:
        await bench.text(adapter)
    error = caught.value
    assert type(error) is expected, error.render()
    assert error.is_retryable is retryable
    assert stub.calls == 1, "one attempt: retrying is the business of the host"
    assert len(error.message) < 700
    assert (error.provider, error.model) == (adapter.backend, adapter.handle)
    assert error.hint or answer.status >= 500 or answer.status in (408, 409) or "larger" in error.message
    for shown in (error.render(), json.dumps(error.report()), caplog.text, repr(error)):
        assert CANARY not in shown
    assert error.__cause__ is None, "what an SDK raised may hold the request"
    if answer.headers.get("Retry-After"):
        assert error.report()["retry_after"] == 7
    if answer.status not in (200,):
        assert error.status == answer.status


@each
async def test_an_object_that_is_cut_is_not_taken_for_a_misfit(bench, stub, adapter):
    stub.behaviour = scripted(StubAnswer(text='{"name": "Ly', finish_reason="length"))
    with pytest.raises(ReplyError, match="cut at its token limit") as caught:
        await bench.city(adapter)
    assert "max_tokens" in caught.value.hint
    assert stub.calls == 1


@each
async def test_a_slow_provider_times_out(tmp_path, stub, adapter):
    bench = Bench(tmp_path, stub, request_timeout="300ms")
    await bench.performer.warm()
    stub.behaviour = scripted(StubAnswer(delay=30))
    with pytest.raises(ProviderDownError, match=r"did not answer in 0\.3 s") as caught:
        await bench.text(adapter)
    assert caught.value.is_retryable
    await bench.performer.aclose()


@each
async def test_nobody_listening(tmp_path, adapter):
    async with StubProvider() as gone:
        bench = Bench(tmp_path, gone)
    with pytest.raises(ProviderDownError, match=f"connection to {adapter.backend} failed") as caught:
        await bench.text(adapter)
    assert caught.value.is_retryable
    await bench.performer.aclose()


@pytest.mark.parametrize("adapter", [ADAPTERS[1], ADAPTERS[3]], ids=str)
async def test_calls_run_together_over_kept_connections(bench, stub, adapter):
    await bench.text(adapter)
    stub.latency = 1.0
    replies = await asyncio.gather(*(bench.text(adapter, f"p{n}") for n in range(60)))
    assert {reply.text for reply in replies} == {"ok"}
    assert stub.most_running > 40, "no pool of threads or connections holds them back"


@each
async def test_cancelling_a_call_ends_it(bench, stub, adapter):
    await bench.text(adapter)
    stub.behaviour = scripted(StubAnswer(delay=30))
    call = asyncio.create_task(bench.text(adapter))
    async with asyncio.timeout(10):
        while stub.running == 0:  # noqa: ASYNC110 - the stub has no event for it
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


@each
async def test_a_key_that_cannot_be_sent_is_not_shown(tmp_path, stub, adapter):
    bad = f"{CANARY}\u20ac"
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AZURE_API_KEY")
    bench = Bench(tmp_path, stub, more=dict.fromkeys(keys, bad))
    with pytest.raises(ConfigError) as caught:
        await bench.text(adapter)
    assert CANARY not in caught.value.render()
    assert stub.calls == 0
    await bench.performer.aclose()


REASONERS = {
    "openai": ("o3", {"reasoning_effort": "high"}, '"reasoning_effort": "high"'),
    "anthropic": ("claude-4.8-opus", {"reasoning_effort": "high"}, '"effort": "high"'),
    "google": ("gemini-3.8-flash", {"reasoning_effort": "high"}, '"thinking_level": "HIGH"'),
    "bedrock": ("claude-4.5-sonnet", {"reasoning_budget": 3000}, '"budget_tokens": 3000'),
    "responses": ("o3", {"reasoning_effort": "high"}, '"reasoning": {"effort": "high"'),
    "azure_openai": ("o3", {"reasoning_effort": "high"}, '"reasoning_effort": "high"'),
    "azure_responses": ("o3", {"reasoning_effort": "high"}, '"reasoning": {"effort": "high"'),
}


@each
async def test_reasoning_is_asked_for_in_the_words_of_the_api(bench, adapter):
    handle, setting, words = REASONERS[adapter.backend]
    model = ModelSetting(handle=handle, backend=adapter.backend, temperature=0.2, **setting)
    await bench.performer.perform(TextRequest(model=model, prompt="think"))
    said = json.dumps(bench.sent())
    assert words in said
    assert ("temperature" in said) == (adapter.backend == "google"), "models that reason take none, but for Gemini"


@pytest.mark.parametrize(
    ("backend", "handle", "words"),
    [
        ("anthropic", "claude-4.5-haiku", '"thinking": {"type": "enabled", "budget_tokens": 2000}'),
        ("google", "gemini-2.5-flash", '"thinking_budget": 2000'),
    ],
)
async def test_a_budget_of_reasoning_counts_as_output(bench, backend, handle, words):
    model = ModelSetting(handle=handle, backend=backend, reasoning_budget=2000, max_tokens=1000)
    await bench.performer.perform(TextRequest(model=model, prompt="think"))
    said = json.dumps(bench.sent())
    assert words in said
    assert "3000" in said, "the reply keeps its own 1000"


async def test_a_budget_that_a_model_does_not_take_is_refused_before_it_is_sent(bench, stub):
    model = ModelSetting(handle="claude-4.8-opus", reasoning_budget=2000)
    with pytest.raises(RequestRefusedError, match="adaptive") as caught:
        await bench.performer.perform(TextRequest(model=model, prompt="think"))
    assert not caught.value.is_retryable
    assert stub.calls == 0


async def test_long_replies_of_anthropic_are_streamed(bench, stub):
    adapter = ADAPTERS[1]
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    stub.behaviour = scripted(StubAnswer(data=LYON, usage=usage))
    reply = await bench.city(adapter, max_tokens=64_000)
    assert (reply.data, reply.usage.input_tokens, reply.usage.output_tokens) == (LYON, 10, 5)
    assert (bench.sent("stream"), bench.sent("max_tokens")) == (True, 64_000)
    stub.behaviour = scripted(StubAnswer(text="cut", finish_reason="length"))
    with pytest.raises(ReplyError, match="cut at its token limit"):
        await bench.text(adapter, max_tokens=64_000)
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    begun = f"event: error\ndata: {json.dumps(busy)}\n\n".encode()
    stub.behaviour = scripted(StubAnswer(body=begun, headers={"content-type": "text/event-stream"}))
    with pytest.raises(ProviderDownError) as caught:
        await bench.text(adapter, max_tokens=64_000)
    assert caught.value.is_retryable


@pytest.mark.parametrize(
    ("backend", "status", "body", "expected", "wait"),
    [
        ("openai", 429, {"error": {"message": "x", "code": "insufficient_quota"}}, RequestRefusedError, None),
        ("responses", 429, {"error": {"message": "x", "type": "insufficient_quota"}}, RequestRefusedError, None),
        (
            "anthropic",
            400,
            {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to go on."}},
            RequestRefusedError,
            None,
        ),
        ("anthropic", 402, {"error": {"type": "billing_error", "message": "x"}}, RequestRefusedError, None),
        (
            "google",
            429,
            {"error": {"code": 429, "message": "slow down", "details": [{"retryDelay": "17s"}]}},
            RateLimitError,
            17.0,
        ),
        (
            "google",
            400,
            {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
            AuthenticationError,
            None,
        ),
        ("bedrock", 424, {"message": "the model failed"}, ProviderDownError, None),
    ],
)
async def test_what_a_provider_words_in_its_own_way(bench, stub, backend, status, body, expected, wait):
    stub.behaviour = scripted(StubAnswer(status=status, body=body))
    with pytest.raises(expected) as caught:
        await bench.text(next(adapter for adapter in ADAPTERS if adapter.backend == backend))
    assert getattr(caught.value, "retry_after", None) == wait
    if expected is RequestRefusedError:
        assert "quota" in caught.value.message
        assert not caught.value.is_retryable


async def test_a_reply_that_is_given_up_is_asked_for_again_by_the_host(bench, stub):
    stub.behaviour = scripted(StubAnswer(text="x", finish_reason="error"))
    for adapter, expected in ((ADAPTERS[4], ProviderDownError), (ADAPTERS[2], ReplyError)):
        with pytest.raises(expected) as caught:
            await bench.text(adapter)
        assert caught.value.is_retryable
