"""`pipelex worker`: poll task queues and do the work, until told to stop."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelex.cli.flags import Functions, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pipelex.config.load import Loaded
    from pipelex.errors import PipelexError


LogFormat = Literal["text", "json"]


def worker(
    task_queue: Annotated[
        list[str] | None, typer.Option("--task-queue", help="Queue to poll; repeatable. Default: the default queue.")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", help="What to take: a scope of [temporal.worker_scopes], for instance router or runner."
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Profile of [temporal.worker_runtime_profiles.profiles].")
    ] = None,
    server: Server = None,
    functions: Functions = None,
    build_id: Annotated[
        str | None, typer.Option("--build-id", metavar="ID", help="Version of this worker, for a gradual roll-out.")
    ] = None,
    health_address: Annotated[
        str | None, typer.Option("--health-address", metavar="HOST:PORT", help="Serve /live and /ready there.")
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option("--metrics-address", metavar="HOST:PORT", help="Serve /metrics for Prometheus there.")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Log for people, or one JSON object a line.")
    ] = "text",
    no_sandbox: Annotated[bool, typer.Option("--no-sandbox", hidden=True)] = False,
    unit_testing: Annotated[bool, typer.Option("--unit-testing", hidden=True)] = False,
) -> None:
    """Poll Temporal task queues and do the work, until SIGTERM or Ctrl-C; running work is finished first.

    Methods travel with their runs. Python functions do not: name their files or modules with --functions.
    """
    import asyncio

    from pipelex.app import need_sdk
    from pipelex.cli import earlier, session
    from pipelex.errors import PipelexError

    try:
        need_sdk()
        from pipelex.temporal.server_settings import TemporalLogConfig
        from pipelex.temporal.worker_logs import log_on_stderr

        # What is said before the settings are known is said in the same format.
        log_on_stderr(TemporalLogConfig(), log_format)
        warn = _warn if log_format == "json" else None
        given = {"--no-sandbox": no_sandbox, "--unit-testing": unit_testing}
        earlier.warn([flag for flag, is_given in given.items() if is_given], earlier.IDLE_WORKER, warn)
        loaded = session.load(server=server, warn=warn)
        log_on_stderr(loaded.settings.temporal.temporal_config.temporal_log_config, log_format)
        names = {"task_queues": task_queue or (), "scope_name": scope, "profile_name": profile, "build_id": build_id}
        asyncio.run(_serve(loaded, names, functions, health_address, metrics_address, log_format))
    except PipelexError as error:
        if log_format == "text":
            raise
        _say_as_json(error)
        raise typer.Exit(1) from None


async def _serve(
    loaded: "Loaded",
    names: "Mapping[str, Any]",
    modules: list[str] | None,
    health_address: str | None,
    metrics_address: str | None,
    log_format: LogFormat,
) -> None:
    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.inference.redaction import shown_url
    from pipelex.temporal.health import listen_address
    from pipelex.temporal.worker import chosen_duty, duty_told, run_worker

    temporal = loaded.settings.temporal
    # What can be checked without the server is checked first.
    duty = chosen_duty(temporal, **names)
    for flag, address in (("--health-address", health_address), ("--metrics-address", metrics_address)):
        if address is not None:
            listen_address(address, flag)
    sources = session.function_sources(modules, loaded)
    async with Runtime.open(loaded.settings, environ=loaded.environ, functions=sources) as runtime:
        performer, address = runtime.performer(), shown_url(runtime.temporal.profile().target_host)
        client = await runtime.temporal.client(metrics_address=metrics_address)
        await performer.warm()
        told = {"server": address, **duty_told(duty, performer, temporal)}
        await run_worker(
            client=client,
            settings=temporal,
            performer=performer,
            **names,
            health_address=health_address,
            watch=await runtime.temporal.watch(),
            tracer=runtime.tracing.tracer if runtime.tracing else None,
            on_ready=lambda: _say("worker ready", told, log_format),
        )
    _say("worker stopped: nothing was left behind", {}, log_format)


def _say(message: str, told: "Mapping[str, Any]", log_format: LogFormat) -> None:
    import logging

    from pipelex.cli import session

    if log_format == "json":
        logging.getLogger("pipelex.worker").info(message, extra=dict(told))
    else:
        session.say(message + _in_words(told))


def _in_words(told: "Mapping[str, Any]") -> str:
    """What a worker serves, on one line: the server and the queues first."""
    if not told:
        return ""
    server, queues, *others = told.items()
    rest = (
        f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}" for key, value in others
    )
    return f": {server[1]}, queue {', '.join(queues[1])}; " + "; ".join(rest)


def _warn(warning: str) -> None:
    import logging

    logging.getLogger("pipelex.worker").warning(warning)


def _say_as_json(error: "PipelexError") -> None:
    """Put an error that ends the worker on one line, with what a person would be shown."""
    import logging

    told = {"code": error.code, "hint": error.hint, "where": error.where, "shown": error.render()}
    logging.getLogger("pipelex.worker").error(error.message, extra={key: value for key, value in told.items() if value})
