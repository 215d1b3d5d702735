"""`pipelex run method`: run a package that is installed, by its name or address."""

from pathlib import Path
from typing import Annotated

import typer

from pipelex.cli import run
from pipelex.cli.flags import Fetch, Functions, Json, LibraryDirs, Server
from pipelex.cli.run_end import Kept
from pipelex.cli.run_flags import (
    Cache,
    Costs,
    Detach,
    DryRun,
    Durable,
    DynamicOutput,
    Graph,
    Inputs,
    Lane,
    MemoryPath,
    MockInputs,
    NoPrettyPrint,
    OutputDir,
    PipeFlag,
    Profile,
    Rehearsable,
    SaveCsv,
    SaveMain,
    SaveMemory,
    Simulate,
    WithMemory,
)

app = run.app


@app.command("method", cls=Rehearsable)
def method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of an installed method, or address of a package.")],
    pipe: PipeFlag = None,
    inputs: Inputs = None,
    output_dir: OutputDir = None,
    dry_run: DryRun = False,
    mock_inputs: MockInputs = False,
    temporal: Durable = None,
    server: Server = None,
    library_dir: LibraryDirs = None,
    json: Json = False,
    with_memory: WithMemory = False,
    simulate: Simulate = False,
    profile: Profile = None,
    no_pretty_print: NoPrettyPrint = False,
    save_csv: SaveCsv = None,
    save_main_stuff: SaveMain = True,
    save_working_memory: SaveMemory = True,
    working_memory_path: MemoryPath = None,
    dynamic_output_concept: DynamicOutput = None,
    lane: Lane = None,
    costs: Costs = True,
    graph: Graph = True,
    cache: Cache = None,
    detach: Detach = False,
    functions: Functions = None,
    fetch: Fetch = False,
) -> None:
    """Run the main pipe of an installed method, or another of its pipes.

    Methods are installed in .mthds/methods/ of the project, else in ~/.mthds/methods/. An address is also looked for
    among the packages already fetched.
    """
    run.start(
        run.Wish(
            target=installed(name, fetch=fetch),
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
            kept=Kept(save_main_stuff, save_working_memory, working_memory_path),
            dynamic_output=dynamic_output_concept,
            lane=lane,
            costs=costs,
            graph=graph,
            cache=cache,
            detach=detach,
            functions=functions,
            fetch=fetch,
        )
    )


def installed(name: str, *, fetch: bool = False) -> Path:
    """The directory of a method that is installed or, by its address, has been fetched. Raises InputError.

    What the settings warn about is not said: whoever opens the method says it.
    """
    from pipelex.config.load import load_settings
    from pipelex.storage.package_supply import Supply, near

    loaded = load_settings()
    supply = Supply.of(loaded.settings.packages, loaded.settings.root, loaded.environ, may_fetch=fetch)
    return near(supply.method(name))
