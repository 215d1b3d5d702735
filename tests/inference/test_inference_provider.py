"""The real HTTP client against a real server on loopback."""

import base64
import json
import logging
from datetime import UTC, datetime

import pytest

from pipelex.errors import (
    AuthenticationError,
    ConfigError,
    CredentialError,
    DocumentError,
    InternalError,
    ModelNotFoundError,
    PipelexError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.providers.refusals import retry_after
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import (
    Attachment,
    ExtractRequest,
    ModelSetting,
    ObjectListRequest,
    ObjectRequest,
    Request,
    TextReply,
    TextRequest,
)
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubAnswer, StubProvider

CANARY = "canary-4f1c-never-shown"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "founded": {"type": "string", "format": "date"}},
    "required": ["name", "founded"],
    "additionalProperties": False,
}


class Bench:
    """A performer wired to a stub as its `openai` backend."""

    def __init__(self, tmp_path, stub, **settings):
        self.blobs = LocalBlobs(tmp_path)
        self.stub = stub
        environ = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": stub.base_url}
        self.performer = Performer(InferenceSettings(**settings), Deck.load([tmp_path], environ), self.blobs)

    async def text(self, prompt="hi", handle="gpt-4o", attachments=(), system=None, **setting) -> TextReply:
        model = ModelSetting(handle=handle, **setting)
        return await self.performer.perform(
            TextRequest(model=model, prompt=prompt, system=system, attachments=tuple(attachments))
        )

    def sent(self, index=-1):
        return self.stub.requests[index].body


@pytest.fixture
async def stub():
    async with StubProvider() as server:
        yield server


@pytest.fixture
async def bench(tmp_path, stub):
    made = Bench(tmp_path, stub)
    yield made
    await made.performer.aclose()


def scripted(*answers: StubAnswer):
    """These answers in turn, the last one for ever."""
    return lambda asked, n: answers[min(n, len(answers) - 1)]


async def test_a_text_with_its_usage_and_cost(bench, stub):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    stub.behaviour = scripted(StubAnswer(text=" hello\n", usage=usage))
    reply = await bench.text(system="be brief", temperature=0.3, max_tokens=50, seed=7)
    assert reply.text == " hello\n"
    assert (reply.usage.calls, reply.usage.input_tokens, reply.usage.cached_tokens) == (1, 1000, 400)
    assert reply.usage.cost_usd == pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6)
    assert bench.sent() == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 0.3,
        "max_tokens": 50,
        "seed": 7,
    }
    assert stub.requests[-1].headers["authorization"] == f"Bearer {CANARY}"


async def test_an_unknown_price_is_not_zero(bench):
    assert (await bench.text(handle="gpt-unheard-of")).usage.cost_usd is None


@pytest.mark.parametrize("handle", ["o3", "o4-mini", "gpt-5-mini"])
async def test_reasoning_models_get_the_parameters_they_take(bench, handle):
    await bench.text(handle=handle, temperature=0.2, max_tokens=9, reasoning_effort="low")
    assert {key: value for key, value in bench.sent().items() if key != "messages"} == {
        "model": handle,
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize(
    ("handle", "name"), [("gpt-unheard-of", "max_tokens"), ("gpt-5-unheard", "max_completion_tokens")]
)
async def test_a_reply_has_a_limit_whatever_the_table_says(tmp_path, stub, handle, name):
    here = Bench(tmp_path, stub, default_max_tokens=777)
    await here.text(handle=handle)
    await here.text(handle=handle, max_tokens=5)
    assert [here.sent(index)[name] for index in (0, 1)] == [777, 5]
    await here.performer.aclose()


async def test_a_table_may_leave_the_limit_to_the_server(tmp_path, stub):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "openai.toml").write_text('[free]\nmax_tokens = "auto"\n')
    here = Bench(tmp_path, stub)
    await here.text(handle="free")
    assert "max_tokens" not in here.sent()
    await here.performer.aclose()


