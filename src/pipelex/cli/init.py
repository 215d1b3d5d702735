"""`pipelex init`: write `.pipelex/` in the current directory, with the defaults as comments. Never overwrites."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

_ADDRESS = re.compile(r"[^\s\"'\\/]+:\d{1,5}")
_EARLIER = ("all", "config", "credentials", "inference", "routing", "telemetry", "agreement")
"""What an earlier `init` could be told to ask about."""


class Answers(NamedTuple):
    """What was asked, or said on the command line. Without `backends`, those whose keys are there are used."""

    backends: tuple[str, ...] = ()
    is_durable: bool = False
    address: str | None = None


def init(
    part: Annotated[str | None, typer.Argument(hidden=True)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the defaults.")] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="NAME", help="Use only this provider; repeatable.  [default: all whose key is set]"
        ),
    ] = None,
    durable: Annotated[
        bool | None,
        typer.Option("--durable/--no-durable", help="Whether runs are Temporal workflows.  [default: --no-durable]"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="The Temporal server; makes runs durable."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", "-l", hidden=True)] = False,
) -> None:
    """Write .pipelex/ in the current directory: settings, with every default as a comment.

    Three questions are asked, and none where stdin is no terminal. A file that is there is never changed.
    """
    from pipelex.app.keys import providers
    from pipelex.cli import session

    if part is not None and part not in _EARLIER:
        raise typer.BadParameter(f"there is nothing called {part!r} to set up; give no argument")
    if part not in (None, "all", "config"):
        session.say(f"note: {part} is not set up by itself; the whole of .pipelex/ is written")
    known = providers()
    missing = _missing(known)
    given = Answers(
        tuple(dict.fromkeys(_provider(name, known) for name in backend or ())),
        address is not None if durable is None else durable,
        None if address is None else _address(address),
    )
    is_asked = not yes and sys.stdin.isatty()
    if is_asked:
        given = _ask(given, known, missing, has_chosen_host=durable is not None or address is not None)
    elif not yes:
        session.say("stdin is no terminal: nothing is asked, as with --yes")
    _say_shadowed()
    _write_all(given)
    _tell_next(given, known, missing)


def _missing(known: Mapping[str, str]) -> set[str]:
    """The providers whose key is not here."""
    from pipelex.app.keys import key_states
    from pipelex.config.load import read_dotenv
    from pipelex.config.project import find_project
    from pipelex.inference.backends import Backends
    from pipelex.inference.secrets import Secrets

    project = find_project(Path.cwd(), os.environ)
    secrets = Secrets(read_dotenv((project.user_dir / ".env", Path(".env")), os.environ))
    states = key_states(Backends.load((), secrets), secrets, os.environ)
    return set(known) - {state.backend.name for state in states if state.is_complete}


def _provider(name: str, known: Mapping[str, str]) -> str:
    from pipelex.temporal.setting_types import did_you_mean

    if name not in known:
        message = f"there is no provider {name!r} among {', '.join(known)}.{did_you_mean(name, known)}"
        raise typer.BadParameter(message, param_hint="--backend")
    return name


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as localhost:7233", param_hint="--address")
    return text


def _ask(given: Answers, known: Mapping[str, str], missing: set[str], *, has_chosen_host: bool) -> Answers:
    """Ask what the command line did not say; an empty answer is the default."""
    backends, is_durable, address = given
    if not backends:
        listed = ", ".join(f"{name} ({'no key' if name in missing else f'{known[name]} is set'})" for name in known)
        question = f"Providers: {listed}\nWhich may be used? Names, or Enter for all whose key is set: "
        text = _answer(question, lambda text: [_provider(name, known) for name in _words(text)])
        backends = tuple(dict.fromkeys(_words(text)))
    if not has_chosen_host:
        is_durable = _answer("Run everything as durable Temporal workflows? [y/N]: ").lower() in ("y", "yes")
        if is_durable:
            question = "Where is the Temporal server? HOST:PORT, or Enter for the one that `pipelex dev` starts: "
            address = _answer(question, _address) or None
    return Answers(backends, is_durable, address)


def _answer(question: str, check: Callable[[str], object] = str) -> str:
    """Ask on stderr, again after an answer that `check` refuses."""
    while True:
        print(question, end="", file=sys.stderr, flush=True)
        text = input().strip()
        try:
            if text:
                check(text)
            return text
        except typer.BadParameter as error:
            print(error.message, file=sys.stderr)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s,]+", text)


# --- Files ------------------------------------------------------------------------------------------------------------


def _say_shadowed() -> None:
    """Say it when another project around this folder stops being the one that commands here belong to."""
    from pipelex.cli import session
    from pipelex.config.project import find_project

    around = find_project(Path.cwd(), os.environ).project_dir
    if around is not None and around.parent != Path.cwd().resolve():
        session.say(f"note: commands in this folder read {around} no more, but the .pipelex that is written here")


def _write_all(given: Answers) -> None:
    from pipelex.app.keys import language_backends
    from pipelex.cli.init_files import SERVER, backends_text, gitignore_text, settings_text
    from pipelex.config.setting_text import toml

    folder = Path(".pipelex")
    chosen: dict[str, bool | str] = {"temporal.is_enabled": True} if given.is_durable else {}
    chosen |= {f"{SERVER}.target_host": given.address} if given.address else {}
    wanted = [f"{key} = {toml(value)}" for key, value in chosen.items()]
    _write(folder / "pipelex.toml", settings_text(chosen), wanted)
    if given.backends:
        off = [name for name in language_backends() if name not in given.backends]
        wanted = [f"{name}.enabled = false" for name in off]
        _write(folder / "inference" / "backends.toml", backends_text(given.backends, off), wanted)
    _write(folder / ".gitignore", gitignore_text(), [])


def _write(file: Path, text: str, wanted: list[str]) -> None:
    """Write a new file and print its path. One that is there is kept, and what was `wanted` of it is said."""
    from pipelex.cli import session
    from pipelex.errors import ConfigError

    if file.exists():
        missing = f"; to have what was asked for, set there: {', '.join(wanted)}" if wanted else ""
        session.say(f"kept: {file}, as it was{missing}")
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        is_taken = isinstance(error, FileExistsError | NotADirectoryError)
        reason = f"{file.parent} is no folder" if is_taken else error.strerror
        hint = "move it away" if is_taken else "make the folder writable for this user"
        raise ConfigError(f"{file} cannot be written: {reason}", where=str(file.absolute()), hint=hint) from None
    print(file)


def _tell_next(given: Answers, known: Mapping[str, str], missing: set[str]) -> None:
    """Say which keys are there, and what to type next."""
    from pipelex.cli import session

    usable = given.backends or tuple(known)
    there = [f"{name} ({known[name]})" for name in usable if name not in missing]
    if there:
        session.say(f"keys: {', '.join(there)}")
    else:
        wanted = ", ".join(known[name] for name in usable)
        one = "one of " if len(usable) > 1 else ""
        session.say(f"keys: none is set; export {one}{wanted}, or write it in .env here (and keep .env out of git)")
    if given.is_durable and given.address is None:
        session.say("next: pipelex dev            (the Temporal server and a worker, in a terminal of their own)")
    session.say("next: pipelex doctor         (what is set, and what is wrong)")
    session.say("      pipelex new my_method  (a method to start from)")
