"""`pipelex which`: where the library looks for methods, and where a pipe was found."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Json, LibraryDirs


def which(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE", autocompletion=pipe_codes, help="Code of the pipe, bare or with its domain."),
    ],
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Show the directories where methods are looked for, then the file and the line that declare a pipe."""
    from dataclasses import replace

    from pipelex.cli.authoring import open_runtime, place_of
    from pipelex.cli.session import print_json, say
    from pipelex.errors import InputError

    runtime = open_runtime(library_dir)
    origin = "--library-dir" if library_dir else "PIPELEXPATH" if os.environ.get("PIPELEXPATH") else "[library] dirs"
    there = [directory for directory in runtime.library_dirs if _has_bundles(directory)]
    looked = [{"dir": str(each), "given_by": origin, "has_methods": each in there} for each in runtime.library_dirs]
    if not json:
        for item in looked:
            print(f"{'✓' if item['has_methods'] else '✗'} {item['dir']}  ({origin})")
    if not there:
        hint = "give --library-dir DIR, set PIPELEXPATH, or set dirs under [library] in .pipelex/pipelex.toml"
        raise InputError("no directory holds a method", hint=hint)
    method = replace(runtime, library_dirs=tuple(there)).load()
    for warning in method.warnings:
        say(warning.render())
    ref = method.library.entry(code)
    kind, place = method.library.pipe(ref).type, place_of(method, ref)
    if json:
        print_json({"pipe_ref": ref, "type": kind, "source": place, "library_dirs": looked})
    else:
        print(f"{ref}  {kind}\n{place}")


def _has_bundles(directory: Path) -> bool:
    from pipelex.errors import InputError
    from pipelex.library.load import find_bundles

    try:
        return bool(find_bundles([directory]))
    except InputError:
        return False
