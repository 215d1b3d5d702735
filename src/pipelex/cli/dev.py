"""`pipelex dev`: a real Temporal server, its Web UI and a worker on this machine, in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Functions

if TYPE_CHECKING:
    import asyncio

    from pipelex.config.load import Loaded
    from pipelex.temporal.server import ServerRecord


def dev(
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start the server only.")] = False,
    port: Annotated[int, typer.Option("--port", help="Port of the server; the next free one if taken.")] = 7233,
    ui_port: Annotated[int, typer.Option("--ui-port", help="Port of the Web UI; the next free one if taken.")] = 8233,
    db: Annotated[
        Path | None, typer.Option("--db", help="File that keeps the runs.  [default: .pipelex/temporal/temporal.db]")
    ] = None,
    functions: Functions = None,
) -> None:
    """Start a Temporal server, its Web UI and a worker on this machine, until Ctrl-C.

    Runs survive a restart: the server keeps them in a file. While this runs, `pipelex run … --temporal` in the same
    project finds the server by itself.
    """
    import asyncio

    from pipelex.cli import session

    loaded = session.load()
    asyncio.run(_serve(loaded, no_worker, port, ui_port, db, functions))


async def _serve(
    loaded: "Loaded", no_worker: bool, port: int, ui_port: int, db: Path | None, modules: list[str] | None
) -> None:
    import asyncio

    from pipelex.app import EMBEDDED, need_sdk
    from pipelex.cli import session

    need_sdk()
    from pipelex.temporal.server import EmbeddedServer
    from pipelex.temporal.worker_logs import log_on_stderr

    log_on_stderr(loaded.settings.temporal.temporal_config.temporal_log_config)
    stop = asyncio.Event()
    with session.signals_to(stop):
        session.say("starting the Temporal server …")
        server = EmbeddedServer(loaded.settings.root / EMBEDDED, database=db, port=port, ui_port=ui_port)
        async with server as record:
            session.say(f"temporal: {record.address}{'' if server.is_ours else ' (was already running)'}")
            session.say(f"web ui:   {record.ui}")
            if server.is_ours:
                session.say(f"database: {server.database}")
            _warn_of_other_address(loaded, record)
            is_ours = server.is_ours
            if no_worker:
                session.say(f"no worker; Ctrl-C {'stops the server' if is_ours else 'leaves, the server goes on'}")
                await stop.wait()
            else:
                await _work(record, modules, stop)
        session.say("stopped; the runs are kept in the database" if is_ours else "left; the server goes on")


def _warn_of_other_address(loaded: "Loaded", record: "ServerRecord") -> None:
    """Say when the configuration sends runs elsewhere: a run would wait at an address that nobody serves."""
    from pipelex.cli import session
    from pipelex.inference.redaction import shown_url

    profile = loaded.settings.temporal.server_profile()
    if (
        "target_host" in profile.model_fields_set
        and profile.target_host.rpartition(":")[2] != record.address.rpartition(":")[2]
    ):
        session.say(f"warning: the configuration sends runs to {shown_url(profile.target_host)}, not here")
        session.say("  hint: leave target_host out, and runs of this project find this server by themselves")


async def _work(record: "ServerRecord", modules: list[str] | None, stop: "asyncio.Event") -> None:
    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.config.load import load_settings
    from pipelex.temporal.server_settings import ServerProfile
    from pipelex.temporal.worker import run_worker

    # Whatever server the configuration selects, this worker serves the one started here.
    here = ServerProfile(description="pipelex dev", target_host=record.address, tls=False).model_dump()
    servers = {"selected_server": "local", "temporal_server_configs": {"local": here}}
    loaded = load_settings(overrides={"temporal": {"temporal_config": servers}})
    temporal = loaded.settings.temporal
    runtime = Runtime.open(loaded.settings, environ=loaded.environ, functions=session.function_sources(modules, loaded))
    async with runtime:
        queues = temporal.known_task_queues()
        await runtime.performer().warm()
        await run_worker(
            client=await runtime.temporal.client(),
            settings=temporal,
            performer=runtime.performer(),
            task_queues=queues,
            # This worker is the only one here, whatever scope others have by default.
            scope_name="full",
            on_ready=lambda: session.say(f"worker:   ready, queue {', '.join(queues)}; Ctrl-C stops everything"),
            stop=stop,
            tracer=runtime.tracing.tracer if runtime.tracing else None,
        )
    session.say("worker drained")
