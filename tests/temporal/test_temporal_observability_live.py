"""What a run shows while it lasts, and what it is labelled with: on a real server, asked as the Web UI asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from inline_snapshot import snapshot
from temporal_bench import TEXT, TEXTS, Bench, Scripted, ask, batch, crate, sequence, texts
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.sdk.v1 import WorkflowMetadata

from pipelex.errors import RequestRefusedError, RunCancelledError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextReply, Usage
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES
from pipelex.temporal.waiting import described
from pipelex.testing.replay import histories, replay_histories

pytestmark = pytest.mark.server

METHOD = crate(
    main=sequence(Step(pipe="d.one", result="a"), Step(pipe="d.all", result="b"), output=TEXTS, things=TEXTS),
    one=ask("1"),
    all=batch("d.tell", "things", "thing"),
    tell=ask("$thing", thing=TEXT),
)
THINGS = {"things": texts("x", "y", "z")}
SPENT = Usage(calls=1, input_tokens=1000, output_tokens=200, cost_usd=0.01)


async def details(bench: Bench, workflow_id: str) -> str:
    handle = bench.client.get_workflow_handle(workflow_id)
    return (await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)).current_details


async def details_with(bench: Bench, workflow_id: str, part: str) -> str:
    async with asyncio.timeout(20):
        while True:
            found = await details(bench, workflow_id)
            if part in found:
                return found
            await asyncio.sleep(0.05)


async def child(bench: Bench, workflow_id: str, code: str) -> str:
    async with asyncio.timeout(20):
        while True:
            for found in (await described(bench.client, workflow_id)).pending_children:
                if f"_{code}-" in found.workflow_id:
                    return found.workflow_id
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("children", ["every_pipe", "fan_out"])
async def test_a_run_shows_how_far_it_is_and_what_it_cost(bench: Bench, children: str) -> None:
    go_on = asyncio.Event()

    async def answer(request: Any) -> TextReply:
        if request.prompt == "z":
            await go_on.wait()
        return TextReply(text=request.prompt, usage=SPENT)

    settings = bench.settings(execution={"child_workflows": children})
    async with bench.worker(Scripted(answer)):
        run = await bench.start(METHOD, "main", THINGS, settings=settings)
        if children == "fan_out":
            assert await details_with(bench, run.run_id, "3 calls") == snapshot("""\
**1 of 2** steps · now `all` · 3 calls · 3,000 tokens in, 600 out · 0.0300 USD

```text
▶ main
  ✓ one
  ▶ all
    ▶ tell 2 of 3
      ▶ tell
```\
""")
        else:
            assert await details_with(bench, run.run_id, "now `all`") == snapshot("""\
**1 of 2** steps · now `all` · 1 call · 1,000 tokens in, 200 out · 0.0100 USD

```text
▶ main
  ✓ one
  ▶ all
```\
""")
            inner = await child(bench, run.run_id, "all")
            assert await details_with(bench, inner, "**2 of 3**") == snapshot("""\
**2 of 3** items · now `tell` · 2 calls · 2,000 tokens in, 400 out · 0.0200 USD

```text
▶ all
  ▶ tell 2 of 3
    ▶ tell
```\
""")
        go_on.set()
        await run.result()
        assert (await details(bench, run.run_id)).splitlines()[0] == snapshot(
            "**2 of 2** steps · **done** · 4 calls · 4,000 tokens in, 800 out · 0.0400 USD"
        )


async def labelled(bench: Bench) -> None:
    """Let the namespace know every label; it may know them already."""
    kinds = {"Keyword": "KEYWORD", "Double": "DOUBLE", "Int": "INT", "KeywordList": "KEYWORD_LIST"}
    wanted = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kinds[kind]}")
        for name, kind in SEARCH_ATTRIBUTE_TYPES.items()
    }
    await bench.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=bench.client.namespace, search_attributes=wanted)
    )


async def labels(bench: Bench, workflow_id: str) -> dict[str, Any]:
    fields = (await described(bench.client, workflow_id)).workflow_execution_info.search_attributes.indexed_fields
    return {name: json.loads(payload.data) for name, payload in fields.items() if name in SEARCH_ATTRIBUTE_TYPES}


def upserts(history: Any) -> int:
    return sum(event.HasField("upsert_workflow_search_attributes_event_attributes") for event in history.events)


def spending(request: Any) -> TextReply:
    if request.prompt == "bad":
        raise RequestRefusedError("bad")
    return TextReply(text=request.prompt, usage=SPENT)


async def test_a_run_is_labelled_with_what_it_cost(bench: Bench) -> None:
    await labelled(bench)
    settings = bench.settings(search_attributes={"enabled": True, "attributes": list(SEARCH_ATTRIBUTE_TYPES)})
    run = await bench.start(METHOD, "main", THINGS, settings=settings)
    assert (await labels(bench, run.run_id))["PipelexStatus"] == "running"
    async with bench.worker(Scripted(spending), max_cached_workflows=0):
        await run.result()
        left = await histories(bench.client, run.run_id)
    assert await labels(bench, run.run_id) == {
        "PipeCode": "main",
        "DomainCode": "d",
        "PipelineRunId": run.run_id,
        "UserId": "ada",
        "SessionId": "s1",
        "CrateFingerprint": METHOD.fingerprint,
        "PipelexStatus": "done",
        "PipelexTokens": 4800,
        "PipelexCostUsd": 0.04,
        "PipelexModels": ["small"],
    }
    assert [upserts(history) for history in left] == [1] * 6
    assert (await labels(bench, left[1].workflow_id))["PipelexCostUsd"] == 0.01
    await replay_histories(left, bench.payload_root)


async def test_a_failed_run_and_a_cancelled_one_say_so(bench: Bench) -> None:
    await labelled(bench)
    settings = bench.settings(search_attributes={"enabled": True, "attributes": ["PipelexStatus", "PipelexTokens"]})
    began = asyncio.Event()

    async def answer(request: Any) -> TextReply:
        if request.prompt == "slow":
            began.set()
            await asyncio.Event().wait()
        return spending(request)

    async with bench.worker(Scripted(answer)):
        failing = await bench.start(METHOD, "main", {"things": texts("bad")}, settings=settings)
        with pytest.raises(RequestRefusedError):
            await failing.result()
        stopped = await bench.start(METHOD, "main", {"things": texts("slow")}, settings=settings)
        await began.wait()
        await stopped.cancel()
        with pytest.raises(RunCancelledError):
            await stopped.result()
        left = [*await histories(bench.client, failing.run_id), *await histories(bench.client, stopped.run_id)]
    assert await labels(bench, failing.run_id) == {"PipelexStatus": "failed", "PipelexTokens": 1200}
    assert await labels(bench, stopped.run_id) == {"PipelexStatus": "canceled", "PipelexTokens": 1200}
    await replay_histories(left, bench.payload_root)


@pytest.mark.parametrize("names", [None, ["PipeCode", "UserId"]])
async def test_a_run_without_these_labels_has_no_event_for_them(bench: Bench, names: list[str] | None) -> None:
    await labelled(bench)
    settings = bench.settings(search_attributes={"enabled": True, "attributes": names} if names else {})
    async with bench.worker(Scripted(spending)):
        run = await bench.start(METHOD, "main", THINGS, settings=settings)
        await run.result()
        left = await histories(bench.client, run.run_id)
    assert [upserts(history) for history in left] == [0] * 6
    assert set(await labels(bench, run.run_id)) == set(names or ())
