"""`pipelex setup-temporal-namespace`: register the search attributes that runs are labelled with."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Json, Server

if TYPE_CHECKING:
    from pipelex.config.load import Loaded


def setup_temporal_namespace(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands that would do it by hand.")] = False,
    server: Server = None,
    json: Json = False,
) -> None:
    """Register the search attributes of runs in the Temporal namespace; those already there are left alone."""
    import asyncio

    from pipelex.cli import session

    loaded = session.load(server=server)
    attributes = loaded.settings.temporal.search_attributes
    # Asked for by name, the set-up has to look at the server named, whether or not there is something to do.
    loaded.settings.temporal.server_profile()
    if not attributes.enabled or not attributes.attributes:
        session.say("search attributes are off: nothing to register (enabled under [temporal.search_attributes])")
        if json:
            session.print_json({"registered": [], "already_registered": []})
    elif dry_run:
        _print_commands(loaded, as_json=json)
    else:
        asyncio.run(_register(loaded, as_json=json))


def _print_commands(loaded: "Loaded", *, as_json: bool) -> None:
    from pipelex.app import Runtime
    from pipelex.cli.session import print_json
    from pipelex.temporal.namespace import runbook

    server = Runtime.open(loaded.settings, environ=loaded.environ).temporal.profile()
    text = runbook(loaded.settings.temporal.search_attributes.attributes, server)
    if as_json:
        print_json({"runbook": text})
    else:
        print(text)


async def _register(loaded: "Loaded", *, as_json: bool) -> None:
    from pipelex.app import Runtime
    from pipelex.cli.session import print_json

    async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
        client = await runtime.temporal.client()
        from pipelex.temporal.namespace import register

        names = loaded.settings.temporal.search_attributes.attributes
        done = await register(client, names, runtime.temporal.profile())
    if as_json:
        print_json({"registered": list(done.added), "already_registered": list(done.already)})
        return
    if done.already:
        print(f"already registered: {', '.join(done.already)}")
    print(f"registered: {', '.join(done.added) or 'nothing new'}")