async def test_a_limit_that_nobody_asked_for_fails_no_one(bench, stub):
    words = "'max_tokens' is too large: 8192. This model's maximum context length is 4096 tokens"

    def small(asked, n):
        return StubAnswer(status=400, text=words) if asked.get("max_tokens", 0) > 4096 else None

    stub.behaviour = small
    for _ in range(2):
        assert (await bench.text(handle="gpt-unheard-of")).text == "ok"
    assert ["max_tokens" in item.body for item in stub.requests] == [True, False, False]
    with pytest.raises(RequestRefusedError, match="too large") as caught:
        await bench.text(handle="gpt-unheard-of", max_tokens=5000)
    assert "max_tokens" in (caught.value.hint or "")
    assert stub.calls == 4


async def test_images_and_documents_are_labelled_and_inlined(bench):
    image = await bench.blobs.put(PNG, mime_type="image/png")
    notes = await bench.blobs.put(b"# notes", mime_type="text/markdown")
    pdf = await bench.blobs.put(b"%PDF-1.4 x", mime_type="application/pdf")
    await bench.text(
        "compare",
        image_detail="low",
        attachments=[
            Attachment(kind="image", url=image),
            Attachment(kind="document", url=notes),
            Attachment(kind="document", url=pdf),
        ],
    )
    data = base64.b64encode(PNG).decode()
    pdf_data = base64.b64encode(b"%PDF-1.4 x").decode()
    file = {"filename": "document 2.pdf", "file_data": f"data:application/pdf;base64,{pdf_data}"}
    assert bench.sent()["messages"][0]["content"] == [
        {"type": "text", "text": "[Image 1]"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}},
        {"type": "text", "text": "[Document 1]\n# notes"},
        {"type": "text", "text": "[Document 2]"},
        {"type": "file", "file": file},
        {"type": "text", "text": "compare"},
    ]


async def test_a_model_without_pdf_gets_rendered_pages(tmp_path, stub):
    (tmp_path / "backends.toml").write_text(f'[lab]\nendpoint = "{stub.base_url}"\n')
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "lab.toml").write_text('[eyes]\ninputs = ["text", "images"]\n[blind]\ninputs = ["text"]\n')
    bench = Bench(tmp_path, stub)
    from test_inference_documents import pdf

    url = await bench.blobs.put(pdf("one", "two"), mime_type="application/pdf")
    await bench.text(handle="eyes", attachments=[Attachment(kind="document", url=url)])
    content = bench.sent()["messages"][0]["content"]
    assert [item["text"] for item in content if item["type"] == "text"] == [
        "[Document 1], page 1",
        "[Document 1], page 2",
        "hi",
    ]
    assert [item["type"] for item in content].count("image_url") == 2
    assert "authorization" not in stub.requests[-1].headers
    with pytest.raises(ConfigError, match="takes no images"):
        await bench.text(handle="blind", attachments=[Attachment(kind="document", url=url)])
    limited = Bench(tmp_path, stub, max_prompt_images=1)
    with pytest.raises(DocumentError, match="more than 1 images"):
        await limited.text(handle="eyes", attachments=[Attachment(kind="document", url=url)])
    for made in (bench, limited):
        await made.performer.aclose()


