"""What people read of a run in the Web UI."""

from __future__ import annotations

import json

import pytest
from pydantic import JsonValue
from temporalio.api.common.v1 import Payload
from temporalio.common import SearchAttributeIndexedValueType

from pipelex.language.pipes import PipeLLM, PipeSequence, Step
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import Batch, Item, PipeCall, RunInfo
from pipelex.pipes.progress import Spent
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ModelSetting,
    ObjectListRequest,
    ObjectRequest,
    Request,
    SearchObjectRequest,
    SearchRequest,
    TextRequest,
    Usage,
)
from pipelex.temporal.client import _told
from pipelex.temporal.converter import FrozenJson
from pipelex.temporal.observability import (
    SEARCH_ATTRIBUTE_KEYS,
    PipeProgress,
    Watch,
    activity_summary,
    child_id,
    details,
    final_attributes,
    search_attributes,
    shortened,
    summary,
)
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

TEXT = Slot("native.Text")
MODEL = ModelSetting(handle="gpt-4o")
RUN = RunInfo(run_id="run-1", user_id="ada", session_id="s1")


def call(pipe: str, *, item: Item | None = None, part: tuple[int, int] | None = None, **inputs: JsonValue) -> PipeCall:
    root = {name: Value(concept="native.Text", data=data) for name, data in inputs.items()}
    batch = None
    if part is not None:
        root["things"] = Value(concept="native.Text", data=[{"text": "x"}] * part[0])
        batch = Batch(over="things", item="thing", total=part[1], window=5)
    return PipeCall(pipe=pipe, run=RUN, memory=Memory(root=root), item=item, batch=batch)


def pipe(description: str) -> PipeLLM:
    return PipeLLM(type="PipeLLM", description=description, output=TEXT, prompt="x")


def test_summary() -> None:
    assert summary("d.tell", pipe("Tell a story")) == "tell — Tell a story"
    assert summary("d.tell", pipe("")) == "tell"
    long = summary("d.tell", pipe("é" * 300))
    assert len(long.encode()) <= 200
    assert long.endswith("é…")


def test_shortened_keeps_one_line() -> None:
    assert shortened("a\n  b\tc", 200) == "a b c"
    assert shortened("x" * 200, 200) == "x" * 200
    assert shortened("x" * 201, 200) == "x" * 197 + "…"


def test_details() -> None:
    crate = LibraryCrate(fingerprint="0123456789abcdef")
    text = details(call("acme.sales.tell", letter={"text": "a"}, **{"a`|b": {"text": "b"}}), crate)
    assert text.splitlines() == [
        "| Field | Value |",
        "| --- | --- |",
        "| Pipe | `tell` |",
        "| Domain | `acme.sales` |",
        "| Pipeline run | `run-1` |",
        "| User | `ada` |",
        "| Session | `s1` |",
        "| Library crate | `0123456789ab` |",
        "| Input | `letter, a'\\|b` |",
    ]
    nobody = PipeCall(pipe="tell", run=RunInfo(run_id="r"))
    assert details(nobody, LibraryCrate(fingerprint="")).splitlines()[3:] == [
        "| Domain |  |",
        "| Pipeline run | `r` |",
        "| User | `anonymous` |",
        "| Session |  |",
    ]
    wide = call("d.tell", **{f"input_{number:05}": {"text": ""} for number in range(3000)})
    assert len(details(wide, crate).encode()) <= 20_000
    assert "| Item | `3 of 9` |" in details(call("d.tell", item=Item(index=2, total=9)), crate)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (TextRequest(model=MODEL, prompt="x"), "LLM text · pipe=tell · model=gpt-4o"),
        (ObjectRequest(model=MODEL, prompt="x", name="Card", output_schema={}), "LLM object · pipe=tell · class=Card"),
        (
            ObjectListRequest(model=MODEL, prompt="x", name="Card", output_schema={}),
            "LLM object list · pipe=tell · class=Card",
        ),
        (
            SearchObjectRequest(model=MODEL, prompt="x", name="Card", output_schema={}),
            "Search structured · pipe=tell · class=Card",
        ),
        (ExtractRequest(model=MODEL, url="x"), "Extract pages · pipe=tell · handle=gpt-4o"),
        (ImageRequest(model=MODEL, prompt="x"), "Img gen 1× · pipe=tell · model=gpt-4o"),  # noqa: RUF001
        (ImageRequest(model=MODEL, prompt="x", count=3), "Img gen N× · pipe=tell · model=gpt-4o · n=3"),  # noqa: RUF001
        (SearchRequest(model=MODEL, prompt="x"), "Search sourced answer · pipe=tell · model=gpt-4o"),
        (DocumentRequest(format="pdf", html="x", filename="x.pdf"), "Document · pipe=tell · format=pdf"),
        (
            FunctionRequest(function_name="f" * 300, memory=Memory(), output=TEXT, concepts={}),
            "Function · pipe=tell · function=" + "f" * 163 + "…",
        ),
    ],
)
def test_activity_summary(request_: Request, expected: str) -> None:
    found = activity_summary(request_, "d.tell")
    assert found == expected
    assert len(found.encode()) <= 200


