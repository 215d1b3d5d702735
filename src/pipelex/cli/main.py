"""The `pipelex` command: its commands, its global flags, and how every failure leaves. Runs on the user's machine.

Only typer is imported here; each command imports what it needs in its body, so that `--help` stays quick.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipelex.cli import (
    build,
    codec_server,
    dev,
    doctor,
    graph,
    method,
    namespace,
    pkg,
    routes,
    run,
    runs,
    schema,
    show,
    validate,
    which,
    worker,
)

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

HELP = "Run AI methods written in MTHDS: in one process, or unchanged as durable Temporal workflows."


class InOrder(TyperGroup):
    """Lists the commands in the order in which one meets them."""

    def list_commands(self, ctx: object) -> list[str]:
        """The names, as `--help` shows them."""
        authoring = ["validate", "graph", "build", "show", "which", "schema"]
        return [
            "run",
            *authoring,
            "pkg",
            "dev",
            "runs",
            "worker",
            "routes",
            "setup-temporal-namespace",
            "codec-server",
            "doctor",
        ]


app = typer.Typer(
    name="pipelex",
    cls=InOrder,
    help=HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(run.app, name="run")
run.app.command("method", cls=run.Rehearsable)(method.method)
app.add_typer(validate.app, name="validate")
app.command("graph")(graph.graph)
app.add_typer(build.app, name="build")
app.add_typer(show.app, name="show")
app.command("which")(which.which)
app.command("schema")(schema.schema)
app.add_typer(pkg.app, name="pkg")
app.add_typer(runs.app, name="runs")
app.command("worker")(worker.worker)
app.command("routes")(routes.routes)
app.command("setup-temporal-namespace")(namespace.setup_temporal_namespace)
app.command("dev")(dev.dev)
app.command("codec-server")(codec_server.codec_server)
app.command("doctor")(doctor.doctor)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from pipelex import __version__

        print(f"pipelex {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Add a stack trace to errors.")] = False,
    no_logo: Annotated[bool, typer.Option("--no-logo", hidden=True)] = False,
) -> None:
    """Take the global flags; `main` has already acted on them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with 0, 1 (it failed), 2 (wrong usage) or 130 (interrupted)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = run_command(given)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _unread()
    if "temporalio" in sys.modules:
        # The SDK's native threads may abort the interpreter while it exits (temporalio/sdk-python#300).
        os._exit(code)
    sys.exit(code)


def run_command(given: Sequence[str]) -> int:
    """Run one command line; every failure becomes a message on stderr and an exit code."""
    arguments, has_traceback = _without_global_flags(given)
    try:
        app(arguments, prog_name="pipelex")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else SUCCESS if leaving.code is None else FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except Exception as error:  # noqa: BLE001 - the last door: a person gets a sentence, whatever happened
        return _explain(error, has_traceback)
    return SUCCESS


def _unread() -> int:
    """Nobody reads the rest, as with `| head`: let it go without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE


def _without_global_flags(given: Sequence[str]) -> tuple[list[str], bool]:
    """Take `--traceback` and `--no-logo` out, wherever they stand on the line."""
    words = list(given)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word not in ("--traceback", "--no-logo")]
    return kept + words[end:], "--traceback" in words[:end]


def _explain(error: Exception, has_traceback: bool) -> int:
    from pipelex.errors import InternalError, PipelexError
    from pipelex.values.terminal import for_terminal

    if has_traceback:
        import traceback

        traceback.print_exception(error)
    if not isinstance(error, PipelexError):
        hint = "run the command again with --traceback, and report what it shows"
        error = InternalError(f"{type(error).__name__}: {error}", hint=None if has_traceback else hint)
    print(for_terminal(error.render()), file=sys.stderr)
    return FAILURE
