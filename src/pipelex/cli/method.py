"""`pipelex run method`: run a package that is installed, by its name or address."""

from typing import Annotated

import typer

from pipelex.cli import run
from pipelex.cli.flags import Fetch, Functions, Json, LibraryDirs, Server


def method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of an installed method, or address of a package.")],
    pipe: run.PipeFlag = None,
    inputs: run.Inputs = None,
    output_dir: run.OutputDir = None,
    dry_run: run.DryRun = False,
    mock_inputs: run.MockInputs = False,
    temporal: run.Durable = None,
    server: Server = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
    with_memory: run.WithMemory = False,
    simulate: run.Simulate = False,
    profile: run.Profile = None,
    no_pretty_print: run.NoPrettyPrint = False,
    save_csv: run.SaveCsv = None,
    lane: run.Lane = None,
    costs: run.Costs = True,
    graph: run.Graph = True,
    cache: run.Cache = None,
    functions: Functions = None,
    fetch: Fetch = False,
) -> None:
    """Run the main pipe of an installed method, or another of its pipes.

    Methods are installed in .mthds/methods/ of the project, else in ~/.mthds/methods/. An address is also looked for
    among the packages already fetched.
    """
    from pipelex.config.load import load_settings
    from pipelex.storage.package_supply import Supply, near

    # What the settings warn about is said once, when the run starts.
    loaded = load_settings()
    supply = Supply.of(loaded.settings.packages, loaded.settings.root, loaded.environ, may_fetch=fetch)
    run.start(
        run.Wish(
            target=near(supply.method(name)),
            pipe=pipe,
            inputs=inputs,
            output_dir=output_dir,
            is_dry=dry_run,
            mock_inputs=mock_inputs,
            durable=temporal,
            server=server,
            library_dirs=library_dir,
            is_json=json,
            with_memory=with_memory,
            simulate=profile or simulate,
            is_quiet=no_pretty_print,
            save_csv=save_csv,
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
            functions=functions,
            fetch=fetch,
        )
    )
