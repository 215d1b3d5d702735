"""Bindings, dotted batches, and what a Composite remembers of its components."""

from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import PipeError
from pipelex.pipes.binding import bound
from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.value import Absence, Memory, Value


def field(kind: FieldType, **more: Any) -> Field:
    return Field(description="", type=kind, **more)


CONCEPTS = Concepts(
    {
        "d.Line": Concept(
            ref="d.Line",
            description="",
            fields={"price": field(FieldType.NUMBER), "tags": field(FieldType.LIST, item_type=FieldType.TEXT)},
        ),
        "d.Order": Concept(
            ref="d.Order",
            description="",
            fields={
                "lines": field(FieldType.LIST, item_type=FieldType.CONCEPT, concept="d.Line"),
                "main": field(FieldType.CONCEPT, concept="d.Line"),
                "due": field(FieldType.DATETIME),
                "is_paid": field(FieldType.BOOLEAN),
                "extra": field(FieldType.DICT),
                "name": field(FieldType.TEXT),
            },
        ),
    }
)
ORDER: dict[str, Any] = {
    "lines": [{"price": 1, "tags": ["a"]}, {"price": None, "tags": None}, {"price": 2.5, "tags": ["b", "c"]}],
    "main": None,
    "due": "2026-03-03T10:00:00",
    "is_paid": False,
    "extra": {"k": 1},
    "name": "n",
}
MEMORY = Memory(
    root={
        "order": Value(concept="d.Order", data=ORDER),
        "orders": Value(concept="d.Order", data=[[ORDER], [{**ORDER, "lines": None}]]),
    },
    absences={"gone": Absence(variable="gone", absent="not_provided", reason="not given")},
)


def take(path: str) -> Any:
    return bound(path, MEMORY, CONCEPTS, name="x", producer="seq")


@pytest.mark.parametrize(
    ("path", "concept", "data"),
    [
        ("order", "d.Order", ORDER),
        ("order.name", "native.Text", {"text": "n"}),
        ("order.is_paid", "native.YesNo", {"yes_no": False, "probability": None}),
        ("order.due", "native.Date", {"date": "2026-03-03", "time": "10:00:00"}),
        ("order.extra", "native.JSON", {"json_obj": {"k": 1}}),
        ("order.lines.price", "native.Number", [{"number": 1}, {"number": 2.5}]),
        ("order.lines.tags", "native.Text", [{"text": "a"}, {"text": "b"}, {"text": "c"}]),
        ("orders.lines.price", "native.Number", [{"number": 1}, {"number": 2.5}]),
        ("orders.main.tags", "native.Text", []),
        ("order.main.tags", "native.Text", []),
    ],
)
def test_a_path_gives_a_value(path: str, concept: str, data: Any) -> None:
    assert take(path) == Value(concept=concept, data=data)


def test_what_holds_nothing_is_absent_with_the_reason() -> None:
    found = take("order.main.price")
    assert isinstance(found, Absence)
    assert (found.variable, found.absent, found.producer) == ("x", "declared_absent", "seq")
    assert "'main'" in found.reason
    chained = take("gone.anything")
    assert (chained.absent, chained.upstream.variable) == ("skipped", "gone")


