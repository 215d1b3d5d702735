"""`pipelex doctor`: what keeps runs from working here, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Json, Server

if TYPE_CHECKING:
    from pipelex.app.checks import Finding
    from pipelex.errors import PipelexError


def doctor(
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Look at Temporal even when [temporal] is_enabled = false.")
    ] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Look at the configuration, the storage, the Temporal server and its task queues, and say what is wrong."""
    import asyncio

    from pipelex.app.checks import findings
    from pipelex.cli import session
    from pipelex.errors import PipelexError

    try:
        # The warnings of the configuration are findings, like the rest.
        loaded = session.load(server=server, warn=lambda _: None)
    except PipelexError as error:
        _tell([_refused(error)], as_json=as_json)
        raise typer.Exit(1) from None
    is_durable = temporal or server is not None or loaded.settings.temporal.is_enabled
    found = asyncio.run(findings(loaded, is_durable=is_durable))
    _tell(found, as_json=as_json)
    if any(finding.state == "error" for finding in found):
        raise typer.Exit(1)


def _refused(error: "PipelexError") -> "Finding":
    """Settings that do not load: every problem with its place, when there are several to tell."""
    from pipelex.app.checks import Finding
    from pipelex.errors import ConfigError

    if isinstance(error, ConfigError) and error.found:
        return Finding(check="configuration", state="error", message=error.render())
    return Finding.of("configuration", error)


def _tell(found: "list[Finding]", *, as_json: bool) -> None:
    import json

    from pipelex.values.terminal import for_terminal

    if as_json:
        is_well = not any(finding.state == "error" for finding in found)
        listed = [finding.model_dump(exclude_none=True) for finding in found]
        print(json.dumps({"is_well": is_well, "findings": listed}, indent=2, ensure_ascii=False))
        return
    for finding in found:
        print(for_terminal(f"{finding.state:<8} {finding.check}: {finding.message}"))
        if finding.fix:
            print(for_terminal("         fix: " + finding.fix.replace("\n", "\n              ")))
