"""`pipelex runs`: find the runs of a Temporal namespace, see what they do, get their results, stop them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelex.cli.flags import Json, Server

if TYPE_CHECKING:
    from datetime import datetime

    from pipelex.app import RunHandle, RunResult, Runtime
    from pipelex.config.load import Loaded
    from pipelex.temporal.runs import RunState

app = typer.Typer(
    help="Find durable runs, see what they do, get their results, stop them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run: its workflow id.")]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Also write the files of the result, as a run does."),
]
WithMemory = Annotated[
    bool, typer.Option("--with-memory", help="Print one JSON document: the result in three forms and the memory.")
]
DEFAULT_REASON = "terminated with pipelex runs terminate"


@app.command("list")
def list_runs(
    status: Annotated[
        str | None,
        typer.Option(help="Only those that are running, paused, done, failed, canceled, terminated or timed-out."),
    ] = None,
    pipe: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only runs of this pipe, bare or with its domain.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only runs for this user.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only those that started since: '2h', '3d', or a date and time.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="More conditions, as in temporal workflow list --query.")
    ] = None,
    children: Annotated[
        bool, typer.Option("--children", help="Also list the workflows of the pipes under a run.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """List runs: those under way first, then the latest.

    Works without search attributes, too: pipe and user are then looked up run by run, among the latest 1000.
    """
    state, started = _state(status), _since(since)

    async def found(runtime: "Runtime") -> None:
        from pipelex.cli import runs_view
        from pipelex.cli.session import say
        from pipelex.temporal.runs import RunFilter, find_runs
        from pipelex.values.terminal import for_terminal

        wanted = RunFilter(
            state=state, pipe=pipe, user=user, since=started, query=query, with_children=children, limit=limit
        )
        settings = runtime.settings.temporal.search_attributes
        client = await runtime.temporal.client()
        runs = await find_runs(client, wanted, labels=settings.attributes if settings.enabled else ())
        if json:
            print(runs_view.list_document(runs))
        elif runs:
            print(for_terminal("\n".join(runs_view.table(runs))))
        else:
            say("no run is like that" if status or pipe or user or since or query else "there are no runs yet")

    _with_server(server, found, as_json=json)


@app.command("show")
def show(run_id: RunId, json: Json = False, server: Server = None) -> None:
    """Show what a run does or did: its pipes, their calls and attempts, why it waits, what it failed with."""

    async def shown(runtime: "Runtime") -> None:
        from pipelex.cli import runs_view
        from pipelex.temporal.client import attach
        from pipelex.temporal.runs import find_run
        from pipelex.values.terminal import for_terminal

        client = await runtime.temporal.client()
        run = await find_run(client, run_id)
        durable, ui = attach(client, run_id), runtime.temporal.ui()
        record = await durable.record()
        waiting = None if run.is_over else await durable.waiting_reason()
        link = durable.ui_url(ui) if ui else None
        if json:
            print(runs_view.document(run, record, waiting=waiting, link=link))
        else:
            print(for_terminal("\n".join(runs_view.lines(run, record, waiting=waiting, link=link))))

    _with_server(server, shown, as_json=json)


@app.command("result")
def result(
    run_id: RunId,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Fail when the run has not ended.")] = False,
    output_dir: OutputDir = None,
    json: Json = False,
    with_memory: WithMemory = False,
    server: Server = None,
) -> None:
    """Wait for the result of a run and print it; no bundle is needed. Fails as the run did."""
    _result(run_id, server, output_dir, json=json, with_memory=with_memory, no_wait=no_wait)


@app.command("tail")
def tail(
    run_id: RunId,
    output_dir: OutputDir = None,
    json: Json = False,
    with_memory: WithMemory = False,
    server: Server = None,
) -> None:
    """Come back to a run: show how far it is, then print its result. Ctrl-C leaves the run going."""
    _result(run_id, server, output_dir, json=json, with_memory=with_memory, is_watched=True)


@app.command("cancel")
def cancel(run_id: RunId, server: Server = None) -> None:
    """Ask a run to stop: its pipes and calls stop first. This needs its workers."""

    async def cancelled(runtime: "Runtime") -> None:
        from pipelex.cli.session import say
        from pipelex.temporal.runs import cancel_run

        await cancel_run(await runtime.temporal.client(), run_id)
        say(f"asked to stop: {run_id}; see it end with: pipelex runs tail {run_id}{_server_flag(server)}")

    _with_server(server, cancelled)


@app.command("terminate")
def terminate(
    run_id: RunId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever reads the history.")] = DEFAULT_REASON,
    server: Server = None,
) -> None:
    """Stop a run at once, when it cannot be cancelled: nothing is cleaned up, calls under way go on to their end."""

    async def terminated(runtime: "Runtime") -> None:
        from pipelex.cli.session import say
        from pipelex.temporal.runs import terminate_run

        await terminate_run(await runtime.temporal.client(), run_id, reason)
        say(f"terminated: {run_id}")

    _with_server(server, terminated)


def _with_server(server: str | None, do: "Callable[[Runtime], Awaitable[None]]", *, as_json: bool = False) -> None:
    """Do something with the selected Temporal server; `as_json` tells a failure as a document, too."""
    import asyncio

    from pipelex.app import Runtime
    from pipelex.cli import output, session

    async def run(loaded: "Loaded") -> None:
        async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
            await do(runtime)

    with output.failing_as_json(as_json):
        asyncio.run(run(session.load(server=server)))


def _result(
    run_id: str,
    server: str | None,
    output_dir: Path | None,
    *,
    json: bool,
    with_memory: bool,
    no_wait: bool = False,
    is_watched: bool = False,
) -> None:
    async def awaited(runtime: "Runtime") -> None:
        from pipelex.cli import output
        from pipelex.errors import InputError
        from pipelex.storage.produced import produced_files
        from pipelex.temporal.runs import find_run
        from pipelex.values.value import Absence

        run = await find_run(await runtime.temporal.client(), run_id)
        if no_wait and not run.is_over:
            raise InputError(f"the run {run_id!r} has no result yet: it is {run.state}", hint=_tail(run_id, server))
        handle = await _handle(runtime, run_id)
        made = await _watched(handle, server) if is_watched else await handle.result()
        output.show(made, as_json=json, with_memory=with_memory)
        files: dict[str, bytes] = {}
        if output_dir is not None and not isinstance(made.outcome, Absence):
            files = await produced_files(made.outcome, made.concepts, runtime.blobs)
        _report(made, files, output_dir)

    _with_server(server, awaited, as_json=json)


async def _handle(runtime: "Runtime", run_id: str) -> "RunHandle":
    """The run as its submitter held it; what its result means is in its history."""
    from pipelex.app import RunHandle, RunResult
    from pipelex.library.library import Library
    from pipelex.temporal.client import attach

    client = await runtime.temporal.client()
    run, ui = attach(client, run_id), runtime.temporal.ui()
    call, crate = await run.started_with()

    def finish(result: Any) -> RunResult:
        concepts = Library.of(crate).concepts
        return RunResult(pipe=call.pipe, run=call.run, given=call.memory, result=result, concepts=concepts)

    link = run.ui_url(ui) if ui else None
    return RunHandle(run, finish=finish, run_id=run_id, workflow_id=run_id, ui_url=link)


async def _watched(handle: "RunHandle", server: str | None) -> "RunResult":
    import asyncio

    from pipelex.cli.progress import watch
    from pipelex.cli.session import say

    if handle.ui_url:
        say(f"web ui: {handle.ui_url}")
    try:
        return await watch(handle, seconds=1.0)
    except asyncio.CancelledError:
        say(f"left: the run goes on; {_tail(handle.run_id, server)}")
        raise


def _report(made: "RunResult", files: dict[str, bytes], output_dir: Path | None) -> None:
    from pipelex.cli import output
    from pipelex.cli.session import say

    if made.is_simulated:
        say(output.SIMULATED)
    say(f"done: {made.pipe}{output.consumed(made)}")
    if output_dir is not None:
        for file in sorted(output.write_files(made, output_dir, files).iterdir()):
            say(f"  {file}")


def _state(status: str | None) -> "RunState | None":
    if status is None:
        return None
    words: tuple[RunState, ...] = ("running", "paused", "done", "failed", "canceled", "terminated", "timed-out")
    spelled = {"cancelled": "canceled", "completed": "done", "timed_out": "timed-out", "timedout": "timed-out"}
    for word in words:
        if word == spelled.get(status.lower(), status.lower()):
            return word
    raise typer.BadParameter(f"{status!r} is not one of {', '.join(words)}", param_hint="--status")


def _since(text: str | None) -> "datetime | None":
    if text is None:
        return None
    from datetime import datetime, timedelta

    from pipelex.values.durations import parse_duration

    age = parse_duration(text)
    if isinstance(age, timedelta):
        return datetime.now().astimezone() - age
    try:
        # A time without a zone is that of this machine.
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        message = f"{text!r} is no age such as '2h' or '3d', and no date such as 2031-05-04 or 2031-05-04T18:30"
        raise typer.BadParameter(message, param_hint="--since") from None


def _server_flag(server: str | None) -> str:
    return f" --server {server}" if server else ""


def _tail(run_id: str, server: str | None) -> str:
    return f"come back with: pipelex runs tail {run_id}{_server_flag(server)}"
