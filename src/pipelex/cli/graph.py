"""`pipelex graph`: a picture of a method from its declarations, or of a durable run from its histories."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelex.cli.flags import LibraryDirs, Server

if TYPE_CHECKING:
    from pipelex.library.crate import LibraryCrate
    from pipelex.pipes.record import RunRecord

SUFFIXES = {"html": ".html", "svg": ".svg", "mermaid": ".mmd", "json": ".json"}


def graph(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A .mthds file, or a directory that holds one.")
    ] = None,
    pipe: Annotated[
        str | None, typer.Option("--pipe", metavar="CODE", help="Which pipe; default: the main pipe of the bundle.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; - for stdout.  [default: CODE.html]"),
    ] = None,
    format: Annotated[
        Literal["html", "svg", "mermaid", "json"] | None,
        typer.Option("--format", help="What to write; default: what the name of the file says, else html."),
    ] = None,
    library_dir: LibraryDirs = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN_ID", help="Draw what that Temporal run did, instead of a bundle."),
    ] = None,
    server: Server = None,
) -> None:
    """Draw a method: its pipes, the values that go between them, its choices and its batches.

    With --run: the method of a Temporal run, with states, times, attempts, tokens and costs as its histories tell them
    (format html, or json for GraphSpec).

    The page and the picture are self-contained: no script, no network; light or dark as the reader's system is.
    """
    from pipelex.cli.authoring import open_method
    from pipelex.cli.graph_picture import mermaid, page, svg
    from pipelex.cli.session import say
    from pipelex.library.drawing import draw

    if (bundle is None) == (run is None):
        raise typer.BadParameter("give a BUNDLE, or --run RUN_ID")
    chosen = format or _format_of(output)
    if run is not None:
        if chosen not in ("html", "json"):
            raise typer.BadParameter("a run is drawn as html or json")
        _write(output, run.replace("/", "_") + SUFFIXES[chosen], _of_run(run, chosen, server))
        return
    if chosen == "json":
        raise typer.BadParameter("--format json is for --run")
    method = open_method(bundle, library_dir)
    ref = method.pipe(pipe)
    drawing = draw(method.library, ref)
    if chosen == "html":
        source = method.library.crate.source_map.get(ref, str(bundle))
        text = page(drawing, description=method.library.pipe(ref).description, source=source)
    else:
        text = svg(drawing) if chosen == "svg" else mermaid(drawing)
    if output != "-":
        say(f"{len({box.ref for box in drawing.walk() if box.ref})} pipe(s) drawn")
    _write(output, ref.rpartition(".")[2] + SUFFIXES[chosen], text)


def _write(output: str | None, name: str, text: str) -> None:
    from pipelex.cli.authoring import write

    if output == "-":
        print(text, end="")
    else:
        write(Path(output or name), text)


def _of_run(run_id: str, format: str, server: str | None) -> str:
    import asyncio
    import json

    from pipelex.cli.run_graph import graphspec, page
    from pipelex.library.library import Library

    record, crate = asyncio.run(_read(run_id, server))
    library = Library.of(crate)
    if format == "html":
        return page(record, library)
    return json.dumps(graphspec(record, library), ensure_ascii=False, indent=2) + "\n"


async def _read(run_id: str, server: str | None) -> "tuple[RunRecord, LibraryCrate]":
    from pipelex.app import Runtime
    from pipelex.cli import session

    loaded = session.load(server=server)
    async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
        client = await runtime.temporal.client()
        from pipelex.temporal.client import attach

        run = attach(client, run_id)
        return await run.record(), (await run.started_with())[1]


def _format_of(output: str | None) -> str:
    suffix = Path(output or "").suffix.lower()
    return next((format for format, known in SUFFIXES.items() if suffix in (known, f".{format}")), "html")
