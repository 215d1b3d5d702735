"""The flags of `pipelex run …`, declared once, and how their command reads them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipelex.cli import earlier
from pipelex.cli.completion import pipe_codes

PipeFlag = Annotated[
    str | None,
    typer.Option(
        "--pipe", metavar="CODE", autocompletion=pipe_codes, help="Which pipe; default: the main pipe of the bundle."
    ),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        "-i",
        metavar="FILE|JSON|-",
        help="Path of a .json or .toml file, inline JSON starting with '{', or '-' for JSON on stdin, waited for "
        "until its end. Without this option stdin is read when it is a file, or a pipe in which something comes "
        "within a second; else inputs.json or inputs.toml beside the bundle. On stdin, the output of another run "
        "--with-memory gives its values to the inputs of the same names, and its result to an input that is alone.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document on stdout; a failure is one JSON object, the last line of stderr."
    ),
]
SaveCsv = Annotated[
    Path | None,
    typer.Option("--save-csv", metavar="PATH", help="Also write the result, a list of flat structures, as CSV."),
]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Where the results directory is made.  [default: results]"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Run on mock replies: no model, no function, no key is used.")]
MockInputs = Annotated[bool, typer.Option("--mock-inputs", help="With --dry-run: make up the inputs not given.")]
Durable = Annotated[
    bool | None, typer.Option("--temporal/--no-temporal", help="Run as Temporal workflows, or in this process.")
]
WithMemory = Annotated[
    bool, typer.Option("--with-memory", help="Print one JSON document: the result in three forms and the memory.")
]
Simulate = Annotated[
    bool,
    typer.Option(
        "--simulate",
        help="Let the simulated backend answer for every model; with --simulate FILE.toml, as that profile says.",
    ),
]
Profile = Annotated[
    Path | None, typer.Option("--profile", metavar="FILE", help="The same as --simulate FILE.", hidden=True)
]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache",
        help="Let the reply cache answer what was asked before.  [default: is_enabled of [inference.cache]]",
    ),
]
Lane = Annotated[
    str | None,
    typer.Option(
        "--lane",
        metavar="NAME",
        help="How urgent a Temporal run is: interactive, normal, batch, or another lane of [temporal.lanes].",
    ),
]
Costs = Annotated[bool, typer.Option("--costs/--no-costs", help="Say what each model consumed, and keep it.")]
Graph = Annotated[bool, typer.Option("--graph/--no-graph", help="Keep the pages of the run, and graphspec.json.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Start a Temporal run, print its id on stdout, and leave it to its workers.")
]
SaveMain = Annotated[
    bool, typer.Option("--save-main-stuff/--no-save-main-stuff", help="Keep main_stuff.json, main_stuff.md.")
]
SaveMemory = Annotated[
    bool, typer.Option("--save-working-memory/--no-save-working-memory", help="Keep working_memory.json.")
]
MemoryPath = Annotated[
    Path | None, typer.Option("--working-memory-path", metavar="FILE", help="Write working_memory.json there.")
]
DynamicOutput = Annotated[
    str | None,
    typer.Option("--dynamic-output-concept", "-O", metavar="CONCEPT", help="What outputs declared Dynamic are."),
]
NoPrettyPrint = Annotated[bool, typer.Option("--no-pretty-print", help="Do not print the result on stdout.")]


class Rehearsable(TyperCommand):
    """A command that takes `--simulate` with or without FILE.toml: typer knows no option whose value may be missing.

    It also takes the flags of earlier versions.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--simulate FILE.toml` as `--profile FILE`, and `--orchestrator temporal` as `--temporal`."""
        given, words = earlier.today(ctx, args, earlier.IDLE_RUN), list[str]()
        while given and given[0] != "--":
            word = given.pop(0)
            if word == "--simulate" and given and given[0].endswith(".toml"):
                words += ["--profile", given.pop(0)]
            elif word.startswith("--simulate="):
                words += ["--profile", word.removeprefix("--simulate=")]
            elif word == "--orchestrator" and given:
                words.append(earlier.orchestrated(ctx, given.pop(0)))
            elif word.startswith("--orchestrator="):
                words.append(earlier.orchestrated(ctx, word.removeprefix("--orchestrator=")))
            else:
                words.append(word)
        return super().parse_args(ctx, words + given)
