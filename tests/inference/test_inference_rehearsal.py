"""Profiles of rehearsals: what they may say, how a model behaves by them, and that all of it follows from the seed."""

from datetime import timedelta
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pipelex.errors import ConfigError, PipelexError, ProviderDownError, RateLimitError, ReplyError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.providers import simulated
from pipelex.inference.rehearsal import behaviour_of, read_profile, rehearsed
from pipelex.inference.settings import InferenceSettings, SimulatedSettings
from pipelex.pipes.requests import (
    ImageRequest,
    ModelSetting,
    ObjectRequest,
    SearchRequest,
    TextRequest,
    attempted,
)
from pipelex.storage.local import LocalBlobs

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
MODEL = ModelSetting(handle="claude-of-tomorrow", backend="simulated")
PROFILE = """
seed = "bad day"
latency = "0s"
error_rate = 0.1

[handles."claude-*"]
latency = { p50 = "800ms", p99 = "6s" }
outages = [{ start = "10s", end = "70s" }]

[handles."claude-of-tomorrow"]
latency = { min = "1s", max = "2s" }
"""


def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: list[float]) -> tuple[Performer, list[float]]:
    """A performer whose simulated backend sleeps no time, and sees the time of `now`."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(simulated.asyncio, "sleep", sleep)
    performer = Performer(InferenceSettings(), Deck.load([], {}), LocalBlobs(tmp_path))
    performer._providers["simulated", "simulated"] = simulated.Simulated(SimulatedSettings(), clock=lambda: now[0])
    return performer, slept


def model(started: float = 0.0, handle: str = MODEL.handle, **behaviour) -> ModelSetting:
    plain = ModelSetting(handle=handle, backend="simulated")
    return rehearsed({"m": plain}, SimulatedSettings(**behaviour), started=started)["m"]


async def outcomes(performer: Performer, setting: ModelSetting, count: int, attempts: int = 1) -> list[str]:
    """What comes of many requests: the name of the reply or of the error, attempt by attempt."""
    found = []
    for number in range(count):
        for attempt in range(1, attempts + 1):
            request = attempted(TextRequest(model=setting, prompt=f"Say {number}."), attempt)
            try:
                found.append(type(await performer.perform(request)).__name__)
            except PipelexError as error:
                found.append(type(error).__name__)
    return found


def test_what_is_said_of_a_handle_lies_over_what_is_said_of_all(tmp_path):
    (tmp_path / "p.toml").write_text(PROFILE)
    profile = read_profile(tmp_path / "p.toml")
    all_models, claude, exact = (behaviour_of(profile, name) for name in ("gpt-4o", "claude-9", "claude-of-tomorrow"))
    assert (all_models.error_rate, claude.error_rate, exact.error_rate) == (0.1, 0.1, 0.1)
    assert (len(all_models.outages), len(claude.outages), len(exact.outages)) == (0, 1, 0)
    assert all_models.latency == timedelta(0)
    assert claude.latency != exact.latency


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seeds = 1", "unknown key 'seeds'"),
        ('[handles."a*"]\noutage = 1', "unknown key 'outage'"),
        ("error_rate = 2", "error_rate: Input should be less than or equal to 1"),
        (
            'latency = { min = "1s" }',
            "latency: give a latency as a text, or as a table of min and max, or of p50 and p99",
        ),
        ('latency = { min = "2s", max = "1s" }', "latency: min must be at most max"),
        ('latency = { p50 = "0s", p99 = "1s" }', "latency: p50 must be above 0 and at most p99"),
        ('outages = [{ start = "2s", end = "2s" }]', "outages.0: an outage ends after its start"),
        ('outages = [{ start = "2s" }]', "outages.0.end: Field required"),
        ("handles = 3", "expected a table, found 3"),
        ("x = [[", "this is not valid TOML: invalid value"),
    ],
)
def test_a_mistake_in_a_profile_is_told_with_its_place(tmp_path, text, told):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_profile(tmp_path / "p.toml")
    assert caught.value.message == told
    assert caught.value.where.startswith(str(tmp_path / "p.toml"))


def test_a_profile_may_be_written_as_settings_are(tmp_path):
    (tmp_path / "p.toml").write_text("[inference.simulated]\nerror_rate = 0.5\n")
    assert read_profile(tmp_path / "p.toml") == SimulatedSettings(error_rate=0.5)


def test_only_simulated_models_are_told_and_the_wire_stays_small():
    real = ModelSetting(handle="pypdfium2-extract-pdf")
    behaviour = SimulatedSettings(latency="1s", handles={"gpt*": {"outages": [{"start": 10, "end": 70}]}})
    found = rehearsed({"a": real, "b": MODEL}, behaviour, started=5.0)
    assert found["a"] is real
    wire = found["b"].model_dump(mode="json", exclude_defaults=True)["rehearsal"]
    assert wire == snapshot({"started": 5.0, "behaviour": {"latency": "PT1S"}})
    assert ModelSetting.model_validate_json(found["b"].model_dump_json(exclude_defaults=True)) == found["b"]
    assert attempted(TextRequest(model=real, prompt="x"), 3).model is real


async def test_everything_follows_from_the_seed_the_request_and_the_attempt(tmp_path, monkeypatch):
    rates = {"error_rate": 0.2, "rate_limit_rate": 0.2, "refusal_rate": 0.1}
    performer, _ = bench(tmp_path, monkeypatch, [0.0])
    first = await outcomes(performer, model(seed=1, **rates), 100, attempts=3)
    other, _ = bench(tmp_path, monkeypatch, [0.0])
    # Another worker, another day, and after other calls: the same.
    await outcomes(other, model(9.0, seed=1, **rates), 7)
    assert await outcomes(other, model(9.0, seed=1, **rates), 100, attempts=3) == first
    assert await outcomes(other, model(seed=2, **rates), 100, attempts=3) != first
    counted = {name: first.count(name) for name in set(first)}
    assert counted == snapshot({"TextReply": 155, "ProviderDownError": 58, "RateLimitError": 67, "ReplyError": 20})


async def test_latencies_are_spread_as_the_profile_says(tmp_path, monkeypatch):
    performer, slept = bench(tmp_path, monkeypatch, [0.0])
    await outcomes(performer, model(latency={"p50": "1s", "p99": "10s"}), 400)
    ordered = sorted(slept)
    assert 0.8 < ordered[200] < 1.25
    assert 6 < ordered[395] < 16
    slept.clear()
    await outcomes(performer, model(latency={"min": "1s", "max": "3s"}, jitter="1s"), 200)
    assert 1 <= min(slept) < 1.3
    assert 3.5 < max(slept) <= 4
    slept.clear()
    await outcomes(performer, model(latency="250ms"), 2)
    assert slept == [0.25, 0.25]


async def test_an_outage_is_a_time_of_the_run_and_of_the_handles_it_names(tmp_path, monkeypatch):
    now = [1009.0]
    performer, _ = bench(tmp_path, monkeypatch, now)
    behaviour = {"handles": {"claude-*": {"outages": [{"start": "10s", "end": "70s"}]}}}
    found = []
    for now[0] in (1009.0, 1010.0, 1069.9, 1070.0):
        found += await outcomes(performer, model(1000.0, **behaviour), 1)
    assert found == ["TextReply", "ProviderDownError", "ProviderDownError", "TextReply"]
    now[0] = 1020.0
    assert await outcomes(performer, model(1000.0, "gpt-4o", **behaviour), 1) == ["TextReply"]
    with pytest.raises(ProviderDownError) as caught:
        await performer.perform(TextRequest(model=model(1000.0, **behaviour), prompt="x"))
    assert caught.value.is_retryable
    assert caught.value.message == snapshot("the simulated provider is down (503), from 10 s to 70 s of this rehearsal")


async def test_errors_are_those_of_real_providers(tmp_path, monkeypatch):
    performer, _ = bench(tmp_path, monkeypatch, [0.0])
    with pytest.raises(RateLimitError) as limited:
        await performer.perform(TextRequest(model=model(rate_limit_rate=1, rate_limit_retry_after="7s"), prompt="x"))
    assert (limited.value.retry_after, limited.value.is_retryable) == (7.0, True)
    with pytest.raises(ReplyError) as refused:
        await performer.perform(TextRequest(model=model(refusal_rate=1), prompt="x"))
    assert not refused.value.is_retryable


async def test_a_cut_object_is_asked_for_again_and_counted(tmp_path, monkeypatch):
    performer, _ = bench(tmp_path, monkeypatch, [0.0])
    priced = {"truncated_rate": 0.5, "input_usd_per_million_tokens": 2, "output_usd_per_million_tokens": 8}
    found = []
    for number in range(20):
        request = ObjectRequest(model=model(**priced), prompt=f"City {number}", name="City", output_schema=CITY)
        try:
            found.append((await performer.perform(request)).usage)
        except ReplyError:
            found.append(None)
    assert {usage and usage.calls for usage in found} == {None, 1, 2, 3}
    once = next(usage for usage in found if usage and usage.calls == 1)
    assert once.cost_usd == pytest.approx((once.input_tokens * 2 + once.output_tokens * 8) / 1e6)


async def test_images_and_searches_cost_what_the_profile_says_and_are_marked(tmp_path, monkeypatch):
    performer, _ = bench(tmp_path, monkeypatch, [0.0])
    setting = model(image_usd=0.04, search_usd=0.005)
    images = await performer.perform(ImageRequest(model=setting, prompt="a cat", count=2))
    found = await performer.perform(SearchRequest(model=setting, prompt="cats"))
    assert (images.usage.cost_usd, found.usage.cost_usd) == (0.08, 0.005)
    assert images.usage.is_simulated
    assert found.usage.is_simulated
    assert found.result["answer"].startswith("[simulated]")
    assert all(source["title"].startswith("[simulated]") for source in found.result["sources"])
