"""Completion of command lines: the scripts of shells, and the codes of pipes, as the headers of `.mthds` files say."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import typer

_HEADER = re.compile(r"^[ \t]*\[[ \t]*pipe[ \t]*\.[ \t]*([A-Za-z0-9_]+)[ \t]*\]", re.MULTILINE)
_MOST_FILES, _MOST_FOLDERS = 500, 2000
"""A shell waits for the answer, so a directory is not searched for ever."""
_SKIPPED = ("node_modules", "results", "venv")

SHELLS = ("bash", "zsh", "fish", "powershell")
FLAGS = ("--show-completion", "--install-completion")


def script(given: Sequence[str]) -> None:
    """Print or install the script of the shell that is named behind the flag, else of the one that runs this.

    Typer has flags of the same names, which take no shell and colour what they say.
    """
    from typer import _completion_shared as shared

    flag, *names = given
    shell = names[0] if names else shared._get_shell_name()
    if shell not in SHELLS or len(names) > 1:
        raise typer.BadParameter(f"name one of {', '.join(SHELLS)} behind it", param_hint=flag)
    if flag == "--show-completion":
        print(shared.get_completion_script(prog_name="pipelex", complete_var="_PIPELEX_COMPLETE", shell=shell))
        return
    _, path = shared.install(shell=shell, prog_name="pipelex", complete_var="_PIPELEX_COMPLETE")
    print(path)
    print("completion begins with the next shell that you open", file=sys.stderr)


def pipe_codes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The codes that begin so, of the bundle on the line, else of the library that the command would look into."""
    try:
        codes = {code for file in _files(_places(ctx)) for code in _HEADER.findall(_text(file))}
    except Exception:  # noqa: BLE001 - a line that is being typed is no place for messages
        return []
    return sorted(code for code in codes if code.startswith(incomplete))


def _places(ctx: typer.Context) -> Iterable[Path]:
    """The bundle, else --library-dir, PIPELEXPATH or the directories of the settings."""
    # After an option that still lacks its value, the arguments are not sorted out yet.
    words = (ctx.params.get("path"), ctx.params.get("bundle"), *ctx.args)
    if bundle := next((word for word in words if word and Path(word).exists()), None):
        return [Path(bundle)]
    if dirs := ctx.params.get("library_dir"):
        return [Path(each) for each in dirs]
    if listed := [Path(part).expanduser() for part in os.environ.get("PIPELEXPATH", "").split(os.pathsep) if part]:
        return listed
    from pipelex.config.load import load_settings

    return load_settings().settings.library.dirs


def _files(places: Iterable[Path]) -> Iterator[Path]:
    return islice(chain.from_iterable([place] if place.is_file() else _below(place) for place in places), _MOST_FILES)


def _below(place: Path) -> Iterator[Path]:
    """The bundles of a directory, where the library would find them."""
    for folder, names, files in islice(os.walk(place), _MOST_FOLDERS):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED)
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".mthds"))


def _text(file: Path) -> str:
    """What can be read of a file: the others have codes all the same."""
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""
