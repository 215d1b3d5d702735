"""The `pipelex` command: its commands, its global flags, and how every failure leaves. Runs on the user's machine.

Only typer is imported here; a command is imported when it is asked for, and what it needs in its body.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from pipelex.cli import completion, session

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130
GLOBAL_FLAGS = ("--traceback", "--no-logo")

HELP = "Run AI methods written in MTHDS: in one process, or unchanged as durable Temporal workflows."
EXIT_CODES = (
    "Exit codes: 0 done; 1 failed, or for validate: the method is invalid; 2 wrong usage, or for validate: no verdict; "
    "130 interrupted. Results go to stdout, messages to stderr."
)


COMMANDS = {
    "init": ("init", "Set a project up: write .pipelex/."),
    "new": ("new", "Start a method, in a directory of its own."),
    "run": ("method", "Run a method."),
    "validate": ("validate", "Check a method."),
    "graph": ("graph", "Draw a method, or what a run did."),
    "build": ("build", "Make files to start from."),
    "show": ("show", "Show pipes, settings, backends, models, routes."),
    "which": ("which", "Show where the library has a pipe from."),
    "schema": ("schema", "Print the JSON Schema of .mthds files."),
    "pkg": ("pkg", "Add, lock and fetch packages of methods."),
    "dev": ("dev", "Start Temporal, its Web UI and a worker here."),
    "runs": ("runs", "Find durable runs, see them, stop them."),
    "worker": ("worker", "Take work from Temporal, until told to stop."),
    "routes": ("routes", "Show where each call goes, and how patiently."),
    "setup-temporal-namespace": ("namespace", "Register the search attributes of runs."),
    "codec-server": ("codec_server", "Decode payloads for the Web UI."),
    "doctor": ("doctor", "Say what keeps runs from working here."),
}
"""The commands in the order in which one meets them: the module of each, and what the list says of it."""


class Commands(TyperGroup):
    """The commands, each loaded when it is asked for: the list of them costs no more than a bare program's."""

    def list_commands(self, ctx: object) -> list[str]:
        """The names, as `--help` shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, None when there is none."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the line names. A name that is none is compared with all of them."""
        if args[0] not in COMMANDS:
            for name in COMMANDS:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: object, formatter: Any) -> None:
        """The list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, shown) for name, (_, shown) in COMMANDS.items()])


def _loaded(name: str) -> Any:
    """A command, from its module: that has an app of several commands, or one function."""
    home, shown = COMMANDS[name]
    module = import_module(f"pipelex.cli.{home}")
    around = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if hasattr(module, "app"):
        around.add_typer(module.app, name=name, short_help=shown)
    else:
        around.command(name, short_help=shown)(getattr(module, name.replace("-", "_")))
    return typer.main.get_group(around).commands[name]


app = typer.Typer(
    name="pipelex",
    cls=Commands,
    help=HELP,
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


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
    if code == INTERRUPTED or "temporalio" in sys.modules:
        # Whoever pressed Ctrl-C does not wait for a thread in a function of theirs; and the SDK's native threads may
        # abort the interpreter while it exits (temporalio/sdk-python#300).
        os._exit(code)
    sys.exit(code)


def run_command(given: Sequence[str]) -> int:
    """Run one command line; every failure becomes a message on stderr and an exit code.

    With `--json` on the line, the message is one JSON object, the last line of stderr.
    """
    arguments, flags = _without_global_flags(given)
    as_json = "--json" in _options(arguments)
    try:
        if arguments[:1] and arguments[0] in completion.FLAGS:
            completion.script(arguments)
            return SUCCESS
        # What the command returns is no exit code: only typer.Exit gives one.
        code = app(arguments, prog_name="pipelex", standalone_mode=False)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else SUCCESS if leaving.code is None else FAILURE
    except BrokenPipeError:
        return _unread()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last door: a person gets a sentence, whatever happened
        return _explain(error, arguments, as_json=as_json, has_traceback="--traceback" in flags)
    if code == INTERRUPTED and as_json:
        from pipelex.cli.failures import tell_interrupted

        tell_interrupted()
    return code if isinstance(code, int) else SUCCESS


def _unread() -> int:
    """Nobody reads the rest, as with `| head`: let it go without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE


def _options(given: Sequence[str]) -> list[str]:
    """The words before `--`: what follows it is never a flag."""
    words = list(given)
    return words[: words.index("--")] if "--" in words else words


def _without_global_flags(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take `--traceback` and `--no-logo` out, wherever they stand on the line; what is left, and what was taken."""
    words = _options(given)
    kept = [word for word in words if word not in GLOBAL_FLAGS]
    return [*kept, *given[len(words) :]], [word for word in words if word in GLOBAL_FLAGS]


def _command_of(arguments: Sequence[str]) -> str:
    """The command that the line begins with, as far as its words are commands."""
    command: Any = typer.main.get_command(app)
    path = ["pipelex"]
    for word in arguments:
        command = command.get_command(None, word) if hasattr(command, "get_command") else None
        if command is None:
            break
        path.append(word)
    return " ".join(path)


def _explain(error: Exception, arguments: Sequence[str], *, as_json: bool, has_traceback: bool) -> int:
    from pipelex.cli import failures

    code = FAILURE
    if isinstance(error, session.EndedError):
        code, error = error.code, error.error
    if isinstance(error, UsageError):
        failures.tell_usage(error, _command_of(arguments), as_json=as_json)
        return USAGE
    failures.tell(error, as_json=as_json, has_traceback=has_traceback)
    return code