def error(message="no", **fields):
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("answer", "expected", "retryable"),
    [
        (StubAnswer(status=429, body=error(type="requests"), headers={"Retry-After": "7"}), RateLimitError, True),
        (StubAnswer(status=429, body=error(code="insufficient_quota")), RequestRefusedError, False),
        (StubAnswer(status=429, body=error(type="insufficient_quota")), RequestRefusedError, False),
        (StubAnswer(status=401, body=error(f"Incorrect key: {CANARY}")), AuthenticationError, False),
        (StubAnswer(status=403, body=b"forbidden"), AuthenticationError, False),
        (StubAnswer(status=402, body=error()), RequestRefusedError, False),
        (StubAnswer(status=400, body=error(code="context_length_exceeded")), RequestRefusedError, False),
        (StubAnswer(status=404, body=error()), RequestRefusedError, False),
        (StubAnswer(status=408, body=b""), ProviderDownError, True),
        (StubAnswer(status=409, body=b""), ProviderDownError, True),
        (StubAnswer(status=500, body=b"<html>oops</html>"), ProviderDownError, True),
        (StubAnswer(status=503, body=error("x" * 5000)), ProviderDownError, True),
        (StubAnswer(body=error(code=502)), ProviderDownError, True),
        (StubAnswer(body=error(code=429)), RateLimitError, True),
        (StubAnswer(drop=True), ProviderDownError, True),
        (StubAnswer(body=b"{not json"), ReplyError, True),
        (StubAnswer(body={"choices": []}), ReplyError, True),
        (StubAnswer(body=["odd"]), ReplyError, True),
        (StubAnswer(text=""), ReplyError, True),
        (StubAnswer(text="cut", finish_reason="length"), ReplyError, False),
        (StubAnswer(text="", finish_reason="content_filter"), ReplyError, False),
        (StubAnswer(body=b"x" * 3000), ReplyError, False),
    ],
)
async def test_failures_are_classified(tmp_path, stub, caplog, answer, expected, retryable):
    caplog.set_level(logging.DEBUG)
    stub.behaviour = scripted(answer)
    bench = Bench(tmp_path, stub, max_reply_bytes=2048 if answer.body == b"x" * 3000 else 100_000)
    with pytest.raises(PipelexError) as caught:
        await bench.text()
    await bench.performer.aclose()
    assert type(caught.value) is expected
    assert caught.value.is_retryable is retryable
    assert stub.calls == 1, "one attempt: retrying is the business of the host"
    assert len(caught.value.message) < 700
    for shown in (caught.value.render(), json.dumps(caught.value.report()), caplog.text, repr(caught.value)):
        assert CANARY not in shown
    if answer.headers:
        assert caught.value.report()["retry_after"] == 7


async def test_a_slow_provider_times_out(tmp_path, stub):
    stub.behaviour = scripted(StubAnswer(delay=30))
    bench = Bench(tmp_path, stub, request_timeout="100ms")
    with pytest.raises(ProviderDownError, match=r"did not answer in 0\.1 s") as caught:
        await bench.text()
    assert caught.value.is_retryable
    await bench.performer.aclose()


async def test_nobody_listening(tmp_path):
    async with StubProvider() as gone:
        bench = Bench(tmp_path, gone)
    with pytest.raises(ProviderDownError, match="connection to openai failed") as caught:
        await bench.text()
    assert caught.value.is_retryable
    await bench.performer.aclose()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) == seconds


def city(**fields) -> str:
    return json.dumps({"name": "Lyon", "founded": "2020-01-01", **fields})


def ask_city(schema=CITY) -> ObjectRequest:
    return ObjectRequest(model=ModelSetting(handle="gpt-4o"), prompt="a city", name="City", output_schema=schema)


@pytest.mark.parametrize(
    "text", [city(), f"```json\n{city()}\n```", f"Here it is:\n```\n{city()}\n```", f"Sure. {city()} Bye"]
)
async def test_objects_are_read_however_they_are_dressed(bench, stub, text):
    stub.behaviour = scripted(StubAnswer(text=text))
    reply = await bench.performer.perform(ask_city())
    assert reply.data == {"name": "Lyon", "founded": "2020-01-01"}
    assert bench.sent()["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "City", "schema": CITY, "strict": False},
    }


async def test_a_misfit_is_asked_again_with_the_reasons(bench, stub):
    stub.behaviour = scripted(
        StubAnswer(text=city(founded="long ago")), StubAnswer(text="no JSON at all"), StubAnswer(text=city())
    )
    reply = await bench.performer.perform(ask_city())
    assert reply.usage.calls == 3
    messages = bench.sent()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert 'founded: "long ago" is not a "date"' in messages[2]["content"]
    assert "not JSON" in messages[4]["content"]


async def test_asking_again_has_an_end(bench, stub):
    stub.behaviour = scripted(StubAnswer(text="{}"))
    with pytest.raises(ReplyError, match="does not fit City after 3 attempts") as caught:
        await bench.performer.perform(ask_city())
    assert not caught.value.is_retryable
    assert stub.calls == 3


def ask_cities(count=None, schema=CITY) -> ObjectListRequest:
    return ObjectListRequest(
        model=ModelSetting(handle="gpt-4o"), prompt="cities", name="City", output_schema=schema, count=count
    )


