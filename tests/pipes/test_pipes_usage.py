"""Usage by model: totals are sums of the parts, and the parts are all that a result carries."""

from __future__ import annotations

import pytest

from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import FunctionRequest, ModelSetting, ModelUsage, TextReply, TextRequest, Usage, credited
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

CALL = Usage(calls=1, input_tokens=1200, cached_tokens=1000, output_tokens=345, cost_usd=0.0006825)
TEXT = Value(concept="native.Text", data={"text": "x"})


def test_the_totals_are_the_sums_of_what_each_model_consumed() -> None:
    usage = CALL.under("small") + CALL.under("large") + CALL.under("small")
    assert list(usage.by_model) == ["small", "large"]
    assert usage.by_model["small"] == ModelUsage(
        calls=2, input_tokens=2400, cached_tokens=2000, output_tokens=690, cost_usd=0.001365
    )
    assert (usage.calls, usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (3, 3600, 3000, 1035)
    assert usage.cost_usd == pytest.approx(3 * 0.0006825)


def test_an_unknown_price_stays_unknown_for_its_model_and_in_all() -> None:
    usage = CALL.under("small") + Usage(calls=1, cost_usd=None).under("new")
    assert usage.cost_usd is None
    assert usage.by_model["small"].cost_usd == CALL.cost_usd
    assert usage.by_model["new"].cost_usd is None
    again = PipeResult.model_validate_json(PipeResult(outcome=TEXT, usage=usage).model_dump_json(exclude_defaults=True))
    assert again.usage == usage


def test_what_no_model_consumed_is_kept_apart() -> None:
    usage = Usage() + Usage(calls=1) + CALL.under("small")
    assert {name: part.calls for name, part in usage.by_model.items()} == {"": 1, "small": 1}
    assert usage.calls == 2


def test_the_parts_are_all_that_crosses_the_wire() -> None:
    flat = PipeResult(outcome=TEXT, usage=CALL).model_dump_json(exclude_defaults=True)
    credit = PipeResult(outcome=TEXT, usage=CALL.under("gpt-4o-mini")).model_dump_json(exclude_defaults=True)
    assert len(credit) - len(flat) <= 40
    both = PipeResult(outcome=TEXT, usage=CALL.under("a") + CALL.under("b"))
    assert PipeResult.model_validate_json(both.model_dump_json(exclude_defaults=True)) == both
    assert both.model_dump_json(exclude_defaults=True).count("calls") == 2


def test_a_result_of_an_earlier_version_is_read() -> None:
    told = '{"outcome":{"concept":"native.Text","data":{"text":"x"}},"usage":{"calls":2,"cost_usd":null}}'
    usage = PipeResult.model_validate_json(told).usage
    assert (usage.calls, usage.cost_usd, usage.by_model) == (2, None, {})


def test_a_reply_is_credited_to_the_model_of_its_request() -> None:
    reply = TextReply(text="x", usage=CALL)
    asked = TextRequest(model=ModelSetting(handle="small"), prompt="p")
    assert credited(asked, reply).usage.by_model == {"small": CALL.parts()[""]}
    called = FunctionRequest(function_name="f", memory=Memory(), output=Slot("native.Text"), concepts={})
    assert credited(called, reply) is reply
    assert credited(asked, TextReply(text="x")).usage.by_model == {}
