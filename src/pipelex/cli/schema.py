"""`pipelex schema`: the JSON Schema of a `.mthds` document, for editors and generators of methods."""

from pathlib import Path
from typing import Annotated

import typer

from pipelex.cli.flags import Json


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; default: stdout.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of .mthds files, in today's spellings of the language."""
    from json import dumps

    from pipelex.cli.authoring import write
    from pipelex.cli.session import print_json
    from pipelex.language.editor_schema import editor_schema

    text = dumps(editor_schema(), indent=2, ensure_ascii=False)
    if output is None:
        print(text)
        return
    write(output, text + "\n", told=not json)
    if json:
        print_json({"file": str(output)})