def test_child_ids_stay_short_and_distinct() -> None:
    assert child_id("run-1", "d.tell", "0a1b2c3d") == "run-1_tell-0a1b2c3d"
    one, other = "run-1", "run-1"
    for depth in range(50):
        one = child_id(one, "d." + "p" * 60, f"{depth:08x}")
        other = child_id(other, "d." + "p" * 60, f"{depth + 1:08x}")
        assert len(one) < 400
        assert one.startswith("run-1_")
    assert child_id(one, "d.tell", "0a1b2c3d") != child_id(other, "d.tell", "0a1b2c3d")


def test_search_attributes() -> None:
    pairs = search_attributes(SEARCH_ATTRIBUTE_TYPES, call("a.b.tell"), LibraryCrate(fingerprint="f1"))
    assert {pair.key.name: pair.value for pair in pairs} == {
        "PipeCode": "tell",
        "DomainCode": "a.b",
        "PipelineRunId": "run-1",
        "UserId": "ada",
        "SessionId": "s1",
        "CrateFingerprint": "f1",
        "PipelexStatus": "running",
    }
    assert len(search_attributes(("PipeCode",), call("a.tell"), LibraryCrate())) == 1


SMALL = Usage(calls=2, input_tokens=1200, output_tokens=34, cost_usd=0.01234567)


def ends(usage: Usage, *names: str) -> dict[str, object]:
    return {
        pair.key.name: pair.value for pair in final_attributes(names or tuple(SEARCH_ATTRIBUTE_TYPES), "done", usage)
    }


def test_what_a_workflow_ends_with() -> None:
    assert ends(SMALL.under("small") + SMALL.under("big")) == {
        "PipelexStatus": "done",
        "PipelexTokens": 2468,
        "PipelexCostUsd": 0.024691,
        "PipelexModels": ["small", "big"],
    }
    assert ends(Usage()) == {"PipelexStatus": "done", "PipelexTokens": 0, "PipelexCostUsd": 0.0}
    assert "PipelexCostUsd" not in ends(Usage(calls=1, cost_usd=None))
    assert "PipelexCostUsd" not in ends(Usage(calls=1, is_simulated=True))
    assert ends(SMALL, "PipeCode", "CrateFingerprint", "UserId") == {}


def test_attributes_have_the_types_that_namespaces_are_given() -> None:
    types = {
        SearchAttributeIndexedValueType.KEYWORD: "Keyword",
        SearchAttributeIndexedValueType.INT: "Int",
        SearchAttributeIndexedValueType.DOUBLE: "Double",
        SearchAttributeIndexedValueType.KEYWORD_LIST: "KeywordList",
    }
    assert {
        name: types[key.indexed_value_type] for name, key in SEARCH_ATTRIBUTE_KEYS.items()
    } == SEARCH_ATTRIBUTE_TYPES


def test_progress_of_steps() -> None:
    root = Watch.of(call("d.main"), 10.0)
    first = root.begin(call("d.one"), 11.0, "w1")
    root.end(first, 12.0, failed=False)
    root.begin(call("d.two"), 13.0, "w2")
    found = root.snapshot()
    assert [(child.pipe, child.state, child.workflow_id) for child in found.children] == [
        ("d.one", "done", "w1"),
        ("d.two", "running", "w2"),
    ]
    assert root.live() == "now `two`\n\n```text\n▶ main\n  ✓ one\n  ▶ two\n```"
    steps = PipeSequence(
        type="PipeSequence", description="", output=TEXT, steps=tuple(Step(pipe=f"d.{code}") for code in ("one", "two"))
    )
    known = Watch.of(call("d.main"), 10.0, pipe=steps)
    known.end(known.begin(call("d.one"), 11.0), 12.0, failed=False)
    known.usage += SMALL
    headline, _, *pipes = known.live().splitlines()
    assert headline == "**1 of 2** steps · 2 calls · 1,200 tokens in, 34 out · 0.0123 USD"
    assert pipes == ["```text", "▶ main", "  ✓ one", "```"]
    known.state = "done"
    assert known.live().startswith("**1 of 2** steps · **done** · 2 calls")


def test_the_headline_names_a_few_running_pipes() -> None:
    root = Watch.of(call("d.main"), 0.0)
    for code in "abcde":
        root.begin(call(f"d.{code}"), 1.0)
    assert root.live().splitlines()[0] == "now `a`, `b`, `c` and 2 more"
    root.usage = Usage(calls=1, pages=3, is_simulated=True)
    assert root.live().splitlines()[0].endswith(" · 1 call · simulated")
    root.usage = Usage(calls=1, cost_usd=None)
    assert root.live().splitlines()[0].endswith(" · 1 call · price unknown")


