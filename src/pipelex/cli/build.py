"""`pipelex build`: files to start from, made from declarations: an inputs template, an example or schema of outputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelex.cli.flags import LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import Method

app = typer.Typer(help="Make files to start from.", no_args_is_help=True, rich_markup_mode=None)
inputs_app = typer.Typer(help="Make a file of inputs to fill in.", no_args_is_help=True, rich_markup_mode=None)
output_app = typer.Typer(help="Make an example of the output.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(inputs_app, name="inputs")
app.add_typer(output_app, name="output")

Target = Annotated[Path, typer.Argument(metavar="PATH", help="A .mthds file, or a directory that holds one.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="Code of the pipe, bare or with its domain.")]
PipeFlag = Annotated[
    str | None, typer.Option("--pipe", metavar="CODE", help="Which pipe; default: the main pipe of the bundle.")
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


@inputs_app.command("bundle")
def inputs_of_bundle(
    path: Target,
    pipe: PipeFlag = None,
    output: Output = None,
    explicit: Explicit = False,
    format: InputsFormat = None,
    library_dir: LibraryDirs = None,
) -> None:
    """Write the inputs of a bundle's main pipe, or of another of its pipes, ready to fill in.

    In JSON optional inputs are there like the others: drop those you do not give. In TOML they are comments.
    """
    _inputs(path, pipe, output, format, library_dir, explicit=explicit)


@inputs_app.command("pipe")
def inputs_of_pipe(
    code: Code,
    output: Output = None,
    explicit: Explicit = False,
    format: InputsFormat = None,
    library_dir: LibraryDirs = None,
) -> None:
    """Write the inputs of a pipe of the library, ready to fill in."""
    _inputs(None, code, output, format, library_dir, explicit=explicit)


@output_app.command("bundle")
def output_of_bundle(
    path: Target,
    pipe: PipeFlag = None,
    output: Output = None,
    format: OutputFormat = "json",
    library_dir: LibraryDirs = None,
) -> None:
    """Write a made-up output of a bundle's main pipe, or of another of its pipes; or the schema of such outputs."""
    _output(path, pipe, output, format, library_dir)


@output_app.command("pipe")
def output_of_pipe(
    code: Code, output: Output = None, format: OutputFormat = "json", library_dir: LibraryDirs = None
) -> None:
    """Write a made-up output of a pipe of the library, or the schema of its outputs."""
    _output(None, code, output, format, library_dir)


def _inputs(
    target: Path | None,
    code: str | None,
    output: str | None,
    format: Literal["json", "toml"] | None,
    library_dirs: list[Path] | None,
    *,
    explicit: bool,
) -> None:
    import json

    from pipelex.cli.inputs_template import as_toml, inputs_template
    from pipelex.cli.session import say

    method, ref = _opened(target, code, library_dirs)
    slots = method.library.pipe(ref).inputs
    if not slots:
        say(f"{ref} needs no inputs")
        return
    chosen = format or ("toml" if output is not None and output.endswith(".toml") else "json")
    template = inputs_template(slots, method.library.concepts, is_explicit=explicit)
    if chosen == "toml":
        text = as_toml(template, slots, method.library.concepts)
    else:
        text = json.dumps(template, indent=2, ensure_ascii=False) + "\n"
    _leave(text, output, target, f"inputs.{chosen}")


def _output(
    target: Path | None, code: str | None, output: str | None, format: str, library_dirs: list[Path] | None
) -> None:
    import json

    from pipelex.values.mock import mock
    from pipelex.values.schema import slot_schema

    method, ref = _opened(target, code, library_dirs)
    schema = slot_schema(method.library.pipe(ref).output, method.library.concepts)
    data = schema if format == "schema" else mock(schema, items=1)
    name = "output_schema.json" if format == "schema" else "output.json"
    _leave(json.dumps(data, indent=2, ensure_ascii=False) + "\n", output, target, name)


def _opened(target: Path | None, code: str | None, library_dirs: list[Path] | None) -> "tuple[Method, str]":
    from pipelex.cli.authoring import open_method

    method = open_method(target, library_dirs)
    return method, method.pipe(code)


def _leave(text: str, output: str | None, target: Path | None, name: str) -> None:
    """Write where it was asked, or under the usual name: there, nothing that exists is overwritten."""
    from pipelex.cli.authoring import write
    from pipelex.errors import InputError

    if output == "-":
        print(text, end="")
        return
    if output is not None:
        write(Path(output), text)
        return
    folder = Path("results") if target is None else target if target.is_dir() else target.parent
    if (folder / name).exists():
        hint = "write elsewhere with -o FILE, to stdout with -o -, or over it by naming it"
        raise InputError(f"{folder / name} is there already, and may have been filled in", hint=hint)
    write(folder / name, text)
