"""`pipelex codec-server`: decode the payloads of runs for the Web UI and the `temporal` CLI."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelex.cli.flags import Server

if TYPE_CHECKING:
    from pipelex.config.load import Loaded

ORIGINS = ("http://localhost:8233", "http://127.0.0.1:8233", "http://localhost:8080", "http://127.0.0.1:8080")
"""Where the Web UI is by default: that of the development server, and that of the server's Docker images."""


def codec_server(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8081,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--cors-origin", metavar="URL", help="Web UI that may ask; repeatable. Default: those of this machine."
        ),
    ] = None,
    auth_token_env: Annotated[
        str | None,
        typer.Option(
            "--auth-token-env", metavar="VARIABLE", help="Environment variable with the token that requests must bear."
        ),
    ] = None,
    server: Server = None,
) -> None:
    """Decrypt, decompress and fetch payloads for the Web UI and the temporal CLI, until SIGTERM or Ctrl-C.

    It needs the [temporal.payloads] and the keys of the workers. Without a token it only serves this machine.
    """
    import asyncio

    from pipelex.cli import session

    asyncio.run(_serve(session.load(server=server), host, port, cors_origin, auth_token_env))


async def _serve(loaded: "Loaded", host: str, port: int, origins: list[str] | None, auth_token_env: str | None) -> None:
    import asyncio

    from pipelex.app import Runtime
    from pipelex.app.durable import need_sdk
    from pipelex.cli import session

    need_sdk()
    from pipelex.errors import CredentialError
    from pipelex.temporal.codec_server import CodecServer
    from pipelex.temporal.converter import check_store, converter_for
    from pipelex.temporal.worker_logs import log_on_stderr

    token = loaded.environ.get(auth_token_env, "").strip() if auth_token_env else None
    if token == "":
        raise CredentialError(
            f"the token of the codec server is needed, and {auth_token_env} is not set or empty",
            hint=f"export {auth_token_env}=...  or leave --auth-token-env out to serve this machine only",
        )
    log_on_stderr(loaded.settings.temporal.temporal_config.temporal_log_config, "text")
    async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
        ui, namespace = runtime.temporal.ui(), runtime.temporal.profile().namespace
    payloads = loaded.settings.temporal.payloads.below(loaded.settings.root)
    allowed = origins or [*ORIGINS, *([ui] if ui else [])]
    serving = CodecServer(
        lambda name: converter_for(payloads, payloads.path, environ=loaded.environ, namespace=name),
        namespace=namespace,
        origins=allowed,
        host=host,
        port=port,
        token=token,
    )
    stop = asyncio.Event()
    with session.signals_to(stop):
        await check_store(converter_for(payloads, payloads.path, environ=loaded.environ, namespace=namespace))
        async with serving:
            session.say(f"codec server ready: {serving.address}")
            session.say(f"pages that may ask: {', '.join(dict.fromkeys(allowed))}")
            await stop.wait()
    session.say("codec server stopped")