def test_progress_of_a_batch_counts_items() -> None:
    root = Watch.of(call("d.main"), 0.0)
    items = [root.begin(call("d.one", item=Item(index=index, total=3)), 1.0, f"w{index}") for index in range(3)]
    root.end(items[1], 2.0, failed=False)
    group = root.snapshot().children[0]
    assert (group.pipe, group.done, group.total, group.state) == ("d.one", 1, 3, "running")
    assert [child.workflow_id for child in group.children] == ["w0", "w2"]
    assert root.live().splitlines()[0] == "**1 of 3** items · now `one`"
    root.end(items[0], 3.0, failed=False)
    root.end(items[2], 4.0, failed=False)
    group = root.snapshot().children[0]
    assert (group.done, group.state, group.children) == (3, "done", ())
    root.begin(call("d.one", item=Item(index=0, total=3)), 5.0, "w9")
    assert [child.done for child in root.snapshot().children] == [3, 0]


def test_progress_of_parts() -> None:
    root = Watch.of(call("d.main"), 0.0)
    part = root.begin(call("d.one", part=(20, 60)), 1.0, "part")
    group = root.snapshot().children[0]
    assert (group.done, group.total, group.children[0].total) == (0, 60, 20)
    root.end(part, 2.0, failed=False)
    assert root.snapshot().children[0].done == 20

    inside = Watch.of(call("d.one", part=(20, 60)), 1.0)
    item = inside.begin(call("d.one", item=Item(index=0, total=60)), 2.0, "w")
    inside.end(item, 3.0, failed=False)
    assert (inside.done, inside.total, inside.children) == (1, 20, [])


def test_what_was_spent_is_told_at_every_level_above() -> None:
    root = Watch.of(call("d.main"), 0.0)
    step = root.begin(call("d.step"), 1.0)
    item = step.begin(call("d.one", item=Item(index=4, total=9)), 1.0, "w4")
    item.spend(SMALL)
    root.spend(SMALL)
    found = root.snapshot()
    (told,) = found.children
    (group,) = told.children
    tokens = SMALL.input_tokens + SMALL.output_tokens
    assert [each.spent.tokens for each in (found, told, group, group.children[0])] == [2 * tokens, *([tokens] * 3)]
    assert group.children[0].item == 4
    assert root.usage.calls == 2 * SMALL.calls


def test_what_other_workflows_have_spent_so_far_is_added() -> None:
    def told(pipe: str, tokens: int, *children: PipeProgress, workflow_id: str | None = None) -> PipeProgress:
        return PipeProgress(
            pipe=pipe, started=0.0, workflow_id=workflow_id, spent=Spent(tokens=tokens), children=children
        )

    inline = told("d.step", 10, told("d.far", 0, workflow_id="w1"), told("d.gone", 0, workflow_id="w2"))
    answers = {"w1": told("d.far", 5, told("d.deep", 0, workflow_id="w3")), "w3": told("d.deep", 2)}
    progress, beyond = _told(told("d.main", 30, inline), answers, 1.0)
    (step,) = progress.children
    assert (progress.spent.tokens, step.spent.tokens, beyond.tokens) == (37, 17, 7)
    assert [child.spent.tokens for child in step.children] == [7, 0]


def test_a_failed_item_stays_in_sight() -> None:
    root = Watch.of(call("d.main"), 0.0)
    item = root.begin(call("d.one", item=Item(index=0, total=3)), 1.0, "w0")
    root.end(item, 2.0, failed=True)
    assert root.snapshot().children[0].children[0].state == "failed"


def test_the_live_text_is_bounded() -> None:
    root = Watch.of(call("d.main"), 0.0)
    for index in range(100):
        root.begin(call("d.one", item=Item(index=index, total=100)), 1.0, f"w{index}")
    assert len(root.live().splitlines()) == 25
    assert root.live().endswith("… and 82 more\n```")


def test_an_answer_of_another_version_is_read() -> None:
    def answer(**fields: JsonValue) -> PipeProgress:
        data = json.dumps({"pipe": "d.main", "started": 1.0, **fields}).encode()
        found: PipeProgress = FrozenJson().from_payload(Payload(data=data), PipeProgress)
        return found

    child = {"pipe": "d.one", "started": 2.0, "attempt": 2, "spent": {"tokens": 7, "credits": 1}}
    later = answer(mood="good", children=[child], spent={"tokens": 9, "cached": {"tokens": 2}})
    assert (later.spent.tokens, later.children[0].spent.tokens) == (9, 7)
    # A worker that knows no costs yet.
    earlier = answer(state="done", ended=3.0)
    assert (earlier.state, earlier.spent) == ("done", Spent())
    progress, _ = _told(later, {}, 4.0)
    assert [child.pipe for child in progress.children] == ["d.one"]
