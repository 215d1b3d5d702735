"""`pipelex doctor`: what keeps runs from working here, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Json, Server

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelex.app.finding import Finding


def doctor(
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Look at Temporal even when [temporal] is_enabled = false.")
    ] = False,
    server: Server = None,
    as_json: Json = False,
    fix: Annotated[bool, typer.Option("--fix", "-f", hidden=True)] = False,
) -> None:
    """Look at the configuration, the keys, the storage, the Temporal server and its task queues; say what is wrong.

    Each thing that is wrong comes with what to do about it; nothing is changed. Exits with 1 when there is an error,
    and with 0 when there are warnings at most.
    """
    import os

    from pipelex.cli import session

    if fix:
        session.say("doctor changes nothing: each fix is printed below the fault, for you to run")
    # Before `.env` is read into it, so that a key can be said to come from there.
    found = _found(temporal, server, frozenset(os.environ))
    _tell(found, as_json=as_json)
    if any(finding.state == "error" for finding in found):
        raise typer.Exit(1)


def _found(temporal: bool, server: str | None, process: "Collection[str]") -> "list[Finding]":
    import asyncio

    from pipelex.app.checks import findings, refused
    from pipelex.cli import session
    from pipelex.errors import PipelexError

    try:
        # The warnings of the configuration are findings, like the rest.
        loaded = session.load(server=server, warn=lambda _: None)
    except PipelexError as error:
        return refused(error)
    is_durable = temporal or server is not None or loaded.settings.temporal.is_enabled
    return asyncio.run(findings(loaded, process=process, is_durable=is_durable))


def _tell(found: "list[Finding]", *, as_json: bool) -> None:
    import json

    from pipelex.values.terminal import for_terminal

    if as_json:
        is_well = not any(finding.state == "error" for finding in found)
        listed = [finding.model_dump(exclude_none=True) for finding in found]
        print(json.dumps({"is_well": is_well, "findings": listed}, indent=2, ensure_ascii=False))
        return
    for finding in found:
        place = f"{finding.place}: " if finding.place else ""
        print(for_terminal(f"{finding.state:<8} {finding.check}: {place}{finding.message}"))
        if finding.fix:
            print(for_terminal("         fix: " + finding.fix.replace("\n", "\n              ")))
