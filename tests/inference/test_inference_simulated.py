import json

import pytest

from pipelex.errors import ProviderDownError, RateLimitError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings, SimulatedSettings
from pipelex.inference.structured import validate
from pipelex.pipes.requests import Attachment, ModelSetting, ObjectListRequest, ObjectRequest, TextRequest
from pipelex.storage.local import LocalBlobs

MODEL = ModelSetting(handle="claude-of-tomorrow", backend="simulated")
LETTER = """Answer the customer about the invoice.

<letter>
Date: 3 March 2026
Customer: Maria Lopez
I was charged twice for the invoice of February. The amount was 420.50 euros. Please send the money back.
My cat is called Felix and sleeps all day. You can reach me at maria@example.com about this.
</letter>
"""
TRIAGE = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "description": "Who wrote it"},
        "amount": {"type": "number", "description": "The amount charged"},
        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "description": "Date of the letter"},
        "topic": {"enum": ["outage", "invoice", "other"]},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "email": {"type": "string"},
        "gist": {"type": "string", "description": "What about the money is asked, in one sentence"},
        "angry": {"type": "boolean"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 3},
    },
    "required": ["customer", "amount", "topic", "urgency", "gist", "angry", "parts"],
    "additionalProperties": False,
    "$defs": {"Part": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
}


def performer(tmp_path, **simulated) -> Performer:
    settings = InferenceSettings(simulated=SimulatedSettings(**simulated))
    return Performer(settings, Deck.load([], {}), LocalBlobs(tmp_path))


def text(prompt=LETTER) -> TextRequest:
    return TextRequest(model=MODEL, prompt=prompt)


async def test_texts_are_marked_and_made_of_the_prompt(tmp_path):
    reply = await performer(tmp_path).perform(text())
    assert reply.text.startswith("[simulated] ")
    assert "charged twice for the invoice" in reply.text
    assert reply.usage.is_simulated
    assert reply.usage.input_tokens == -(-len(LETTER) // 4) + 1
    assert reply.usage.cost_usd == 0.0


async def test_objects_are_found_in_the_prompt(tmp_path):
    request = ObjectRequest(model=MODEL, prompt=LETTER, name="Triage", output_schema=TRIAGE)
    data = (await performer(tmp_path).perform(request)).data
    assert validate(data, TRIAGE) == []
    assert data["customer"] == "Maria Lopez"
    assert data["amount"] == 420.5
    assert data["day"] == "2026-03-03"
    assert data["topic"] == "invoice"
    assert 1 <= data["urgency"] <= 5
    assert data["email"] == "maria@example.com"
    assert data["gist"] == "Please send the money back."


NOTES = """List the topics in a short answer, please.

<note>
title: Spring sale
body_text: The spring sale starts on Monday and lasts for two weeks. Every visitor gets a free cup of tea.
remark: The shop in Lyon stays closed on Tuesday because of repairs.
</note>
"""


async def test_texts_are_whole_sentences_without_the_names_of_fields(tmp_path):
    reply = await performer(tmp_path).perform(text(NOTES))
    body = reply.text.removeprefix("[simulated] ")
    assert 2 <= body.count(".") <= 3
    assert "Spring sale" not in body
    assert ":" not in body
    assert "List the topics" not in body
    assert all(sentence[0].isupper() for sentence in body.split(". "))


async def test_lists_have_the_number_asked_for_and_differ(tmp_path):
    request = ObjectListRequest(model=MODEL, prompt=LETTER, name="Part", output_schema=TRIAGE["$defs"]["Part"], count=3)
    data = (await performer(tmp_path).perform(request)).data
    assert len({item["text"] for item in data}) == 3


async def test_the_same_seed_gives_the_same_reply(tmp_path):
    request = ObjectRequest(model=MODEL, prompt="Invent a number.", name="T", output_schema=TRIAGE)
    first = (await performer(tmp_path).perform(request)).data
    assert (await performer(tmp_path).perform(request)).data == first
    assert (await performer(tmp_path, seed="other").perform(request)).data != first


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "x",
        "<a><b></a>",
        "1" * 200_000,
        "``` \n",
        "<p>" * 30_000,
        "<" + "a" * 99_000,
        "<br>\n" * 20_000,
        "\n" * 99_000,
        "a@" * 50_000,
    ],
)
async def test_odd_prompts_still_get_valid_replies(tmp_path, prompt):
    request = ObjectRequest(model=MODEL, prompt=prompt, name="T", output_schema=TRIAGE)
    assert validate((await performer(tmp_path).perform(request)).data, TRIAGE) == []
    assert (await performer(tmp_path).perform(text(prompt))).text.startswith("[simulated]")


async def failures(made: Performer, attempts: int, prompts: int) -> list[list[str]]:
    found = []
    for n in range(prompts):
        outcomes = []
        for _ in range(attempts):
            try:
                await made.perform(text(f"prompt {n}"))
                outcomes.append("ok")
            except (ProviderDownError, RateLimitError) as error:
                outcomes.append(type(error).__name__ if error.is_retryable else "final")
        found.append(outcomes)
    return found


async def test_failures_follow_the_rates_and_the_seed(tmp_path):
    settings = {"error_rate": 0.3, "rate_limit_rate": 0.2, "rate_limit_retry_after": "2s"}
    first = await failures(performer(tmp_path, **settings), 3, 40)
    assert await failures(performer(tmp_path, **settings), 3, 40) == first
    every = [outcome for outcomes in first for outcome in outcomes]
    assert {"ok", "ProviderDownError", "RateLimitError"} == set(every)
    assert 40 < every.count("ok") < 80
    assert any(outcomes[0] != "ok" and "ok" in outcomes for outcomes in first), "a retry may succeed"
    with pytest.raises(RateLimitError) as caught:
        await performer(tmp_path, rate_limit_rate=1, rate_limit_retry_after="2s").perform(text())
    assert caught.value.retry_after == 2.0


async def test_waits_and_prices_are_configured(tmp_path, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("pipelex.inference.providers.simulated.asyncio.sleep", sleep)
    made = performer(tmp_path, latency="1s", jitter="500ms", output_usd_per_million_tokens=10)
    usage = (await made.perform(text())).usage
    assert len(slept) == 1
    assert 1 <= slept[0] < 1.5
    assert usage.cost_usd == pytest.approx(usage.output_tokens * 10 / 1e6)


async def test_files_are_counted_but_not_fetched(tmp_path):
    request = text().model_copy(update={"attachments": (Attachment(kind="image", url="https://nowhere.invalid/x"),)})
    plain = (await performer(tmp_path).perform(text())).usage.input_tokens
    assert (await performer(tmp_path).perform(request)).usage.input_tokens == plain + 765


async def test_data_is_json(tmp_path):
    request = ObjectRequest(model=MODEL, prompt=LETTER, name="T", output_schema={"type": "object"})
    assert json.dumps((await performer(tmp_path).perform(request)).data) == "{}"
