"""What operating costs: `python -m benchmarks.operating` prints ratios inside one run. Nothing is asserted.

Routing and labels against none of them; a 5 MB value through ten steps; a large crate sent to many children.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from statistics import median

from benchmarks.measure import histories
from benchmarks.shapes import SHAPES, method
from benchmarks.stage import Stage, stage

from pipelex.app import Runtime
from pipelex.testing.replay import histories as fetched

REPEAT = 15
LARGE_BYTES = 5_000_000

ROUTED = """
[temporal.search_attributes]
enabled = true
[temporal.worker_config.activity_queues.act_llm_gen_text]
default = "temporal_task_queue"
[temporal.worker_config.activity_queues.act_llm_gen_text.handle_options.gpt-4o-mini]
start_to_close_timeout = "2m"
retry_policy_config = { maximum_attempts = 5 }
[temporal.queue_options.temporal_task_queue]
heartbeat_timeout = "20s"
retry_policy_config = { initial_interval = "1s", non_retryable_error_types_extra = ["ValueError"] }
"""
PLAIN = '[temporal.worker_config]\ndefault_task_queue = "plain"\n'


def ten_steps() -> str:
    """A sequence of ten calls, each given the whole document and reading its beginning."""
    steps = "\n".join(f'    {{ pipe = "step_{number}", result = "note_{number}" }},' for number in range(10))
    pipes = "\n".join(
        f"""
[pipe.step_{number}]
type = "PipeLLM"
description = "Reads the beginning"
inputs = {{ doc = "Text" }}
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about {{{{ doc.text[:20] }}}}"
"""
        for number in range(10)
    )
    return f"""
domain = "large"
main_pipe = "main"

[pipe.main]
type = "PipeSequence"
description = "Ten steps that need one large document"
inputs = {{ doc = "Text" }}
output = "Text"
steps = [
{steps}
]
{pipes}"""


def choice(count: int) -> str:
    """A batch whose branch chooses among `count` pipes: each child needs all of them in its crate."""
    outcomes = "\n".join(f'kind_{number} = "call_{number}"' for number in range(count))
    pipes = "\n".join(
        f"""
[pipe.call_{number}]
type = "PipeLLM"
description = "Answers the notes of kind {number}, in one sentence and without preamble"
inputs = {{ note = "Text" }}
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note, which is of kind {number}"
"""
        for number in range(count)
    )
    return f"""
domain = "choice"
main_pipe = "main"

[pipe.main]
type = "PipeBatch"
description = "One answer per note"
inputs = {{ notes = "Text[]" }}
output = "Text[]"
branch_pipe_code = "choose"
input_list_name = "notes"
input_item_name = "note"

[pipe.choose]
type = "PipeCondition"
description = "Chooses who answers"
inputs = {{ note = "Text" }}
output = "Text"
expression = "note.text"
default_outcome = "fail"
[pipe.choose.outcomes]
{outcomes}
{pipes}"""


async def run(runtime: Runtime, text: str, inputs: dict[str, object]) -> tuple[str, float]:
    """The workflow id of one run, and how long it took."""
    loaded = runtime.load(text)
    begun = time.perf_counter()
    handle = await runtime.start(None, inputs, method=loaded, durable=True)
    await handle.result()
    return handle.workflow_id or "", time.perf_counter() - begun


async def features(place: Stage) -> None:
    """Ten calls with routing and labels, and without; the runs alternate, so both meet the same machine."""
    from pipelex.temporal.namespace import register
    from pipelex.temporal.settings import SEARCH_ATTRIBUTES

    await register(place.client, SEARCH_ATTRIBUTES)
    plain, routed = place.project("plain", PLAIN), place.project("routed", ROUTED)
    shape = SHAPES["seq10"]
    async with place.worker(plain) as (_, without), place.worker(routed) as (_, with_all):
        walls: dict[str, list[float]] = {"without": [], "with": []}
        roots = {}
        for _ in range(REPEAT + 1):
            for name, runtime in (("without", without), ("with", with_all)):
                roots[name], wall = await run(runtime, method(shape), dict(shape.inputs))
                walls[name].append(wall)
        medians = {name: median(found[1:]) for name, found in walls.items()}
        events = {name: (await histories(place.client, root))[1] for name, root in roots.items()}
    show("routing and labels: wall", medians["with"], medians["without"], "s")
    show("routing and labels: events", events["with"], events["without"], "")


async def large_value(place: Stage) -> None:
    """A 5 MB document given to each of ten steps."""
    async with place.worker(place.project("large")) as (_, runtime):
        root, wall = await run(runtime, ten_steps(), {"doc": "0123456789" * (LARGE_BYTES // 10)})
        found = await fetched(place.client, root)
    largest = max(sum(event.ByteSize() for event in history.events) for history in found)
    print(f"{'5 MB through 10 steps: largest history':46}{largest:,} bytes of {len(found)} histories, {wall:.1f} s")


async def large_crate(place: Stage) -> None:
    """A batch of 100 children, each with a crate of 500 pipes, against the same with 5."""
    sizes = {}
    async with place.worker(place.project("crate")) as (_, runtime):
        for count in (5, 500):
            notes = [f"kind_{number % count}" for number in range(100)]
            root, _ = await run(runtime, choice(count), {"notes": notes})
            sizes[count] = (await histories(place.client, root))[2]
    show("100 children, crate of 500 pipes against 5: bytes", sizes[500], sizes[5], "")


def show(name: str, figure: float, against: float, unit: str) -> None:
    """One line of the report."""
    values = [f"{value:.3f} {unit}" if isinstance(value, float) else f"{value:,}" for value in (figure, against)]
    print(f"{name:50}{values[0]} / {values[1]} ({figure / against:.3f})")


async def main() -> None:
    """Measure all three, or those named."""
    parts = {"features": features, "value": large_value, "crate": large_crate}
    async with stage(latency_seconds=0.05) as place:
        for name in sys.argv[1:] or parts:
            await parts[name](place)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    # The SDK's native threads may abort the interpreter while it exits.
    os._exit(0)
