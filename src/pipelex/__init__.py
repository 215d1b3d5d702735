"""Run AI methods written in MTHDS: in one process, or unchanged as durable Temporal workflows.

Names are loaded when first used, so that `import pipelex` costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

if TYPE_CHECKING:
    from pathlib import Path

    from pipelex.app import FunctionSource, RunHandle, Runtime
    from pipelex.config.settings import Settings
    from pipelex.errors import PipelexError
    from pipelex.inference.functions import pipe_func
    from pipelex.pipes.result import RunResult
    from pipelex.values.contents import (
        DocumentContent,
        HtmlContent,
        ImageContent,
        ListContent,
        NumberContent,
        StructuredContent,
        TextContent,
    )
    from pipelex.values.working_memory import WorkingMemory

__all__ = [
    "DocumentContent",
    "HtmlContent",
    "ImageContent",
    "ListContent",
    "NumberContent",
    "PipelexError",
    "RunHandle",
    "RunResult",
    "Runtime",
    "StructuredContent",
    "TextContent",
    "WorkingMemory",
    "__version__",
    "pipe_func",
    "pipe_run",
    "pipe_run_sync",
    "start_pipe",
]

_HOMES = {
    "pipelex.app": ("RunHandle", "Runtime"),
    "pipelex.errors": ("PipelexError",),
    "pipelex.inference.functions": ("pipe_func",),
    "pipelex.pipes.result": ("RunResult",),
    "pipelex.values.contents": (
        *("DocumentContent", "HtmlContent", "ImageContent", "ListContent", "NumberContent", "StructuredContent"),
        "TextContent",
    ),
    "pipelex.values.working_memory": ("WorkingMemory",),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pipelex")
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


async def start_pipe(
    pipe: str | None = None,
    *,
    bundle: Path | str | None = None,
    library_dirs: Sequence[Path | str] | None = None,
    inputs: Mapping[str, object] | None = None,
    durable: bool | None = None,
    dry_run: bool = False,
    mock_inputs: bool = False,
    simulate: bool | Path = False,
    use_cache: bool | None = None,
    settings: Settings | None = None,
    functions: Sequence[FunctionSource] = (),
) -> RunHandle:
    """Start a pipe and return at once with a handle on its run.

    `bundle` is the path of a .mthds file, of a directory that holds one, or the text of a bundle; `pipe` None is its
    main pipe. `durable` None follows `[temporal] is_enabled`. `mock_inputs` makes up the inputs not given (dry runs).
    `simulate` may be the path of a profile, and `use_cache` says whether the reply cache may answer.
    Await `result()` of the handle: it also lets go of what the run needed in this process.
    """
    from pathlib import Path

    from pipelex.app import Runtime

    is_path = isinstance(bundle, str) and "\n" not in bundle
    runtime = Runtime.open(settings, library_dirs=library_dirs, functions=functions)
    try:
        handle = await runtime.start(
            pipe,
            inputs,
            method=runtime.load(Path(bundle) if is_path and bundle is not None else bundle),
            durable=durable,
            dry_run=dry_run,
            mock_inputs=mock_inputs,
            simulate=simulate,
            use_cache=use_cache,
        )
    except BaseException:
        await runtime.aclose()
        raise
    handle.on_end(runtime.aclose)
    return handle


class RunOptions(TypedDict, total=False):
    """The options of `start_pipe`."""

    bundle: Path | str | None
    library_dirs: Sequence[Path | str] | None
    inputs: Mapping[str, object] | None
    durable: bool | None
    dry_run: bool
    mock_inputs: bool
    simulate: bool | Path
    use_cache: bool | None
    settings: Settings | None
    functions: Sequence[FunctionSource]


async def pipe_run(pipe: str | None = None, **options: Unpack[RunOptions]) -> RunResult:
    """Run a pipe and wait for its result; the options are those of `start_pipe`."""
    handle = await start_pipe(pipe, **options)
    return await handle.result()


def pipe_run_sync(pipe: str | None = None, **options: Unpack[RunOptions]) -> RunResult:
    """Run a pipe from code that is not asynchronous; the options are those of `start_pipe`."""
    import asyncio

    return asyncio.run(pipe_run(pipe, **options))
