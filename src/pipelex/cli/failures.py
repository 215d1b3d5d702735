"""How a failure is told: as lines for a person, or, with `--json`, as one object on the last line of stderr.

Called from `main` alone, whatever the command. Runs on the user's machine.
"""

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer._click.exceptions import UsageError

    from pipelex.errors import PipelexError

USAGE_CODE, INTERRUPTED_CODE = "usage", "interrupted"
GONE = "is gone"
_NO_COMMAND = re.compile(r"No such command '([^']+)'")


def tell(error: BaseException, *, as_json: bool, has_traceback: bool) -> None:
    """Put an error on stderr. What is no error of ours is a bug, and told as one."""
    import traceback

    from pipelex.errors import ConfigError, InternalError, PipelexError

    if has_traceback:
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "temporalio":
        hint = 'pip install "pipelex[temporal]"'
        error = ConfigError("this command needs the Temporal SDK, which is not installed", hint=hint)
    if not isinstance(error, PipelexError):
        hint = "run the command again with --traceback, and report what it shows"
        error = InternalError(f"{type(error).__name__}: {error}", hint=None if has_traceback else hint)
    _say(_dumps(document(error)) if as_json else error.render())


def tell_usage(error: "UsageError", command: str, *, as_json: bool) -> None:
    """Say what is wrong with the line of that command, and how it is written. A group alone shows its commands."""
    if type(error).__name__ == "NoArgsIsHelpError":
        _say(error.format_message())
        return
    message, hint = _gone(error, command) or _in_our_words(error)
    hint, usage = hint or f"see {command} --help", None
    if error.ctx is not None and not message.endswith(GONE):
        # Typer writes {PATH} for what must be given.
        usage = " ".join(error.ctx.get_usage().removeprefix("Usage: ").split()).translate(str.maketrans("", "", "{}"))
    if as_json:
        _say(_dumps(_told(USAGE_CODE, "UsageError", message, hint=hint, domain="input", usage=usage)))
        return
    lines = [f"error: {message} [{USAGE_CODE}]", *([f"  usage: {usage}"] if usage else ()), f"  hint: {hint}"]
    _say("\n".join(lines))


def _gone(error: "UsageError", command: str) -> tuple[str, str] | None:
    """What is said of a flag or a command that only earlier versions had, and the hint."""
    from pipelex.cli import earlier

    names = [str(getattr(error, "option_name", ""))]
    if found := _NO_COMMAND.match(error.message):
        names.append(f"{command} {found[1]}")
    if error.ctx is not None and command == "pipelex graph":
        # What was a command is read as the bundle.
        names.append(f"{command} {error.ctx.params.get('bundle')}")
    return next(((f"{name} {GONE}", earlier.GONE[name]) for name in names if name in earlier.GONE), None)


def _in_our_words(error: "UsageError") -> tuple[str, str | None]:
    """What typer says as a message and, if it has a guess, a hint, in the form of our other errors."""
    kind, param = type(error).__name__, getattr(error, "param", None)
    name = getattr(error, "param_hint", None) or (param.opts[0] if param else None)
    text = error.message if kind in ("BadParameter", "NoSuchOption") else error.format_message()
    text, _, meant = text.partition(". Did you mean ")
    text = text.removeprefix("Value error, ").removeprefix("Input ").partition(", unable to parse")[0].rstrip(".")
    message = f"{name}: {text}" if name and kind == "BadParameter" else text[:1].lower() + text[1:]
    guesses = meant.rstrip("?").split(", ") if meant else getattr(error, "possibilities", None) or ()
    return message, f"did you mean {' or '.join(guesses)}?" if guesses else None


def tell_interrupted() -> None:
    """Say to a program that the command was broken off; a person who did it knows."""
    message = "interrupted before it was done"
    _say(_dumps(_told(INTERRUPTED_CODE, "Interrupted", message, domain="runtime", retryable=True)))


def document(error: "PipelexError") -> dict[str, Any]:
    """The error as programs read it (MTHDS section 16.1); what is not known is left out."""
    report = error.report()
    rest = {
        key: value
        for key, value in report.items()
        if key not in ("code", "message", "hint", "where", "retryable", "pipe_path", "problems")
    }
    return _told(
        error.code,
        type(error).__name__,
        error.message,
        hint=error.hint,
        domain=_domain(error),
        retryable=error.is_retryable,
        location=_place(report),
        pipe_stack=report.get("pipe_path"),
        **rest,
        problems=report.get("problems") or None,
    )


def _told(
    code: str, kind: str, message: str, *, domain: str, hint: str | None = None, retryable: bool = False, **rest: object
) -> dict[str, Any]:
    """The one shape of every failure: `error` is always true, so that it is told apart from a result by one key."""
    told = {
        "error": True,
        "error_type": kind,
        "code": code,
        "message": message,
        "hint": hint,
        "error_domain": domain,
        "retryable": retryable,
        **rest,
    }
    return {key: value for key, value in told.items() if value is not None}


def _place(report: dict[str, Any]) -> str | None:
    """`file:line:column` of the first problem, as much of it as is known; else what the error says of its place."""
    for problem in report.get("problems", ()):
        if "file" in problem:
            return ":".join(str(problem[key]) for key in ("file", "line", "column") if key in problem)
    where = report.get("where")
    return str(where) if where else None


def _domain(error: "PipelexError") -> str:
    """Who can mend it: who gives the inputs or wrote the method, the operator, or nobody before another try."""
    from pipelex.errors import AuthenticationError, ConfigError, InputError, LanguageError, LibraryError

    if isinstance(error, InputError | LanguageError | LibraryError):
        return "input"
    return "config" if isinstance(error, ConfigError | AuthenticationError) else "runtime"


def _say(text: str) -> None:
    from pipelex.values.terminal import for_terminal

    print(for_terminal(text), file=sys.stderr, flush=True)


def _dumps(data: object) -> str:
    import json

    return json.dumps(data, ensure_ascii=False)
