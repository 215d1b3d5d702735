"""The hosts that must agree, for the tests of this folder: in process, and three ways of being durable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from pipelex.app import RunResult, Runtime
from pipelex.config.load import load_settings
from pipelex.errors import PipelexError
from pipelex.temporal.worker import run_worker

DURABLE: dict[str, dict[str, Any]] = {
    "every_pipe": {},
    "fan_out": {"execution": {"child_workflows": "fan_out"}},
    # Small parts make trees of most batches; without a cache each workflow task replays from the start.
    "uncached": {
        "execution": {"batch_window": 4, "batch_chunk": 3},
        "worker_runtime_profiles": {"profiles": {"default": {"max_cached_workflows": 0}}},
    },
}
"""What each durable way changes under [temporal]."""


@dataclass
class Hosts:
    """One runtime for each durable way, each with a worker; a run in process takes the first."""

    durable: dict[str, Runtime]

    @property
    def here(self) -> Runtime:
        return next(iter(self.durable.values()))


def runtime(
    folder: Path,
    environ: Mapping[str, str],
    temporal: Mapping[str, Any] | None = None,
    functions: Sequence[Callable[..., Any] | Path] = (),
) -> Runtime:
    """A runtime whose project is `folder`, that sees that environment and no other. Retries do not wait."""
    environ = {"HOME": str(folder / "home"), **environ}
    (folder / "home").mkdir(parents=True, exist_ok=True)
    overrides = {"inprocess": {"initial_interval": "1ms"}, "temporal": dict(temporal or {})}
    settings = load_settings(cwd=folder, environ=environ, overrides=overrides).settings
    return Runtime.open(settings, environ=environ, functions=functions)


@contextlib.asynccontextmanager
async def hosts(
    folder: Path, client: Client, environ: Mapping[str, str], functions: Sequence[Callable[..., Any] | Path] = ()
) -> AsyncIterator[Hosts]:
    """Runtimes in one project, and a worker in this process for each."""
    target = client.service_client.config.target_host
    opened: dict[str, Runtime] = {}
    for name, changes in DURABLE.items():
        temporal = {
            "temporal_config": {"temporal_server_configs": {"local": {"target_host": target}}},
            "worker_config": {
                "default_task_queue": f"{folder.name}-{name}",
                "retry_policy_config": {"initial_interval": "1ms"},
            },
            **changes,
        }
        opened[name] = runtime(folder, environ, temporal, functions)
    async with contextlib.AsyncExitStack() as stack:
        for each in opened.values():
            await stack.enter_async_context(each)
            await stack.enter_async_context(_worker(each))
        yield Hosts(opened)


@contextlib.asynccontextmanager
async def _worker(served: Runtime) -> AsyncIterator[None]:
    ready, stop = asyncio.Event(), asyncio.Event()
    temporal = served.settings.temporal
    client = await served.temporal.client()
    working = asyncio.create_task(
        run_worker(client=client, settings=temporal, performer=served.performer(), on_ready=ready.set, stop=stop)
    )
    await ready.wait()
    try:
        yield
    finally:
        stop.set()
        await working


@dataclass(frozen=True)
class End:
    """How a run ended, in what every host must agree on: the memory and the usage, or the error."""

    memory: Any = None
    usage: Any = None
    data: Any = None
    error: tuple[str, str, tuple[str, ...], str | None] | None = None

    @classmethod
    def of(cls, result: RunResult) -> End:
        # A tree of workflows adds prices up in another order, and so rounds differently.
        cost = result.usage.cost_usd
        usage = result.usage.model_copy(update={"cost_usd": None if cost is None else round(cost, 12)})
        return cls(result.memory, usage, result.data)


async def end_of(on: Runtime, text: str | Path, inputs: Mapping[str, Any], **options: Any) -> End:
    """Run a method and tell how it ended."""
    method = on.load(text)
    try:
        return End.of(await on.run(None, inputs, method=method, **options))
    except PipelexError as error:
        return End(error=(type(error).__name__, error.message, error.pipe_path, error.hint))


async def ends_of(found: Hosts, text: str | Path, inputs: Mapping[str, Any], **options: Any) -> dict[str, End]:
    """The end of that run in process and in each durable way."""
    ends = {"in process": await end_of(found.here, text, inputs, durable=False, **options)}
    durable = [end_of(each, text, inputs, durable=True, **options) for each in found.durable.values()]
    return ends | dict(zip(found.durable, await asyncio.gather(*durable), strict=True))
