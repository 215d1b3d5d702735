"""Batches: run a pipe once per item of a list (MTHDS section 9A.4), in parts when there are many. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pydantic import JsonValue

from pipelex.errors import InternalError, PipeError
from pipelex.language.pipes import PipeBatch
from pipelex.pipes.execution import Execution, inputs_from
from pipelex.pipes.ordered import gather_ordered
from pipelex.pipes.port import Batch, Item, PipeCall, PipeResult
from pipelex.pipes.requests import Usage
from pipelex.values.value import Absence, Memory, Value

_PARTS_AT_ONCE = 5


async def run_pipe_batch(pipe: PipeBatch, execution: Execution) -> PipeResult:
    """Run the branch pipe once per item of the list."""
    return await run_batch_over(
        execution,
        pipe.branch_pipe_code,
        execution.memory,
        over=pipe.input_list_name,
        item=pipe.input_item_name,
        window=pipe.max_concurrency,
    )


async def run_batch_over(
    execution: Execution,
    branch: str,
    memory: Memory,
    *,
    over: str,
    item: str,
    nb_output: int | None = None,
    multiple_output: bool | None = None,
    window: int | None = None,
) -> PipeResult:
    """Run `branch` once per item of the list called `over` in `memory`; the outcome is the list of its results.

    At most `window` items run at a time, and never more than the plan allows. An absent list counts as an
    empty one: a plural output is never absent.
    """
    found = memory.get(over)
    if found is None:
        raise PipeError(f"'{execution.code}' runs over '{over}', which is not there")
    if isinstance(found, Absence) or found.note is not None:
        note = found if isinstance(found, Absence) else found.note
        return PipeResult(outcome=Value(concept=execution.library.produced(branch).concept, data=[], note=note))
    if not isinstance(found.data, list):
        raise PipeError(f"'{execution.code}' runs over '{over}', which is not a list")
    inputs = execution.library.pipe(branch).inputs
    # The branch may declare the whole list beside its item; a part must then travel under a name of its own.
    name = over if over not in inputs else f"{over}."
    call = execution.calling(branch, memory, nb_output=nb_output, multiple_output=multiple_output)
    others = inputs_from(memory, {key: slot for key, slot in inputs.items() if key != item})
    window = min(window or execution.plan.batch_window, execution.plan.batch_window)
    batch = Batch(over=name, item=item, total=len(found.data), window=window)
    call = call.model_copy(update={"batch": batch, "memory": others.with_entry(name, found)})
    return await run_batch(call, execution)


async def run_batch(call: PipeCall, execution: Execution) -> PipeResult:
    """Run the items that a call holds, each through the host; or in parts, when they are more than the plan allows.

    Absent results contribute no item. Nothing is flattened: a branch that gives lists makes a list of lists.
    """
    batch = call.batch
    values = call.memory.root.get(batch.over) if batch is not None else None
    if batch is None or values is None or not isinstance(values.data, list):
        raise InternalError("a batch was called without its list")
    items, chunk = values.data, execution.plan.batch_chunk
    others = call.memory.only([name for name in call.memory.root if name != batch.over] + list(call.memory.absences))
    if chunk is not None and len(items) > chunk:
        return await _run_parts(call, batch, values, others, chunk, execution)

    # A branch that does not read its item does not get it: its slice need not know the concept.
    is_read = batch.item in execution.library.pipe(call.pipe).inputs

    def calls() -> Iterator[PipeCall]:
        for index, data in enumerate(items, batch.first):
            memory = others.with_entry(batch.item, values.model_copy(update={"data": data})) if is_read else others
            item = Item(index=index, total=batch.total)
            yield call.model_copy(update={"memory": memory, "batch": None, "item": item})

    results = await gather_ordered((execution.host.run_pipe(each) for each in calls()), batch.window)
    made = [result.outcome for result in results if isinstance(result.outcome, Value)]
    return _list_of(made, [value.data for value in made], results, call, execution)


async def _run_parts(
    call: PipeCall, batch: Batch, values: Value, others: Memory, chunk: int, execution: Execution
) -> PipeResult:
    """Share the items out among at most `chunk` calls; a few run at a time, each with its share of the window."""
    assert isinstance(values.data, list)
    total = len(values.data)
    count = min(chunk, -(-total // chunk))
    at_once = min(_PARTS_AT_ONCE, count, batch.window)
    bounds = [total * index // count for index in range(count + 1)]

    def calls() -> Iterator[PipeCall]:
        assert isinstance(values.data, list)
        for start, end in pairwise(bounds):
            part = batch.model_copy(update={"first": batch.first + start, "window": max(1, batch.window // at_once)})
            memory = others.with_entry(batch.over, values.model_copy(update={"data": values.data[start:end]}))
            yield call.model_copy(update={"memory": memory, "batch": part})

    results = await gather_ordered((execution.host.run_pipe(each) for each in calls()), at_once)
    made = [result.outcome for result in results if isinstance(result.outcome, Value) and result.outcome.data]
    data: list[JsonValue] = []
    for value in made:
        data += value.data if isinstance(value.data, list) else [value.data]
    return _list_of(made, data, results, call, execution)


def _list_of(
    made: list[Value], data: list[JsonValue], results: list[PipeResult], call: PipeCall, execution: Execution
) -> PipeResult:
    concepts = list(dict.fromkeys(value.concept for value in made))
    # A batch of a condition may give items of several concepts; they are then told by what the branch declares.
    concept = concepts[0] if len(concepts) == 1 else execution.library.produced(call.pipe).concept
    components = [value.components for value in made]
    # Told for all items together; where two items disagree, the component is left to be guessed.
    every = {name: found for item in components for name, found in item.items()}
    agreed = {
        name: found for name, found in every.items() if all(item.get(name, found) == found for item in components)
    }
    usage = sum((result.usage for result in results), Usage())
    return PipeResult(outcome=Value(concept=concept, data=data, components=agreed), usage=usage)
