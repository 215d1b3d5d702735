"""`pipelex graph`: a picture of a method from its declarations, or of a durable run from its histories."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelex.cli.flags import Json, LibraryDirs, Server

if TYPE_CHECKING:
    from pipelex.library.library import Library
    from pipelex.pipes.record import RunRecord
    from pipelex.values.value import Outcome

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
    json: Json = False,
    server: Server = None,
) -> None:
    """Draw a method: its pipes, the values that go between them, its choices and its batches.

    With --run: the method of a Temporal run, with states, times, attempts, tokens and costs as its histories tell them
    (format html, or json for GraphSpec).

    The page and the picture are self-contained and need no network; light or dark as the reader's system is. On the
    page, a click on a pipe tells what it declares, and of a run what went in, the prompt, and what came out.
    """
    from pipelex.cli.session import counted, say

    if (bundle is None) == (run is None):
        raise typer.BadParameter("give a BUNDLE, or --run RUN_ID")
    chosen = format or _format_of(output)
    if run is not None:
        if chosen not in ("html", "json"):
            raise typer.BadParameter("a run is drawn as html or json")
        name = run.replace("/", "_") + SUFFIXES[chosen]
        _write(output, name, _of_run(run, chosen, server), {"run_id": run, "format": chosen}, as_json=json)
        return
    if chosen == "json":
        raise typer.BadParameter("--format json is for --run")
    ref, text, count = _of_method(bundle, pipe, library_dir, chosen)
    if output != "-" and not json:
        say(f"{counted(count, 'pipe')} drawn")
    told = {"pipe_ref": ref, "format": chosen, "pipes": count}
    _write(output, ref.rpartition(".")[2] + SUFFIXES[chosen], text, told, as_json=json)


def _of_method(
    bundle: Path | None, pipe: str | None, library_dirs: list[Path] | None, format: str
) -> tuple[str, str, int]:
    """Which pipe is drawn, its picture, and how many pipes are in it."""
    from pipelex.cli.authoring import open_method
    from pipelex.cli.graph_picture import mermaid, svg
    from pipelex.cli.run_page import method_page
    from pipelex.library.drawing import draw

    method = open_method(bundle, library_dirs)
    ref = method.pipe(pipe)
    drawing = draw(method.library, ref)
    if format == "html":
        text = method_page(method.library, ref, source=method.library.crate.source_map.get(ref, str(bundle)))
    else:
        text = svg(drawing) if format == "svg" else mermaid(drawing)
    return ref, text, len({box.ref for box in drawing.walk() if box.ref})


def _write(output: str | None, name: str, text: str, told: dict[str, object], *, as_json: bool) -> None:
    """Write the picture, or print it; with `as_json` one document says what was drawn, and where it is."""
    from pipelex.cli.authoring import write
    from pipelex.cli.session import print_json

    file = None if output == "-" else Path(output or name)
    if file is not None:
        write(file, text, told=not as_json)
    if as_json:
        print_json({**told, "file": str(file)} if file else {**told, "file": None, "content": text})
    elif file is None:
        print(text, end="")


def _of_run(run_id: str, format: str, server: str | None) -> str:
    import asyncio
    import json

    from pipelex.cli.run_graph import graphspec
    from pipelex.cli.run_page import run_page

    found = asyncio.run(_read(run_id, server, with_result=format == "html"))
    record, library = found.record, found.library
    if format == "html":
        return run_page(record, library, found.outcome, files=found.files, note=found.note)
    return json.dumps(graphspec(record, library), ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True)
class _Found:
    """A run as the server and the stores tell it; `files` are those of its outcome, which a page may hold.

    `note` says why a run that is done has no outcome.
    """

    record: "RunRecord"
    library: "Library"
    outcome: "Outcome | None"
    files: dict[str, bytes]
    note: str = ""


async def _read(run_id: str, server: str | None, *, with_result: bool) -> _Found:
    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.errors import PipelexError
    from pipelex.library.library import Library
    from pipelex.storage.produced import produced_files
    from pipelex.values.value import Value

    loaded = session.load(server=server)
    async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
        client = await runtime.temporal.client()
        from pipelex.temporal.client import attach

        run = attach(client, run_id)
        record, (_, crate) = await run.record(), await run.started_with()
        library = Library.of(crate)
        outcome, note = None, ""
        try:
            outcome = (await run.result()).outcome if with_result and record.root.state == "done" else None
        except PipelexError as error:
            # What the run did is told all the same.
            note = f"The result is not on this page: {error.message}"
            session.say(f"warning: the result is not on the page: {error.message}")
        files = await produced_files(outcome, library.concepts, runtime.blobs) if isinstance(outcome, Value) else {}
        return _Found(record, library, outcome, files, note)


def _format_of(output: str | None) -> str:
    suffix = Path(output or "").suffix.lower()
    return next((format for format, known in SUFFIXES.items() if suffix in (known, f".{format}")), "html")
