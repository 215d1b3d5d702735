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
    from pipelex.library.library import Library
    from pipelex.temporal.runs import RunState

app = typer.Typer(
    help="Find durable runs, see what they do, get their results, stop them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run: its workflow id.")]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Where the results directory is made.  [default: results]"),
]
WithMemory = Annotated[
    bool, typer.Option("--with-memory", help="Print one JSON document: the result in three forms and the memory.")
]
Stream = Annotated[
    bool,
    typer.Option("--json", help="Print one line of JSON on stdout for each change, the last one with the result."),
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

    _with_server(server, found)


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

    _with_server(server, shown)


@app.command("result")
def result(
    run_id: RunId,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Fail when the run has not ended.")] = False,
    output_dir: OutputDir = None,
    json: Json = False,
    with_memory: WithMemory = False,
    server: Server = None,
) -> None:
    """Wait for the result of a run, print it and write its files, as the run would have. Fails as the run did."""
    _result(run_id, server, output_dir, json=json, with_memory=with_memory, no_wait=no_wait)


@app.command("tail")
def tail(
    run_id: RunId,
    output_dir: OutputDir = None,
    json: Stream = False,
    with_memory: WithMemory = False,
    server: Server = None,
) -> None:
    """Come back to a run: show how far it is, then its result, as the run would have. Ctrl-C leaves the run going."""
    _result(run_id, server, output_dir, json=json, with_memory=with_memory, is_watched=True)


@app.command("cancel")
def cancel(run_id: RunId, json: Json = False, server: Server = None) -> None:
    """Ask a run to stop: its pipes and calls stop first. This needs its workers."""

    async def cancelled(runtime: "Runtime") -> None:
        from pipelex.cli.leaving import command
        from pipelex.cli.session import print_json, say
        from pipelex.temporal.runs import cancel_run

        await cancel_run(await runtime.temporal.client(), run_id)
        if json:
            print_json({"run_id": run_id, "is_asked_to_stop": True})
        else:
            say(f"asked to stop: {run_id}; see it end with: {command('tail', run_id, server)}")

    _with_server(server, cancelled)


@app.command("terminate")
def terminate(
    run_id: RunId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever reads the history.")] = DEFAULT_REASON,
    json: Json = False,
    server: Server = None,
) -> None:
    """Stop a run at once, when it cannot be cancelled: nothing is cleaned up, calls under way go on to their end."""

    async def terminated(runtime: "Runtime") -> None:
        from pipelex.cli.session import print_json, say
        from pipelex.temporal.runs import terminate_run

        await terminate_run(await runtime.temporal.client(), run_id, reason)
        if json:
            print_json({"run_id": run_id, "state": "terminated", "reason": reason})
        else:
            say(f"terminated: {run_id}")

    _with_server(server, terminated)


def _with_server(server: str | None, do: "Callable[[Runtime], Awaitable[None]]") -> None:
    """Do something with the selected Temporal server."""
    import asyncio

    from pipelex.app import Runtime
    from pipelex.cli import session

    async def run(loaded: "Loaded") -> None:
        async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
            await do(runtime)

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
        from pipelex.cli.leaving import command
        from pipelex.cli.run_end import Ending
        from pipelex.errors import InputError
        from pipelex.temporal.runs import find_run

        run = await find_run(await runtime.temporal.client(), run_id)
        if no_wait and not run.is_over:
            message = f"the run {run_id!r} has no result yet: it is {run.state}"
            raise InputError(message, hint=f"come back with: {command('tail', run_id, server)}")
        handle, library = await _handle(runtime, run_id)
        is_streamed = is_watched and json
        made = await (_watched(handle, server, is_streamed=is_streamed) if is_watched else handle.result())
        ending = Ending(
            base=output_dir or runtime.settings.output.dir,
            is_json=json and not is_watched,
            with_memory=with_memory,
            is_quiet=is_streamed,
        )
        if is_streamed and not with_memory:
            _print_last(made)
        await ending.tell(made, handle, library, runtime.blobs)

    _with_server(server, awaited)


async def _handle(runtime: "Runtime", run_id: str) -> "tuple[RunHandle, Library]":
    """The run as its submitter held it; what its result means is in its history."""
    from pipelex.app import RunHandle, RunResult
    from pipelex.library.library import Library
    from pipelex.temporal.client import attach

    client = await runtime.temporal.client()
    run, ui = attach(client, run_id), runtime.temporal.ui()
    call, crate = await run.started_with()
    library = Library.of(crate)

    def finish(result: Any) -> RunResult:
        return RunResult(pipe=call.pipe, run=call.run, given=call.memory, result=result, concepts=library.concepts)

    link = run.ui_url(ui) if ui else None
    return RunHandle(run, finish=finish, run_id=run_id, workflow_id=run_id, ui_url=link), library


async def _watched(handle: "RunHandle", server: str | None, *, is_streamed: bool) -> "RunResult":
    import asyncio

    from pipelex.cli.leaving import say_left
    from pipelex.cli.progress import watch
    from pipelex.cli.session import say

    if handle.ui_url:
        say(f"web ui: {handle.ui_url}")
    try:
        return await watch(handle, is_streamed=is_streamed)
    except asyncio.CancelledError:
        say_left(handle.run_id, server)
        raise


def _print_last(made: "RunResult") -> None:
    """The last line of a stream: that the run is done, what it made, and what that took."""
    import json

    from pipelex.cli import output

    usage = made.usage
    tokens = usage.input_tokens + usage.output_tokens
    line = {"run_id": made.run_id, "state": "done", "tokens": tokens, "cost_usd": usage.cost_usd}
    print(json.dumps({**line, "result": output.document(made)}, ensure_ascii=False), flush=True)


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
