"""`pipelex worker`: poll task queues and do the work, until told to stop."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Functions, Server

if TYPE_CHECKING:
    from pipelex.config.load import Loaded


def worker(
    task_queue: Annotated[
        list[str] | None, typer.Option("--task-queue", help="Queue to poll; repeatable. Default: the default queue.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Profile of [temporal.worker_runtime_profiles.profiles].")
    ] = None,
    server: Server = None,
    functions: Functions = None,
) -> None:
    """Poll Temporal task queues and do the work, until SIGTERM or Ctrl-C; running work is finished first.

    Methods travel with their runs. Python functions do not: name their files or modules with --functions.
    """
    import asyncio

    from pipelex.cli import session

    loaded = session.load(server=server)
    asyncio.run(_serve(loaded, task_queue or [], profile, functions))


async def _serve(
    loaded: "Loaded",
    queues: list[str],
    profile: str | None,
    modules: list[str] | None,
) -> None:
    from pipelex.app import Runtime, need_sdk
    from pipelex.cli import session

    temporal = loaded.settings.temporal
    session.logs_on_stderr()
    sources = session.function_sources(modules, loaded)
    runtime = Runtime.open(loaded.settings, environ=loaded.environ, functions=sources)
    async with runtime:
        need_sdk()
        from pipelex.temporal.worker import chosen_task_queues, run_worker

        # What can be checked without the server is checked first.
        names = chosen_task_queues(temporal, queues)
        temporal.runtime_profile(profile)
        performer, address = runtime.performer(), runtime.temporal.profile().target_host
        await run_worker(
            client=await runtime.temporal.client(),
            settings=temporal,
            performer=performer,
            task_queues=names,
            profile_name=profile,
            on_ready=lambda: session.say(f"worker ready: {address}, queue {', '.join(names)}"),
        )
    session.say("worker stopped: nothing was left behind")
