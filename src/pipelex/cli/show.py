"""`pipelex show`: what is in the library, and the models, as text for a person or as one JSON document."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelex.cli.columns import columns
from pipelex.cli.flags import Json, LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import Method
    from pipelex.library.library import Library

app = typer.Typer(help="Show what is in the library, and the models.", no_args_is_help=True, rich_markup_mode=None)

_HEAD = ("CODE", "TYPE", "INPUTS", "OUTPUT", "DESCRIPTION")
_WIDEST = 48


@app.callback()
def group() -> None:
    """Show what is in the library, and the models."""


@app.command("pipe")
def pipe(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Code of the pipe, bare or with its domain.")
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
        _print_json(_described(method, ref))
    else:
        print("\n".join(_card(method, ref)))


@app.command("pipes")
def pipes(library_dir: LibraryDirs = None, json: Json = False) -> None:
    """List the pipes of the library, domain by domain."""
    from pipelex.cli.authoring import open_method

    method = open_method(None, library_dir)
    refs = sorted(method.library.crate.pipes)
    if json:
        _print_json([_described(method, ref) for ref in refs])
        return
    domains = dict.fromkeys(ref.rpartition(".")[0] for ref in refs)
    print("\n\n".join("\n".join(_domain(method.library, domain, refs)) for domain in domains) or "no pipe")


@app.command("models")
def models(json: Json = False) -> None:
    """List the models that backends here declare, with what they cost and where that price comes from."""
    from pipelex.cli import session
    from pipelex.inference.deck import Deck
    from pipelex.inference.prices import source_of, token_price

    loaded = session.load()
    secrets = loaded.settings.secrets_here(loaded.environ)
    backends = Deck.load(loaded.settings.config_dirs, secrets).backends
    found: list[dict[str, Any]] = []
    for backend, model in backends.models():
        costs, mark = dict(model.costs), model.costs_from
        kind = str({**backend.model_defaults, **backend.models[model.handle]}.get("model_type", "llm"))
        if kind == "llm" and not costs and (known := token_price(backend.name, model.model_id)) is not None:
            mark, costs["input"], costs["output"] = known
        source = source_of(mark) if costs else None
        is_local = kind == "text_extractor" and not backend.endpoint
        found.append(
            {
                "model": model.handle,
                "model_type": kind,
                "backend": backend.name,
                "costs_usd": costs,
                "price_source": source,
                "is_free": is_local and not costs,
                "has_key": backends.has_credentials(backend),
            }
        )
    if json:
        _print_json(found)
        return
    rows = [["MODEL", "TYPE", "BACKEND", "KEY", "COSTS IN USD", "FROM"]]
    for item in found:
        told = ", ".join(f"{name} {price:g}" for name, price in item["costs_usd"].items())
        row = [
            item["model"],
            item["model_type"],
            item["backend"],
            "yes" if item["has_key"] else "no",
            told or ("free" if item["is_free"] else "unknown"),
        ]
        rows.append([*row, item["price_source"] or ""])
    print("\n".join(columns(rows)))
    print("\ninput and output are per million tokens; page, image and search are each")


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


def _print_json(data: object) -> None:
    import json

    print(json.dumps(data, ensure_ascii=False))
