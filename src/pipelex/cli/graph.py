"""`pipelex graph`: a picture of a method, from its declarations alone: nothing is run, nobody is asked."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelex.cli.flags import LibraryDirs

SUFFIXES = {"html": ".html", "svg": ".svg", "mermaid": ".mmd"}


def graph(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .mthds file, or a directory that holds one.")],
    pipe: Annotated[
        str | None, typer.Option("--pipe", metavar="CODE", help="Which pipe; default: the main pipe of the bundle.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; - for stdout.  [default: CODE.html]"),
    ] = None,
    format: Annotated[
        Literal["html", "svg", "mermaid"] | None,
        typer.Option("--format", help="What to write; default: what the name of the file says, else html."),
    ] = None,
    library_dir: LibraryDirs = None,
) -> None:
    """Draw a method: its pipes, the values that go between them, its choices and its batches.

    The page and the picture are self-contained: no script, no network; light or dark as the reader's system is.
    """
    from pipelex.cli.authoring import open_method, write
    from pipelex.cli.graph_picture import mermaid, page, svg
    from pipelex.cli.session import say
    from pipelex.library.drawing import draw

    method = open_method(bundle, library_dir)
    ref = method.pipe(pipe)
    drawing = draw(method.library, ref)
    chosen = format or _format_of(output)
    if chosen == "html":
        source = method.library.crate.source_map.get(ref, str(bundle))
        text = page(drawing, description=method.library.pipe(ref).description, source=source)
    else:
        text = svg(drawing) if chosen == "svg" else mermaid(drawing)
    if output == "-":
        print(text, end="")
        return
    file = Path(output or ref.rpartition(".")[2] + SUFFIXES[chosen])
    say(f"{len({box.ref for box in drawing.walk() if box.ref})} pipe(s) drawn")
    write(file, text)


def _format_of(output: str | None) -> str:
    suffix = Path(output or "").suffix.lower()
    return next((format for format, known in SUFFIXES.items() if suffix in (known, f".{format}")), "html")