@pytest.mark.parametrize("path", ["nowhere.x", "order.colour", "order.name.first"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(PipeError, match=path.split(".")[-1]):
        take(path)


METHOD = """
domain = "t"
[concept.Item]
description = "An item"
[concept.Item.structure]
name = { type = "text", description = "n", required = true }
[concept.Reading]
description = "A reading"
[concept.Reading.structure]
items = { type = "list", item_type = "concept", item_concept_ref = "Item", description = "i" }
[pipe.say]
type = "PipeLLM"
description = "Say"
inputs = { item = "Item" }
output = "Text"
prompt = "$item.name"
[pipe.print]
type = "PipeCompose"
description = "Print"
inputs = { names = "Text[]", said = "Text[]" }
output = "Text"
template = "{{ names | join(',') }} {{ said | join(',') }}"
[pipe.main]
type = "PipeSequence"
description = "Main"
inputs = { reading = "Reading" }
output = "Text"
steps = [
  { from = "reading.items.name", result = "names" },
  { pipe = "say", batch_over = "reading.items", batch_as = "item", result = "said" },
  { pipe = "print", result = "printed" },
]
[pipe.batch]
type = "PipeBatch"
description = "Batch"
inputs = { items = "Item[]" }
output = "Text[]"
branch_pipe_code = "say"
input_list_name = "items"
input_item_name = "item"
max_concurrency = 2
"""
ITEMS = [{"name": name} for name in "abcde"]


async def test_bindings_and_dotted_batches_in_a_sequence(run: Any) -> None:
    reading = Value(concept="t.Reading", data={"items": ITEMS})
    ran = await run(METHOD, lambda request: f"<{request.prompt}>", {"reading": reading}, pipe="main")
    assert ran.data == {"text": "a,b,c,d,e <a>,<b>,<c>,<d>,<e>"}
    assert sorted(ran.result.stored.root) == ["names", "printed", "said"]


@pytest.mark.parametrize(("plan_window", "window"), [(50, 2), (1, 1)])
async def test_a_batch_keeps_to_its_own_window_and_to_the_plans(run: Any, plan_window: int, window: int) -> None:
    from pipelex.pipes import batch

    windows = []
    gather = batch.gather_ordered

    async def spy(coroutines: Any, given: int | None = None) -> Any:
        windows.append(given)
        return await gather(coroutines, given)

    batch.gather_ordered = spy  # type: ignore[assignment]
    try:
        inputs = {"items": Value(concept="t.Item", data=ITEMS)}
        ran = await run(
            METHOD, lambda request: request.prompt, inputs, pipe="batch", plan={"batch_window": plan_window}
        )
    finally:
        batch.gather_ordered = gather
    assert windows == [window]
    assert len(ran.data) == 5


COMPOSITE = """
domain = "t"
[concept.Size]
description = "A size"
[concept.Size.structure]
text = { type = "text", description = "as text", required = true }
wide = { type = "date", description = "when" }
[pipe.size]
type = "PipeLLM"
description = "Size"
inputs = { note = "Text" }
output = "Size"
prompt = "$note"
[pipe.image]
type = "PipeImgGen"
description = "Image"
inputs = { note = "Text" }
output = "Image"
prompt = "$note"
[pipe.both]
type = "PipeParallel"
description = "Both"
inputs = { note = "Text" }
output = "Composite"
branches = [{ pipe = "size", result = "size" }, { pipe = "image", result = "image" }]
[pipe.show]
type = "PipeLLM"
description = "Show"
inputs = { found = "Composite" }
output = "Text"
prompt = "$found.image $found.size.wide.year"
[pipe.main]
type = "PipeSequence"
description = "Main"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "both", result = "found" }, { pipe = "show", result = "shown" }]
[pipe.list]
type = "PipeSequence"
description = "List"
inputs = { notes = "Text[]" }
output = "Text[]"
steps = [
  { pipe = "both", batch_over = "notes", batch_as = "note", result = "all" },
  { pipe = "show", batch_over = "all", batch_as = "found", result = "shown" },
]
"""


def answer(request: Any) -> Any:
    if type(request).__name__ == "ImageRequest":
        return [{"url": "https://x.invalid/i.png"}]
    return "ok" if type(request).__name__ == "TextRequest" else {"text": "t", "wide": "2026-03-03"}


@pytest.mark.parametrize(("entry", "prompts"), [("main", 1), ("list", 2)])
async def test_components_are_seen_as_what_they_are(run: Any, entry: str, prompts: int) -> None:
    note = {"text": "n"}
    inputs = {"note": Value(concept="native.Text", data=note), "notes": Value(concept="native.Text", data=[note] * 2)}
    wanted = {"main": ["note"], "list": ["notes"]}[entry]
    ran = await run(COMPOSITE, answer, {name: inputs[name] for name in wanted}, pipe=entry)
    asked = [request for request in ran.performer.requests if type(request).__name__ == "TextRequest"]
    assert [request.prompt for request in asked] == ["[Image 1] 2026"] * prompts
    assert [len(request.attachments) for request in asked] == [1] * prompts
