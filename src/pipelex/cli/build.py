"""`pipelex build`: files to start from, made from declarations: an inputs template, an example or schema of outputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Json, LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import Method

app = typer.Typer(help="Make files to start from.", no_args_is_help=True, rich_markup_mode=None)
inputs_app = typer.Typer(help="Make a file of inputs to fill in.", no_args_is_help=True, rich_markup_mode=None)
output_app = typer.Typer(help="Make an example of the output.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(inputs_app, name="inputs")
app.add_typer(output_app, name="output")

Target = Annotated[Path, typer.Argument(metavar="PATH", help="A .mthds file, or a directory that holds one.")]
Code = Annotated[
    str, typer.Argument(metavar="CODE", autocompletion=pipe_codes, help="Code of the pipe, bare or with its domain.")
]
PipeFlag = Annotated[
    str | None,
    typer.Option(
        "--pipe", metavar="CODE", autocompletion=pipe_codes, help="Which pipe; default: the main pipe of the bundle."
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Where to write; - for stdout. Default: beside the bundle, else results."
    ),
]
Explicit = Annotated[bool, typer.Option("--explicit", help="Say the concept of each input.")]
InputsFormat = Annotated[Literal["json", "toml"] | None, typer.Option("--format", help="Default: json.")]
OutputFormat = Annotated[Literal["json", "schema"], typer.Option("--format", help="An example, or its JSON Schema.")]


@app.callback()
def group() -> None:
    """Make files to start from."""


@inputs_app.command("bundle", short_help="Write the inputs of a pipe of a bundle.")
def inputs_of_bundle(
    path: Target,
    pipe: PipeFlag = None,
    output: Output = None,
    explicit: Explicit = False,
    format: InputsFormat = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Write the inputs of a bundle's main pipe, or of another of its pipes, ready to fill in.

    In JSON optional inputs are there like the others: drop those you do not give. In TOML they are comments.
    """
    _inputs(path, pipe, output, format, library_dir, explicit=explicit, as_json=json)


@inputs_app.command("pipe", short_help="Write the inputs of a pipe of the library.")
def inputs_of_pipe(
    code: Code,
    output: Output = None,
    explicit: Explicit = False,
    format: InputsFormat = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Write the inputs of a pipe of the library, ready to fill in."""
    _inputs(None, code, output, format, library_dir, explicit=explicit, as_json=json)


@output_app.command("bundle", short_help="Write an output of a pipe of a bundle.")
def output_of_bundle(
    path: Target,
    pipe: PipeFlag = None,
    output: Output = None,
    format: OutputFormat = "json",
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Write a made-up output of a bundle's main pipe, or of another of its pipes; or the schema of such outputs."""
    _output(path, pipe, output, format, library_dir, as_json=json)


@output_app.command("pipe", short_help="Write an output of a pipe of the library.")
def output_of_pipe(
    code: Code,
    output: Output = None,
    format: OutputFormat = "json",
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Write a made-up output of a pipe of the library, or the schema of its outputs."""
    _output(None, code, output, format, library_dir, as_json=json)


def _inputs(
    target: Path | None,
    code: str | None,
    output: str | None,
    format: Literal["json", "toml"] | None,
    library_dirs: list[Path] | None,
    *,
    explicit: bool,
    as_json: bool,
) -> None:
    from pipelex.cli.inputs_template import as_toml, inputs_template
    from pipelex.cli.session import print_json, say

    method, ref = _opened(target, code, library_dirs)
    slots = method.library.pipe(ref).inputs
    if not slots:
        say(f"{ref} needs no inputs")
        if as_json:
            print_json({"pipe_ref": ref, "file": None, "content": {}})
        return
    chosen = format or ("toml" if output is not None and output.endswith(".toml") else "json")
    template = inputs_template(slots, method.library.concepts, is_explicit=explicit)
    text = as_toml(template, slots, method.library.concepts) if chosen == "toml" else _indented(template)
    _leave(text, _place(output, target, f"inputs.{chosen}"), {"pipe_ref": ref, "content": template}, as_json=as_json)


def _output(
    target: Path | None,
    code: str | None,
    output: str | None,
    format: str,
    library_dirs: list[Path] | None,
    *,
    as_json: bool,
) -> None:
    from pipelex.values.mock import mock
    from pipelex.values.schema import slot_schema

    method, ref = _opened(target, code, library_dirs)
    schema = slot_schema(method.library.pipe(ref).output, method.library.concepts)
    data = schema if format == "schema" else mock(schema, items=1)
    place = _place(output, target, "output_schema.json" if format == "schema" else "output.json")
    _leave(_indented(data), place, {"pipe_ref": ref, "content": data}, as_json=as_json)


def _opened(target: Path | None, code: str | None, library_dirs: list[Path] | None) -> "tuple[Method, str]":
    from pipelex.cli.authoring import open_method

    method = open_method(target, library_dirs)
    return method, method.pipe(code)


def _indented(data: object) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _place(output: str | None, target: Path | None, name: str) -> Path | None:
    """Where to write: where it was asked, else under the usual name, where nothing is overwritten; None for stdout."""
    from pipelex.errors import InputError

    if output is not None:
        return None if output == "-" else Path(output)
    folder = Path("results") if target is None else target if target.is_dir() else target.parent
    if (folder / name).exists():
        hint = "write elsewhere with -o FILE, to stdout with -o -, or over it by naming it"
        raise InputError(f"{folder / name} is there already, and may have been filled in", hint=hint)
    return folder / name


def _leave(text: str, file: Path | None, told: dict[str, object], *, as_json: bool) -> None:
    """Write the text, or print it; with `as_json` one document says what was made, and where it is."""
    from pipelex.cli.authoring import write
    from pipelex.cli.session import print_json

    if file is not None:
        write(file, text, told=not as_json)
    if as_json:
        print_json({**told, "file": None if file is None else str(file)})
    elif file is None:
        print(text, end="")
