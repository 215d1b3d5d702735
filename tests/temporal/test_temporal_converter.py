"""Payloads: small for our models, on disk when large, clear when the other side runs another version."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import Payload

from pipelex.errors import ConfigError
from pipelex.language.pipes import ComposeTemplate, FromPath, Literally, PipeCompose, PipeLLM
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import Item, PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.requests import TextReply, Usage
from pipelex.temporal.converter import FrozenPayloads, data_converter
from pipelex.temporal.failures import raised
from pipelex.temporal.routing import Retry, Route, Routes
from pipelex.values.frozen import Frozen
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Memory, Value

TEXT = Slot("native.Text", is_list=True, count=3)
CRATE = LibraryCrate(
    pipes={
        "d.ask": PipeLLM(type="PipeLLM", description="", output=TEXT, prompt="x", inputs={"a": TEXT}),
        "d.make": PipeCompose(
            type="PipeCompose",
            description="",
            output=TEXT,
            construct_fields={"a": FromPath(from_="b.c"), "d": Literally(value=[1, None, {"x": False}])},
        ),
        "d.print": PipeCompose(type="PipeCompose", description="", output=TEXT, template=ComposeTemplate(template="x")),
    },
    fingerprint="f",
)
MODELS: list[Frozen] = [
    CRATE,
    PipeCall(pipe="d.ask", run=RunInfo(run_id="r"), item=Item(index=0, total=1)),
    PipeCall(
        pipe="d.ask",
        run=RunInfo(run_id="r"),
        memory=Memory(
            root={"a": Value(concept="native.Text", data=[{"text": ""}])},
            absences={"b": Absence(variable="b", absent="skipped", reason="x")},
        ),
    ),
    PipeResult(outcome=Value(concept="native.Number", data=None), usage=Usage(cost_usd=None)),
    PipeResult(outcome=Absence(variable="a", absent="declared_absent", reason="r")),
    Plan(),
    Routes(by_activity={"a": Route(retry=Retry(initial_interval=timedelta(milliseconds=1500)))}),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_come_back_equal(model: Frozen) -> None:
    converter = FrozenPayloads()
    payload = converter.to_payload(model)
    assert payload.metadata["encoding"] == b"json/plain"
    assert converter.from_payload(payload, type(model)) == model


def test_defaults_take_no_room() -> None:
    assert FrozenPayloads().to_payload(Plan()).data == b"{}"
    assert b'"from":"b.c"' in FrozenPayloads().to_payload(CRATE).data


def test_everything_else_is_as_the_sdk_has_it() -> None:
    class Other(BaseModel):
        a: int = 1

    converter = FrozenPayloads()
    assert converter.to_payload(Other()).data == b'{"a":1}'
    for value in (None, b"x", "text", 1.5, [1, {"a": None}]):
        assert converter.from_payload(converter.to_payload(value)) == value
    assert converter.from_payload(converter.to_payload(timedelta(seconds=1)), timedelta) == timedelta(seconds=1)


def test_a_model_of_another_version() -> None:
    strange = Payload(metadata={"encoding": b"json/plain"}, data=b'{"text":"secret","brand_new":"secret"}')
    with pytest.raises(Exception) as caught:  # noqa: PT011 - a failure of the SDK, looked at below
        FrozenPayloads().from_payload(strange, TextReply)
    found = raised(caught.value)
    assert isinstance(found, ConfigError)
    assert "brand_new" in found.message
    assert "secret" not in found.render()
    assert "version" in (found.hint or "")


async def test_large_payloads_go_to_disk(tmp_path: Path) -> None:
    converter = data_converter(tmp_path, threshold_bytes=1000)
    small, large = TextReply(text="x" * 100), TextReply(text="y" * 3000)
    payloads = await converter.encode([small, large, large])
    assert [len(payload.SerializeToString()) < 1000 for payload in payloads] == [True, True, True]
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 1
    assert await converter.decode(payloads, [TextReply] * 3) == [small, large, large]
