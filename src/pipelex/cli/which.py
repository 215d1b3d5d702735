"""`pipelex which`: where the library looks for methods, and where a pipe was found."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelex.cli.flags import LibraryDirs


def which(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code of the pipe, bare or with its domain.")],
    library_dir: LibraryDirs = None,
) -> None:
    """Show the directories where methods are looked for, then the file and the line that declare a pipe."""
    from dataclasses import replace

    from pipelex.cli.authoring import open_runtime, place_of
    from pipelex.cli.session import say
    from pipelex.errors import InputError

    runtime = open_runtime(library_dir)
    origin = "--library-dir" if library_dir else "PIPELEXPATH" if os.environ.get("PIPELEXPATH") else "[library] dirs"
    there = [directory for directory in runtime.library_dirs if _has_bundles(directory)]
    for directory in runtime.library_dirs:
        print(f"{'✓' if directory in there else '✗'} {directory}  ({origin})")
    if not there:
        hint = "give --library-dir DIR, set PIPELEXPATH, or set dirs under [library] in .pipelex/pipelex.toml"
        raise InputError("no directory holds a method", hint=hint)
    method = replace(runtime, library_dirs=tuple(there)).load()
    for warning in method.warnings:
        say(warning.render())
    ref = method.library.entry(code)
    print(f"{ref}  {method.library.pipe(ref).type}")
    print(place_of(method, ref))


def _has_bundles(directory: Path) -> bool:
    from pipelex.errors import InputError
    from pipelex.library.load import find_bundles

    try:
        return bool(find_bundles([directory]))
    except InputError:
        return False
