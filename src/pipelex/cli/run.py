"""`pipelex run bundle` and `pipelex run pipe`: run a method and print what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Functions, Json, LibraryDirs, Server

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult, Runtime
    from pipelex.config.load import Loaded

app = typer.Typer(help="Run a method.", no_args_is_help=True, rich_markup_mode=None)

PipeFlag = Annotated[
    str | None, typer.Option("--pipe", metavar="CODE", help="Which pipe; default: the main pipe of the bundle.")
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs", "-i", metavar="FILE|JSON", help="Path of a .json or .toml file, or inline JSON starting with '{'."
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Where the results directory is made.  [default: results]"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Run on mock replies: no model, no function, no key is used.")]
MockInputs = Annotated[bool, typer.Option("--mock-inputs", help="With --dry-run: make up the inputs not given.")]
Durable = Annotated[
    bool | None, typer.Option("--temporal/--no-temporal", help="Run as Temporal workflows, or in this process.")
]
WithMemory = Annotated[
    bool, typer.Option("--with-memory", help="Print one JSON document: the result in three forms and the memory.")
]
Simulate = Annotated[bool, typer.Option("--simulate", help="Let the simulated backend answer for every model.")]
NoPrettyPrint = Annotated[bool, typer.Option("--no-pretty-print", help="Do not print the result on stdout.")]


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
    simulate: bool
    is_quiet: bool
    functions: list[str] | None


@app.command("bundle")
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
    no_pretty_print: NoPrettyPrint = False,
    functions: Functions = None,
) -> None:
    """Run the main pipe of a bundle, or another of its pipes.

    In a directory, `bundle.mthds` is used, or the only .mthds file; `inputs.json` or `inputs.toml` beside it is used
    when --inputs is not given.
    """
    _start(
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
            simulate=simulate,
            is_quiet=no_pretty_print,
            functions=functions,
        )
    )


@app.command("pipe")
def pipe(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code of the pipe, bare or with its domain.")],
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
    no_pretty_print: NoPrettyPrint = False,
    functions: Functions = None,
) -> None:
    """Run a pipe of the library: --library-dir, else PIPELEXPATH, else [library] dirs of the configuration."""
    if code.endswith(".mthds") or "/" in code or Path(code).is_dir():
        from pipelex.errors import InputError

        raise InputError(f"{code!r} is a path, not the code of a pipe", hint=f"pipelex run bundle {code}")
    _start(
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
            simulate=simulate,
            is_quiet=no_pretty_print,
            functions=functions,
        )
    )


def _start(wish: Wish) -> None:
    import asyncio

    from pipelex.cli import session

    if wish.mock_inputs and not wish.is_dry:
        raise typer.BadParameter("--mock-inputs needs --dry-run")
    if wish.simulate and wish.is_dry:
        raise typer.BadParameter("--simulate and --dry-run exclude each other: a dry run calls no backend at all")
    loaded = session.load(server=wish.server)
    result = asyncio.run(_run(wish, loaded))
    _report(wish, result, loaded)


async def _run(wish: Wish, loaded: Loaded) -> RunResult:
    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.cli.inputs import read_inputs

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
    async with runtime:
        handle = await _submitted(wish, runtime, given.values, given.base, loaded)
        return await _watched(handle)


async def _submitted(wish: Wish, runtime: Runtime, values: dict[str, object], base: Path, loaded: Loaded) -> RunHandle:
    from pipelex.cli.session import say

    method = runtime.load(wish.target)
    for warning in method.warnings:
        say(warning.render())
    return await runtime.start(
        method.pipe(wish.pipe),
        values,
        method=method,
        inputs_dir=base,
        durable=loaded.settings.temporal.is_enabled if wish.durable is None else wish.durable,
        dry_run=wish.is_dry,
        mock_inputs=wish.mock_inputs,
        simulate=wish.simulate,
        on_warning=lambda sentence: say(f"warning: {sentence}"),
    )


async def _watched(handle: RunHandle) -> RunResult:
    import asyncio

    from pipelex.cli.progress import watch
    from pipelex.cli.session import say

    if handle.workflow_id is not None:
        say(f"workflow: {handle.workflow_id}")
        if handle.ui_url:
            say(f"web ui: {handle.ui_url}")
    try:
        return await watch(handle, seconds=1.0 if handle.workflow_id else 0.2)
    except asyncio.CancelledError:
        if handle.workflow_id is not None:
            say(f"interrupted: the run goes on in Temporal as workflow {handle.workflow_id}; cancel it in the web ui,")
            say(f"  or with: temporal workflow cancel --workflow-id {handle.workflow_id} --address HOST:PORT")
        raise


def _report(wish: Wish, result: RunResult, loaded: Loaded) -> None:
    from pipelex.cli import output
    from pipelex.cli.session import say

    # Printed first: what was paid for must not be lost to a directory that cannot be written.
    if wish.with_memory:
        print(output.full(result))
    elif wish.is_json:
        print(output.compact(result))
    elif not wish.is_quiet:
        print(output.for_reading(result))
    written = output.write_files(result, wish.output_dir or loaded.settings.output.dir)
    if result.is_simulated:
        say(output.SIMULATED)
    say(f"{'dry run done' if wish.is_dry else 'done'}: {result.pipe}{output.consumed(result)}")
    for file in sorted(written.iterdir()):
        say(f"  {file}")
