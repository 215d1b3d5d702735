"""`pipelex run bundle` and `pipelex run pipe`: run a method and print what it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Fetch, Functions, LibraryDirs, Server
from pipelex.cli.run_end import Kept
from pipelex.cli.run_flags import (
    Cache,
    Costs,
    Detach,
    DryRun,
    Durable,
    DynamicOutput,
    Graph,
    Inputs,
    Json,
    Lane,
    MemoryPath,
    MockInputs,
    NoPrettyPrint,
    OutputDir,
    PipeFlag,
    Profile,
    Rehearsable,
    SaveCsv,
    SaveMain,
    SaveMemory,
    Simulate,
    WithMemory,
)

if TYPE_CHECKING:
    from pipelex.app import Method, RunHandle, RunResult, Runtime
    from pipelex.cli.inputs import Given
    from pipelex.cli.leaving import Threads
    from pipelex.cli.run_end import Ending
    from pipelex.config.load import Loaded
    from pipelex.errors import PipelexError
    from pipelex.library.library import Library

app = typer.Typer(help="Run a method.", no_args_is_help=True, rich_markup_mode=None)


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    target: Path | None
    pipe: str | None
    inputs: str | None
    output_dir: Path | None
    is_dry: bool
    mock_inputs: bool
    durable: bool | None
    server: str | None
    library_dirs: list[Path] | None
    is_json: bool
    with_memory: bool
    simulate: bool | Path
    is_quiet: bool
    functions: list[str] | None
    kept: Kept
    fetch: bool = False
    save_csv: Path | None = None
    dynamic_output: str | None = None
    lane: str | None = None
    costs: bool = True
    graph: bool = True
    cache: bool | None = None
    detach: bool = False


@app.command("bundle", cls=Rehearsable)
def bundle(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A .mthds file, or a directory that holds one.")],
    pipe: PipeFlag = None,
    inputs: Inputs = None,
    output_dir: OutputDir = None,
    dry_run: DryRun = False,
    mock_inputs: MockInputs = False,
    temporal: Durable = None,
    server: Server = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
    with_memory: WithMemory = False,
    simulate: Simulate = False,
    profile: Profile = None,
    no_pretty_print: NoPrettyPrint = False,
    functions: Functions = None,
    fetch: Fetch = False,
    save_csv: SaveCsv = None,
    save_main_stuff: SaveMain = True,
    save_working_memory: SaveMemory = True,
    working_memory_path: MemoryPath = None,
    dynamic_output_concept: DynamicOutput = None,
    lane: Lane = None,
    costs: Costs = True,
    graph: Graph = True,
    cache: Cache = None,
    detach: Detach = False,
) -> None:
    """Run the main pipe of a bundle, or another of its pipes.

    In a directory, `bundle.mthds` is used, or the only .mthds file; `inputs.json` or `inputs.toml` beside it is used
    when neither --inputs nor stdin gives them.
    """
    start(
        Wish(
            target=path,
            pipe=pipe,
            inputs=inputs,
            output_dir=output_dir,
            is_dry=dry_run,
            mock_inputs=mock_inputs,
            durable=temporal,
            server=server,
            library_dirs=library_dir,
            is_json=json,
            with_memory=with_memory,
            simulate=profile or simulate,
            is_quiet=no_pretty_print,
            functions=functions,
            fetch=fetch,
            save_csv=save_csv,
            kept=Kept(save_main_stuff, save_working_memory, working_memory_path),
            dynamic_output=dynamic_output_concept,
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
            detach=detach,
        )
    )


@app.command("pipe", cls=Rehearsable)
def pipe(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE", autocompletion=pipe_codes, help="Code of the pipe, bare or with its domain."),
    ],
    inputs: Inputs = None,
    output_dir: OutputDir = None,
    dry_run: DryRun = False,
    mock_inputs: MockInputs = False,
    temporal: Durable = None,
    server: Server = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
    with_memory: WithMemory = False,
    simulate: Simulate = False,
    profile: Profile = None,
    no_pretty_print: NoPrettyPrint = False,
    functions: Functions = None,
    save_csv: SaveCsv = None,
    save_main_stuff: SaveMain = True,
    save_working_memory: SaveMemory = True,
    working_memory_path: MemoryPath = None,
    dynamic_output_concept: DynamicOutput = None,
    lane: Lane = None,
    costs: Costs = True,
    graph: Graph = True,
    cache: Cache = None,
    detach: Detach = False,
) -> None:
    """Run a pipe of the library: --library-dir, else PIPELEXPATH, else [library] dirs of the configuration."""
    start(
        Wish(
            target=None,
            pipe=code,
            inputs=inputs,
            output_dir=output_dir,
            is_dry=dry_run,
            mock_inputs=mock_inputs,
            durable=temporal,
            server=server,
            library_dirs=library_dir,
            is_json=json,
            with_memory=with_memory,
            simulate=profile or simulate,
            is_quiet=no_pretty_print,
            functions=functions,
            save_csv=save_csv,
            kept=Kept(save_main_stuff, save_working_memory, working_memory_path),
            dynamic_output=dynamic_output_concept,
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
            detach=detach,
        )
    )


def start(wish: Wish) -> None:
    """Do what the command line asks for."""
    if wish.mock_inputs and not wish.is_dry:
        raise typer.BadParameter("--mock-inputs needs --dry-run")
    if wish.simulate and wish.is_dry:
        raise typer.BadParameter("--simulate and --dry-run exclude each other: a dry run calls no backend at all")
    if wish.kept.memory_path is not None and not wish.kept.memory:
        raise typer.BadParameter("--working-memory-path and --no-save-working-memory exclude each other")
    import asyncio

    from pipelex.cli import session

    if wish.target is None and wish.pipe is not None and _is_written_as_path(wish.pipe):
        raise _is_path(wish.pipe)
    loaded = session.load(server=wish.server)
    if wish.detach:
        _check_detached(wish, loaded)
    asyncio.run(_run(wish, loaded))


def _is_durable(wish: Wish, loaded: "Loaded") -> bool:
    return loaded.settings.temporal.is_enabled if wish.durable is None else wish.durable


def _check_detached(wish: Wish, loaded: "Loaded") -> None:
    if not _is_durable(wish, loaded):
        raise typer.BadParameter("--detach needs --temporal: a run in this process ends with the process")
    asked = {
        "--save-csv": wish.save_csv,
        "--output-dir": wish.output_dir,
        "--with-memory": wish.with_memory,
        "--working-memory-path": wish.kept.memory_path,
    }
    for flag in (flag for flag, value in asked.items() if value):
        raise typer.BadParameter(
            f"{flag} and --detach exclude each other: the result is had later, with pipelex runs result"
        )


def _is_written_as_path(code: str) -> bool:
    return code.endswith(".mthds") or ("/" in code and "->" not in code)


def _is_path(code: str) -> "PipelexError":
    from pipelex.errors import InputError

    return InputError(f"{code!r} is a path, not the code of a pipe", hint=f"pipelex run bundle {code}")


async def _run(wish: Wish, loaded: "Loaded") -> None:
    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.cli.inputs import read_inputs
    from pipelex.cli.leaving import threads, threads_ended

    # The inputs file of a directory is that of its main pipe.
    beside = wish.target if wish.target and wish.target.is_dir() and wish.pipe is None else None
    given = read_inputs(wish.inputs, beside)
    if given.source and wish.inputs is None:
        session.say(f"inputs: {given.source}")
    runtime = Runtime.open(
        loaded.settings,
        library_dirs=wish.library_dirs,
        environ=loaded.environ,
        functions=session.function_sources(wish.functions, loaded),
    )
    with threads() as pool:
        async with runtime:
            ending = _ending(wish, runtime)
            if not wish.detach:
                ending.check_places()
            handle, library = await _submitted(wish, runtime, given, loaded)
            if wish.detach:
                await handle.leave()
                _told_detached(wish, handle)
                return
            # All is told before the runtime closes: a collector of traces that is away would hold it up.
            await ending.tell(await _awaited(wish, handle, library, ending, pool), handle, library, runtime.blobs)
            await threads_ended(handle, pool)


def _ending(wish: Wish, runtime: "Runtime") -> "Ending":
    from pipelex.cli.run_end import Ending

    return Ending(
        base=wish.output_dir or runtime.settings.output.dir,
        is_json=wish.is_json,
        with_memory=wish.with_memory,
        is_quiet=wish.is_quiet,
        save_csv=wish.save_csv,
        costs=wish.costs,
        graph=wish.graph,
        is_dry=wish.is_dry,
        is_rehearsal=runtime.rehearsal(wish.simulate) is not None,
        kept=wish.kept,
    )


async def _submitted(wish: Wish, runtime: "Runtime", given: "Given", loaded: "Loaded") -> "tuple[RunHandle, Library]":
    from pipelex.cli import output
    from pipelex.cli.session import say

    method, ref = _loaded(wish, runtime)
    pipe = method.library.pipe(ref)
    if wish.save_csv is not None:
        output.check_rows(pipe.output, method.library.concepts)
    handle = await runtime.start(
        ref,
        given.for_pipe(pipe.inputs),
        method=method,
        inputs_dir=given.base,
        durable=_is_durable(wish, loaded),
        dry_run=wish.is_dry,
        mock_inputs=wish.mock_inputs,
        simulate=wish.simulate,
        use_cache=wish.cache,
        lane=wish.lane,
        on_warning=lambda sentence: say(f"warning: {sentence}"),
    )
    return handle, method.library


def _loaded(wish: Wish, runtime: "Runtime") -> "tuple[Method, str]":
    """The method, and the pipe of it to run. A code that no pipe has may be the path of a directory."""
    from pipelex.cli.session import say
    from pipelex.errors import PipeNotFoundError

    is_path = wish.target is None and wish.pipe is not None and Path(wish.pipe).exists()
    if is_path and not runtime.library_dirs:
        raise _is_path(str(wish.pipe))
    method = runtime.load(wish.target, fetch=wish.fetch)
    for warning in method.warnings:
        say(warning.render())
    if wish.dynamic_output is not None:
        method = method.with_dynamic_as(wish.dynamic_output)
    try:
        return method, method.pipe(wish.pipe)
    except PipeNotFoundError:
        if is_path:
            raise _is_path(str(wish.pipe)) from None
        raise


async def _awaited(
    wish: Wish, handle: "RunHandle", library: "Library", ending: "Ending", pool: "Threads"
) -> "RunResult":
    """Watch the run to its end; Ctrl-C cancels it or, when it is durable, leaves it."""
    from pipelex.cli.leaving import INTERRUPTED, attended, presses, say_left, threads_ended
    from pipelex.cli.progress import watch
    from pipelex.cli.session import say
    from pipelex.errors import PipelexError, RunCancelledError

    if handle.workflow_id is not None:
        say(f"workflow: {handle.workflow_id}")
        if handle.ui_url:
            say(f"web ui: {handle.ui_url}")
    try:
        with presses() as pressed:
            return await attended(handle, watch(handle), pressed, leave=lambda: say_left(handle.run_id, wish.server))
    except PipelexError as error:
        # Ctrl-C is no longer counted: a server that is away must not hold up whoever wants to leave.
        await ending.tell_failed(handle, library)
        is_interrupted = pressed.count and isinstance(error, RunCancelledError)
        if is_interrupted:
            say("cancelled")
        await threads_ended(handle, pool)
        if is_interrupted:
            raise typer.Exit(INTERRUPTED) from None
        raise


def _told_detached(wish: Wish, handle: "RunHandle") -> None:
    import json

    from pipelex.cli.leaving import say_left
    from pipelex.cli.session import say

    ids = {"run_id": handle.run_id, "workflow_id": handle.workflow_id, "url": handle.ui_url}
    print(json.dumps(ids) if wish.is_json else handle.run_id, flush=True)
    if handle.ui_url:
        say(f"web ui: {handle.ui_url}")
    say_left(handle.run_id, wish.server)
