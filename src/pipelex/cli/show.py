"""`pipelex show`: what holds here (pipes, settings, backends, models, routes), for a person or as one JSON document."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelex.cli.columns import columns
from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Functions, Json, LibraryDirs, Server
from pipelex.cli.routes import Bundle, OnlyHandle, OnlyPipe
from pipelex.cli.session import print_json

if TYPE_CHECKING:
    from pipelex.app import Method
    from pipelex.library.library import Library

app = typer.Typer(
    help="Show what holds here: pipes, settings, backends, models, routes.", no_args_is_help=True, rich_markup_mode=None
)

Origin = Annotated[
    bool,
    typer.Option("--origin", help="Say where each value comes from: a file and its line, a variable, a default."),
]

_HEAD = ("CODE", "TYPE", "INPUTS", "OUTPUT", "DESCRIPTION")
_WIDEST = 48


@app.callback()
def group() -> None:
    """Show what holds here: pipes, settings, backends, models, routes."""


@app.command("pipe", short_help="Show what a pipe does, takes and gives.")
def pipe(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", autocompletion=pipe_codes, help="Code of the pipe, bare or with its domain."),
    ] = None,
    all_pipes: Annotated[bool, typer.Option("--all", "-a", help="Show every pipe, as `show pipes` does.")] = False,
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Show one pipe of the library: what it does, takes and gives, and where it is declared."""
    if (code is None) != all_pipes:
        raise typer.BadParameter("give the code of a pipe, or --all")
    if code is None:
        pipes(library_dir, json)
        return
    from pipelex.cli.authoring import open_method

    method = open_method(None, library_dir)
    ref = method.library.entry(code)
    if json:
        print_json(_described(method, ref))
    else:
        print("\n".join(_card(method, ref)))


@app.command("pipes")
def pipes(library_dir: LibraryDirs = None, json: Json = False) -> None:
    """List the pipes of the library, domain by domain."""
    from pipelex.cli.authoring import open_method

    method = open_method(None, library_dir)
    refs = sorted(method.library.crate.pipes)
    if json:
        print_json([_described(method, ref) for ref in refs])
        return
    domains = dict.fromkeys(ref.rpartition(".")[0] for ref in refs)
    print("\n\n".join("\n".join(_domain(method.library, domain, refs)) for domain in domains) or "no pipe")


@app.command("config", short_help="Print the settings that hold here.")
def config(origin: Origin = False, server: Server = None, json: Json = False) -> None:
    """Print the settings that hold here, as TOML. Secrets are not shown: keys are named, not written, in settings."""
    from pipelex.cli import session, show_settings

    loaded = session.load(server=server)
    if json:
        print_json(show_settings.as_data(loaded, with_origin=origin))
    else:
        _print(show_settings.as_toml(loaded, with_origin=origin))


@app.command("backends", short_help="List backends and the routes to them.")
def backends(
    all_backends: Annotated[
        bool, typer.Option("--all", "-a", help="Also those that are disabled, and the built-in routes.")
    ] = False,
    origin: Origin = False,
    json: Json = False,
) -> None:
    """List the backends, whether their key is here, and the routes from models to them. No key is shown."""
    from pipelex.cli import session, show_models

    loaded = session.load()
    found = show_models.backends(loaded, with_disabled=all_backends)
    here = show_models.backends_here(loaded)
    if json:
        listed = show_models.with_origins(found) if origin else [item for item, _ in found]
        print_json({"backends": listed, "routing": show_models.routing(here)})
    elif origin:
        _print(show_models.backend_toml(found))
    else:
        _print("\n".join(show_models.backend_lines(found, here, with_built_in=all_backends)))


@app.command("models", short_help="List models and what they cost.")
def models(
    backend: Annotated[str | None, typer.Argument(metavar="BACKEND", help="Only those of this backend.")] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Print comma-separated values.")] = False,
    origin: Origin = False,
    json: Json = False,
) -> None:
    """List the models that backends here declare, with what they cost and where that price comes from."""
    if flat and (origin or json):
        raise typer.BadParameter("--flat goes with neither --json nor --origin")
    from pipelex.cli import session, show_models

    loaded = session.load()
    found = show_models.models(loaded, backend)
    listed = [item for item, _ in found]
    if json:
        print_json(show_models.with_origins(found) if origin else listed)
    elif origin:
        _print(show_models.model_toml(loaded, found))
    elif flat:
        _print(show_models.model_csv(listed).rstrip("\n"))
    else:
        _print("\n".join(show_models.model_lines(listed)))
        session.say("input and output are per million tokens; page, image and search are each")


@app.command("routes", short_help="Show where each call goes, and how patiently.")
def routes(
    path: Bundle = None,
    pipe: OnlyPipe = None,
    handle: OnlyHandle = None,
    library_dir: LibraryDirs = None,
    functions: Functions = None,
    origin: Origin = False,
    json: Json = False,
) -> None:
    """Show the queue, the timeouts, the retries and the rate cap of each activity, as `pipelex routes` does."""
    from pipelex.cli.routes import show

    show(path, pipe, handle, library_dir, functions, with_origin=origin, as_json=json)


def _described(method: "Method", ref: str) -> dict[str, Any]:
    from pipelex.cli.authoring import place_of
    from pipelex.library.contracts import io_contract

    found = method.library.pipe(ref)
    return {
        "pipe_ref": ref,
        "type": found.type,
        "description": found.description,
        **io_contract(method.library, ref),
        "source": place_of(method, ref),
    }


def _card(method: "Method", ref: str) -> Iterator[str]:
    from pipelex.cli.authoring import place_of

    found, domain = method.library.pipe(ref), ref.rpartition(".")[0]
    yield f"{ref}  ({found.type})"
    yield f"  {' '.join(found.description.split())}"
    for name, slot in found.inputs.items():
        yield f"  input   {name}: {_short(str(slot), domain)}"
    yield f"  output  {_short(str(found.output), domain)}"
    yield f"  source  {place_of(method, ref)}"


def _domain(library: "Library", domain: str, refs: Iterable[str]) -> Iterator[str]:
    """A table of the pipes of a domain."""
    rows = [_HEAD]
    for ref in refs:
        if ref.rpartition(".")[0] == domain:
            found = library.pipe(ref)
            inputs = ", ".join(f"{name}: {_short(str(slot), domain)}" for name, slot in found.inputs.items())
            about = " ".join(found.description.split())
            rows.append((ref.rpartition(".")[2], found.type, inputs, _short(str(found.output), domain), about))
    described = library.crate.domains.get(domain)
    yield f"{domain}: {' '.join(described.split())}" if described else domain
    yield from (f"  {line}" for line in columns(tuple(_cut(cell) for cell in row) for row in rows))


def _short(slot: str, domain: str) -> str:
    return slot.removeprefix("native.").removeprefix(f"{domain}.")


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _print(text: str) -> None:
    from pipelex.values.terminal import for_terminal

    print(for_terminal(text))
