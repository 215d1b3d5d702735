"""Generated methods, a performer whose replies follow from its requests, and their runs in every host."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from pipelex.errors import PipelexError, RequestRefusedError
from pipelex.inference.functions import call_function, collect_functions
from pipelex.inference.printing import make_document
from pipelex.inference.settings import DocumentSettings
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.record import PipeRecord
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ModelSetting,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    Request,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    Usage,
)
from pipelex.storage.blobs import reference_to
from pipelex.storage.settings import StorageSettings
from pipelex.temporal.activities import activities
from pipelex.temporal.client import submit
from pipelex.temporal.routing import routes_for
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner
from pipelex.testing import made_functions
from pipelex.testing.methods import Method, methods
from pipelex.values.inputs import shape_inputs
from pipelex.values.mock import mock
from pipelex.values.value import Memory

FUNCTIONS = collect_functions([made_functions])
AT_ONCE = 12
"""How many methods run at a time on a server: more would only wait for each other."""
FAULT_EVERY = 90
"""One request in so many is refused."""


def drawn(count: int, **options: Any) -> list[Method]:
    """That many methods, all different; the same ones every time."""
    found: dict[str, Method] = {}

    @settings(
        max_examples=5 * count // 2,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(methods(**options))
    def draw(method: Method) -> None:
        # What differs in texts and inputs only is the same method again.
        shape = [line for line in method.text.splitlines() if not line.startswith(("prompt", "description"))]
        found.setdefault("\n".join(shape), method)

    draw()
    # Larger ones have more to disagree on, and take longer.
    by_size = sorted(found.values(), key=lambda method: method.text.count("\n[pipe."), reverse=True)
    return [*by_size[: count // 3], *by_size[count // 3 :: 2], *by_size[count // 3 + 1 :: 2]][:count]


def digest(request: Request[Any]) -> str:
    """What a request asks, in few letters."""
    data = {"kind": type(request).__name__, **request.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def is_refused(seed: str) -> bool:
    """Whether a request of that digest is among those refused."""
    return int(seed[:12], 16) % FAULT_EVERY == 0


class Digests:
    """Blobs of which only the references are kept: equal references are equal bytes."""

    async def put(self, data: bytes, *, mime_type: str | None, filename: str | None = None) -> str:
        return str(reference_to(data, mime_type=mime_type, filename=filename))

    async def get(self, reference: str) -> bytes:
        raise AssertionError(f"nobody reads {reference}")


class HashPerformer:
    """Answers every request by its digest alone; notes the digests by model, which is one for each method.

    Files are really made, functions are really called. These two requests have no model: in an
    activity it is the id of the workflow that says which method asks, elsewhere `handle`.
    `patience` lets answers come in an order of its own: each waits for some turns of the loop, told by its digest.
    `refuses` names the one request to refuse, instead of those that `is_refused` would.
    """

    def __init__(self, handle: str = "", *, patience: int = 0, refuses: str | None = None) -> None:
        self.asked: dict[str, Counter[str]] = defaultdict(Counter)
        self._handle = handle
        self._patience = patience
        self._refuses = refuses

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        """Answer, or refuse."""
        seed = digest(request)
        number = int(seed[:12], 16)
        handle = self._asks(request)
        self.asked[handle][seed] += 1
        for _ in range((number >> 8) % 7 * self._patience):
            await asyncio.sleep(0)
        if is_refused(seed) if self._refuses is None else seed == self._refuses:
            raise RequestRefusedError(f"refused {seed[:8]}", provider="hash", model=handle)
        match request:
            case DocumentRequest():
                return await make_document(request, Digests(), StorageSettings(), DocumentSettings())
            case FunctionRequest():
                return await call_function(FUNCTIONS, request)
        return _reply(request, seed, number)

    def _asks(self, request: Any) -> str:
        """The handle of the method that asks."""
        if isinstance(request, DocumentRequest | FunctionRequest) and activity.in_activity():
            found = re.search(r"model-\d+", activity.info().workflow_id or "")
            assert found is not None
            return found[0]
        return self._handle if isinstance(request, DocumentRequest | FunctionRequest) else str(request.model.handle)


def _reply(request: Any, seed: str, number: int) -> Any:
    usage = Usage(calls=1, input_tokens=number % 100, output_tokens=number % 7, cost_usd=number % 8 / 4)
    count = number % 4
    match request:
        case TextRequest():
            return TextReply(text=f"{seed[: count + 1]} {{{{ x }}}} $y @z <b>{'é' * count}", usage=usage)
        case ObjectRequest(output_schema=schema):
            fills = number % 3 > 0
            return ObjectReply(data=mock(schema, seed=seed, items=count, fills_optional=fills), usage=usage)
        case ObjectListRequest(output_schema=schema):
            made = [mock(schema, seed=f"{seed}{index}", items=count) for index in range(request.count or count)]
            return ObjectReply(data=made, usage=usage)
        case ExtractRequest():
            texts = [f"page {index} of {seed[:4]}" for index in range(count)]
            return PagesReply(pages=[{"text_and_images": {"text": {"text": text}}} for text in texts], usage=usage)
        case ImageRequest():
            urls = [f"https://mock.invalid/{seed[:6]}-{index}.png" for index in range(request.count)]
            return ImagesReply(images=[{"url": url} for url in urls], usage=usage)
        case SearchRequest():
            sources = [{"url": f"https://mock.invalid/{index}"} for index in range(count)]
            return SearchReply(result={"answer": seed[:5], "sources": sources}, usage=usage)
    raise AssertionError(f"no answer to a {type(request).__name__}")


@dataclass(frozen=True)
class End:
    """How a run ended, in what every host must agree on."""

    result: Any = None
    error: tuple[str, str, tuple[str, ...]] | None = None
    asked: Counter[str] = field(default_factory=Counter)
    record: PipeRecord = field(default_factory=lambda: PipeRecord(pipe=""))

    @property
    def outcome(self) -> Any:
        """The end but for what was asked: a run that fails may stop others that go on beside it sooner or later."""
        return self.result, self.error


class ReorderedHost(InProcessHost):
    """Each pipe waits for some turns of the loop before it begins."""

    def __init__(self, order: int, *args: Any) -> None:
        super().__init__(*args)
        self._order = order

    async def run_under(self, *told: Any) -> PipeResult:
        call: PipeCall = told[-1]
        seed = f"{self._order} {call.path} {call.pipe} {call.item}"
        for _ in range(hashlib.sha256(seed.encode()).digest()[0] % 64):
            await asyncio.sleep(0)
        return await super().run_under(*told)


@dataclass(frozen=True)
class Case:
    """A method ready to run."""

    method: Method
    library: Library
    memory: Memory
    number: int

    @classmethod
    def of(cls, method: Method, number: int) -> Case:
        """Link a method. Raises what linking and the inputs raise: generated methods are valid."""
        library, _ = library_from_texts({"made.mthds": method.text})
        pipe = library.pipe(library.entry(None))
        memory, _ = shape_inputs(method.inputs, pipe.inputs, library.concepts, domain="made")
        return cls(method, library, memory, number)

    @property
    def handle(self) -> str:
        """The model of all its pipes."""
        return f"model-{self.number}"

    @property
    def is_side_by_side(self) -> bool:
        """Whether pipes may run at the same time."""
        return any(word in self.method.text for word in ("PipeParallel", "PipeBatch", "batch_over"))

    def plan(self, **changes: Any) -> Plan:
        models = {ask.key: ModelSetting(handle=self.handle) for ask in model_asks(self.library.crate).values()}
        return Plan(models=models, **changes)

    def call(self, run_id: str) -> PipeCall:
        return PipeCall(pipe=self.library.entry(None), run=RunInfo(run_id=run_id), memory=self.memory)

    async def here(self, patience: int = 0, refuses: str | None = None, *, order: int = 0, **changes: Any) -> End:
        """The end of a run in process; with an `order`, what may run side by side begins in another one."""
        performer = HashPerformer(self.handle, patience=patience, refuses=refuses)
        kind = functools.partial(ReorderedHost, order) if order else InProcessHost
        host = kind(self.library, self.plan(**changes), performer)
        end = await end_of(host.run_pipe(self.call(self.handle)), performer, self.handle)
        return replace(end, record=host.record().root)


async def end_of(running: Coroutine[Any, Any, PipeResult], performer: HashPerformer, handle: str) -> End:
    """How a run ends."""
    try:
        result = await running
    except PipelexError as error:
        told = (type(error).__name__, error.message, error.pipe_path)
        return End(error=told, asked=performer.asked[handle])
    return End(result.model_dump(mode="json"), None, performer.asked[handle])


@dataclass(frozen=True)
class Way:
    """A way of being durable: which pipes are workflows, what changes in the plan, and of the worker.

    Methods take the choices of `child_workflows` in turn.
    """

    name: str
    child_workflows: tuple[str, ...]
    plan: dict[str, Any]
    worker: dict[str, Any]

    def choice(self, case: Case) -> str:
        """What a method takes for `child_workflows`."""
        return self.child_workflows[case.number % len(self.child_workflows)]


WAYS = (
    Way("durable", ("every_pipe",), {}, {}),
    # Small parts make trees of most batches; without a cache each workflow task replays from the start.
    Way("uncached", ("fan_out", "every_pipe"), {"batch_window": 3, "batch_chunk": 3}, {"max_cached_workflows": 0}),
)


async def durable_ends(client: Client, cases: Sequence[Case], way: Way) -> list[End]:
    """The ends of durable runs of all cases, on one worker."""
    performer = HashPerformer()
    queue = f"differential-{way.name}"
    places = asyncio.Semaphore(AT_ONCE)

    async def run(case: Case) -> End:
        async with places:
            plan = case.plan(**way.plan)
            execution = {"child_workflows": way.choice(case)}
            temporal = TemporalSettings.model_validate(
                {"worker_config": {"default_task_queue": queue}, "execution": execution}
            )
            routes = routes_for(temporal, case.library.crate, plan.models)
            found = await submit(
                client, case.call(f"{way.name}-{case.handle}"), case.library.crate, plan, routes, temporal
            )
            end = await end_of(found.result(), performer, case.handle)
            return replace(end, record=(await found.record()).root)

    async with _worker(client, queue, performer, way.worker):
        return list(await asyncio.gather(*(run(case) for case in cases)))


@contextlib.asynccontextmanager
async def _worker(client: Client, queue: str, performer: HashPerformer, options: dict[str, Any]) -> AsyncIterator[None]:
    async with Worker(
        client,
        task_queue=queue,
        workflows=[PipeWorkflow],
        activities=activities(performer),
        workflow_runner=workflow_runner(),
        max_concurrent_workflow_tasks=16,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        **options,
    ):
        yield


async def disagreements(case: Case, expected: End, ends: dict[str, End]) -> list[str]:
    """What hosts make of a method otherwise than the run in process; nothing when all is well."""
    found = [f"{name}: {difference}" for name, end in ends.items() for difference in differences(case, expected, end)]
    if not found or expected.error is None or not case.is_side_by_side:
        return found
    # Of several faults side by side, the first to happen ends the run: which one it is, the hosts may settle apart.
    possible = [expected.error, *[(await case.here(patience)).error for patience in (1, 5, 40)]]
    possible += [(await case.here(order=order)).error for order in range(1, 25)]
    unhindered = await case.here(refuses="")
    refused = filter(is_refused, unhindered.asked)
    possible += [unhindered.error, *[(await case.here(refuses=seed)).error for seed in refused]]
    return [
        f"{name}: {end.error} is none of {sorted(set(map(str, possible)))}"
        for name, end in ends.items()
        if end.error not in possible
    ]


def differences(case: Case, expected: End, end: End) -> Iterable[str]:
    """What one run differs in."""
    if end.error != expected.error:
        yield f"ends with {end.error}, not {expected.error}"
    elif end.result != expected.result:
        yield f"gives\n{json.dumps(end.result)}\nnot\n{json.dumps(expected.result)}"
    elif end.asked != expected.asked and not (end.error and case.is_side_by_side):
        yield f"asks {dict(end.asked)}, not {dict(expected.asked)}"


def note(folder: Path, name: str, lines: Iterable[str]) -> Path:
    """Keep a text for whoever looks into a failure."""
    path = folder / name
    path.write_text("\n".join(lines))
    return path
