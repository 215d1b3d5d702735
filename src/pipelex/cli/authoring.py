"""What the commands that look into methods without running them share: loading, search paths, writing a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelex.app import Method, Runtime
    from pipelex.errors import PipelexError


def open_runtime(library_dirs: Sequence[Path] | None, functions: Sequence[str] | None = None) -> Runtime:
    """The runtime of the current directory; `library_dirs` replaces the directories of the settings.

    The classes that structures may name are those of the settings and of `functions`.
    """
    from pipelex.app import Runtime
    from pipelex.cli import session

    loaded = session.load()
    sources = session.function_sources(functions, loaded)
    return Runtime.open(loaded.settings, library_dirs=library_dirs, environ=loaded.environ, functions=sources)


def open_method(target: Path | None, library_dirs: Sequence[Path] | None) -> Method:
    """Load a bundle, or (None) the library; what is accepted with a warning is said on stderr."""
    from pipelex.cli.session import say

    method = open_runtime(library_dirs).load(target)
    for warning in method.warnings:
        say(warning.render())
    return method


def write(file: Path, text: str, *, told: bool = True) -> None:
    """Write a text, in a directory that is made when it is not there; the path is printed if `told`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritten(file, error) from None
    if told:
        print(file)


def unwritten(file: Path, error: OSError) -> PipelexError:
    """What it means that a file cannot be written."""
    from pipelex.errors import InputError

    hint = "check the path, and that you may write there"
    return InputError(f"cannot write {file}: {error.strerror}", hint=hint)


def place_of(method: Method, ref: str) -> str:
    """`file:line` of the declaration of a pipe; only the file for a pipe that linking made."""
    from pipelex.language.positions import positions_of

    source = method.library.crate.source_map.get(ref, "")
    code = ref.rpartition(".")[2]
    for bundle in method.bundles:
        if bundle.source == source and code in bundle.pipes:
            line, _ = positions_of(bundle.text).nearest(("pipe", code))
            return f"{source}:{line}"
    return source
