"""`pipelex schema`: the JSON Schema of a `.mthds` document, for editors and generators of methods."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; default: stdout.")
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of .mthds files, in today's spellings of the language."""
    import json

    from pipelex.cli.authoring import write
    from pipelex.language.editor_schema import editor_schema

    text = json.dumps(editor_schema(), indent=2, ensure_ascii=False)
    if output is None:
        print(text)
    else:
        write(output, text + "\n")