async def test_lists_are_wrapped_counted_and_unwrapped(bench, stub):
    one = json.loads(city())
    stub.behaviour = scripted(
        StubAnswer(data={"items": [one, one]}), StubAnswer(data=[one]), StubAnswer(data={"items": []})
    )
    assert (await bench.performer.perform(ask_cities(2))).data == [one, one]
    schema = bench.sent()["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["items"] == {"type": "array", "items": CITY, "minItems": 2, "maxItems": 2}
    assert (await bench.performer.perform(ask_cities())).data == [one]
    assert (await bench.performer.perform(ask_cities())).data == []


async def test_shared_definitions_move_to_the_root_of_a_list(bench, stub):
    nested = {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"],
        "$defs": {"City": CITY},
    }
    stub.behaviour = scripted(StubAnswer(data={"items": [{"city": json.loads(city())}]}))
    assert (await bench.performer.perform(ask_cities(None, nested))).data == [{"city": json.loads(city())}]


async def test_times_need_no_zone_and_urls_may_be_references(bench, stub):
    schema = {
        "type": "object",
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "t": {"type": "string", "format": "time"},
            "url": {"type": "string", "format": "uri"},
        },
    }
    data = {"at": "2026-01-01T09:00:00", "t": "09:00", "url": "a b.png"}
    stub.behaviour = scripted(StubAnswer(data=data))
    assert (await bench.performer.perform(ask_city(schema))).data == data
    assert stub.calls == 1


async def test_pages_are_extracted_into_storage(bench):
    from test_inference_documents import pdf

    url = await bench.blobs.put(pdf("hello", "world", images=1), mime_type="application/pdf")
    request = ExtractRequest(model=ModelSetting(handle="pypdfium2-extract-pdf"), url=url, page_views=True)
    reply = await bench.performer.perform(request)
    first, second = reply.pages
    assert first["text_and_images"]["text"] == {"text": "hello"}
    [image] = first["text_and_images"]["images"]
    assert (image["width"], image["height"], image["mime_type"]) == (2, 1, "image/png")
    assert (await bench.blobs.get(image["url"])).startswith(b"\x89PNG")
    assert second["page_view"]["url"].endswith(".png")
    assert (reply.usage.calls, reply.usage.pages, reply.usage.cost_usd) == (1, 2, 0.0)
    with pytest.raises(ModelNotFoundError, match="not supported"):
        await bench.performer.perform(request.model_copy(update={"model": ModelSetting(handle="docling-extract-text")}))
    bad = await bench.blobs.put(b"%PDF-1.4", mime_type=None)
    with pytest.raises(DocumentError) as caught:
        await bench.performer.perform(request.model_copy(update={"url": bad}))
    assert bad in caught.value.render()


async def test_a_missing_key_fails_at_the_call(tmp_path):
    performer = Performer(InferenceSettings(), Deck.load([], {}), LocalBlobs(tmp_path))
    with pytest.raises(CredentialError, match="OPENAI_API_KEY"):
        await performer.perform(TextRequest(model=ModelSetting(handle="gpt-4o"), prompt="x"))


async def test_a_key_that_cannot_be_sent_is_not_shown(tmp_path):
    deck = Deck.load([], {"OPENAI_API_KEY": f"{CANARY}\u20ac"})
    performer = Performer(InferenceSettings(), deck, LocalBlobs(tmp_path))
    with pytest.raises(ConfigError) as caught:
        await performer.perform(TextRequest(model=ModelSetting(handle="gpt-4o"), prompt="x"))
    assert CANARY not in caught.value.render()


async def test_an_unknown_request_is_a_bug(bench):
    class Odd(Request[TextReply]):
        pass

    with pytest.raises(InternalError, match="Odd"):
        await bench.performer.perform(Odd())


async def test_connections_are_kept(bench, stub):
    import asyncio

    stub.latency = 0.01
    replies = await asyncio.gather(*(bench.text(f"p{n}") for n in range(20)))
    assert {reply.text for reply in replies} == {"ok"}
    assert stub.calls_by_prompt["p7"] == 1
    assert stub.most_running > 1
