"""Flags that several commands share, declared once. Imports typer and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LibraryDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--library-dir",
        "-L",
        metavar="DIR",
        help="Directory of methods to load as well; repeatable. Replaces PIPELEXPATH.",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="NAME", help="Server profile of [temporal.temporal_config.temporal_server_configs]."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--functions", metavar="MODULE|FILE", help="Where @pipe_func functions and structure classes are; repeatable."
    ),
]
Fetch = Annotated[bool, typer.Option("--fetch", help="Fetch, with git, the packages that are not on this machine.")]
