"""`pipelex run bundle` and `pipelex run pipe`: run a method and print what it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pipelex.cli.flags import Fetch, Functions, LibraryDirs, Server

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult, Runtime
    from pipelex.cli.inputs import Given
    from pipelex.config.load import Loaded
    from pipelex.library.library import Library

app = typer.Typer(help="Run a method.", no_args_is_help=True, rich_markup_mode=None)

PipeFlag = Annotated[
    str | None, typer.Option("--pipe", metavar="CODE", help="Which pipe; default: the main pipe of the bundle.")
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        "-i",
        metavar="FILE|JSON|-",
        help="Path of a .json or .toml file, inline JSON starting with '{', or '-' for JSON on stdin, waited for "
        "until its end. Without this option stdin is read when it is a file, or a pipe in which something comes "
        "within a second; else inputs.json or inputs.toml beside the bundle. On stdin, the output of another run "
        "--with-memory gives its values to the inputs of the same names, and its result to an input that is alone.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document on stdout; a failure is one JSON object, the last line of stderr."
    ),
]
SaveCsv = Annotated[
    Path | None,
    typer.Option("--save-csv", metavar="PATH", help="Also write the result, a list of flat structures, as CSV."),
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
Simulate = Annotated[
    bool,
    typer.Option(
        "--simulate",
        help="Let the simulated backend answer for every model; with --simulate FILE.toml, as that profile says.",
    ),
]
Profile = Annotated[
    Path | None, typer.Option("--profile", metavar="FILE", help="The same as --simulate FILE.", hidden=True)
]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache",
        help="Let the reply cache answer what was asked before.  [default: is_enabled of [inference.cache]]",
    ),
]
Lane = Annotated[
    str | None,
    typer.Option(
        "--lane",
        metavar="NAME",
        help="How urgent a Temporal run is: interactive, normal, batch, or another lane of [temporal.lanes].",
    ),
]
Costs = Annotated[bool, typer.Option("--costs/--no-costs", help="Say what each model consumed, and keep it.")]
Graph = Annotated[bool, typer.Option("--graph/--no-graph", help="Keep a picture of the run, and graphspec.json.")]
NoPrettyPrint = Annotated[bool, typer.Option("--no-pretty-print", help="Do not print the result on stdout.")]


class Rehearsable(TyperCommand):
    """A command that takes `--simulate` with or without FILE.toml: typer knows no option whose value may be missing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--simulate FILE.toml` and `--simulate=FILE` as `--profile FILE`."""
        given, words = list(args), list[str]()
        while given and given[0] != "--":
            word = given.pop(0)
            if word == "--simulate" and given and given[0].endswith(".toml"):
                words += ["--profile", given.pop(0)]
            elif word.startswith("--simulate="):
                words += ["--profile", word.removeprefix("--simulate=")]
            else:
                words.append(word)
        return super().parse_args(ctx, words + given)


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
    fetch: bool = False
    save_csv: Path | None = None
    lane: str | None = None
    costs: bool = True
    graph: bool = True
    cache: bool | None = None


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
    lane: Lane = None,
    costs: Costs = True,
    graph: Graph = True,
    cache: Cache = None,
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
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
        )
    )


@app.command("pipe", cls=Rehearsable)
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
    profile: Profile = None,
    no_pretty_print: NoPrettyPrint = False,
    functions: Functions = None,
    save_csv: SaveCsv = None,
    lane: Lane = None,
    costs: Costs = True,
    graph: Graph = True,
    cache: Cache = None,
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
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
        )
    )


def start(wish: Wish) -> None:
    """Do what the command line asks for; with --json a failure is a document too."""
    if wish.mock_inputs and not wish.is_dry:
        raise typer.BadParameter("--mock-inputs needs --dry-run")
    if wish.simulate and wish.is_dry:
        raise typer.BadParameter("--simulate and --dry-run exclude each other: a dry run calls no backend at all")
    from pipelex.cli import output

    with output.failing_as_json(wish.is_json):
        _start(wish)


def _start(wish: Wish) -> None:
    import asyncio

    from pipelex.cli import session

    if wish.target is None and wish.pipe is not None:
        _refuse_path(wish.pipe)
    loaded = session.load(server=wish.server)
    asyncio.run(_run(wish, loaded))


def _refuse_path(code: str) -> None:
    if code.endswith(".mthds") or ("/" in code and "->" not in code) or Path(code).is_dir():
        from pipelex.errors import InputError

        raise InputError(f"{code!r} is a path, not the code of a pipe", hint=f"pipelex run bundle {code}")


async def _run(wish: Wish, loaded: "Loaded") -> None:
    from pipelex.app import Runtime
    from pipelex.cli import output, run_files, session
    from pipelex.cli.inputs import read_inputs
    from pipelex.errors import PipelexError
    from pipelex.storage.produced import produced_files
    from pipelex.values.value import Absence

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
        handle, library = await _submitted(wish, runtime, given, loaded)
        try:
            result = await _watched(handle)
        except PipelexError:
            if not wish.is_dry:
                base = wish.output_dir or loaded.settings.output.dir
                is_rehearsal = runtime.rehearsal(wish.simulate) is not None
                await run_files.leave_failed(
                    handle, library, base, graph=wish.graph, costs=wish.costs, is_rehearsal=is_rehearsal
                )
            raise
        output.show(result, as_json=wish.is_json, with_memory=wish.with_memory, is_quiet=wish.is_quiet)
        files: dict[str, bytes] = {}
        if not isinstance(result.outcome, Absence) and not wish.is_dry:
            files = await produced_files(result.outcome, result.concepts, runtime.blobs)
        if wish.costs:
            files |= run_files.cost_report(result.usage)
        is_rehearsal = runtime.rehearsal(wish.simulate) is not None
        if (wish.graph or is_rehearsal) and (record := await run_files.record_of(handle)) is not None:
            if wish.graph:
                files |= run_files.pictures(record, library, is_dry=wish.is_dry)
            if is_rehearsal:
                files |= run_files.rehearsal_report(record)
        # All is told before the runtime closes: a collector of traces that is away would hold it up.
        _report(wish, result, files, loaded)


async def _submitted(wish: Wish, runtime: "Runtime", given: "Given", loaded: "Loaded") -> "tuple[RunHandle, Library]":
    from pipelex.cli import output
    from pipelex.cli.session import say

    method = runtime.load(wish.target, fetch=wish.fetch)
    for warning in method.warnings:
        say(warning.render())
    ref = method.pipe(wish.pipe)
    pipe = method.library.pipe(ref)
    if wish.save_csv is not None:
        output.check_rows(pipe.output, method.library.concepts)
    handle = await runtime.start(
        ref,
        given.for_pipe(pipe.inputs),
        method=method,
        inputs_dir=given.base,
        durable=loaded.settings.temporal.is_enabled if wish.durable is None else wish.durable,
        dry_run=wish.is_dry,
        mock_inputs=wish.mock_inputs,
        simulate=wish.simulate,
        use_cache=wish.cache,
        lane=wish.lane,
        on_warning=lambda sentence: say(f"warning: {sentence}"),
    )
    return handle, method.library


async def _watched(handle: "RunHandle") -> "RunResult":
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
            say(f"interrupted: the run goes on in Temporal as workflow {handle.workflow_id};")
            say(f"  come back with: pipelex runs tail {handle.workflow_id}")
            say(f"  stop it with:   pipelex runs cancel {handle.workflow_id}")
        raise


def _report(wish: Wish, result: "RunResult", files: dict[str, bytes], loaded: "Loaded") -> None:
    from pipelex.cli import costs, output, rehearsal, run_files
    from pipelex.cli.session import say

    written = output.write_files(result, wish.output_dir or loaded.settings.output.dir, files)
    has_rows = wish.save_csv is not None and output.write_rows(result, wish.save_csv)
    if result.is_simulated:
        say(output.SIMULATED)
    say(f"{'dry run done' if wish.is_dry else 'done'}: {result.pipe}{output.consumed(result)}")
    for file in sorted(written.iterdir()):
        say(f"  {file}")
    if wish.save_csv is not None:
        say(f"  {wish.save_csv}" if has_rows else "  no CSV file: the result is absent")
    if wish.costs:
        costs.show(result.usage)
    if (told := files.get(run_files.REHEARSAL)) is not None:
        say(rehearsal.told(told))
