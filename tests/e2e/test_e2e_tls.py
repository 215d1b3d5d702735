"""The real commands and connections through TLS, client certificates and keys, to a real server behind nginx."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e_project import NOTE, Project, Script, free_port, new_namespace, project, steps
from inline_snapshot import snapshot
from tls_bench import NAME, Authority, Pair, Proxy

from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.errors import ConfigError, UnreachableError
from pipelex.temporal.connection import connect
from pipelex.temporal.settings import ServerProfile, TemporalSettings

pytestmark = pytest.mark.server
SETTINGS = TemporalSettings()
KEYED = {"api_key_method": "env_var", "api_key_id": "THE_KEY"}


@dataclass(frozen=True)
class Bench:
    """nginx before the server of the session, two authorities, and a certificate of each."""

    proxy: Proxy
    ours: Authority
    theirs: Authority
    client: Pair
    stranger: Pair

    def profile(self, kind: str, **changes: Any) -> ServerProfile:
        given = {"target_host": self.proxy.address(kind), "server_root_ca_cert": str(self.ours.cert), **changes}
        return ServerProfile.model_validate(given)

    @property
    def certificate(self) -> dict[str, str]:
        return {"client_cert": str(self.client.cert), "client_private_key": str(self.client.key)}


@pytest.fixture(scope="module")
async def bench(address: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(folder / "ours"), Authority(folder / "theirs", "another CA")
    async with Proxy(folder / "nginx", address, ours) as proxy:
        yield Bench(proxy, ours, theirs, ours.issue("client"), theirs.issue("client"))


async def refused(profile: ServerProfile, folder: Path, environment: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await connect(profile, payload_root=folder, settings=SETTINGS, environment=environment or {})
    return caught.value


async def test_what_fits_connects(bench: Bench, tmp_path: Path) -> None:
    by_name = bench.profile("tls", server_name=NAME)
    for profile in (bench.profile("tls"), by_name, bench.profile("mutual", **bench.certificate)):
        await connect(profile, payload_root=tmp_path, settings=SETTINGS)
    await connect(
        bench.profile("keyed", **KEYED), payload_root=tmp_path, settings=SETTINGS, environment={"THE_KEY": "first"}
    )


async def test_a_profile_of_temporal_toml_connects(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f"""
[profile.prod]
address = "{bench.proxy.address("keyed")}"
namespace = "default"
api_key = "first"
[profile.prod.tls]
server_ca_cert_path = "{bench.ours.cert}"
""")
    environment = {"TEMPORAL_CONFIG_FILE": str(file)}
    prod = ServerProfile(profile="prod")
    client = await connect(prod, payload_root=tmp_path, settings=SETTINGS, environment=environment)
    assert client.namespace == "default"
    error = await refused(ServerProfile(profile="prod", namespace="nope"), tmp_path, environment)
    assert "no namespace 'nope'" in error.message
    error = await refused(prod, tmp_path, environment | {"TEMPORAL_API_KEY": "canary"})
    assert "refuses the key of the profile 'prod' of temporal.toml" in error.message
    assert "canary" not in error.render()


async def test_a_ca_that_did_not_sign(bench: Bench, tmp_path: Path) -> None:
    error = await refused(bench.profile("tls", server_root_ca_cert=str(bench.theirs.cert)), tmp_path)
    assert error.message.endswith(f"is not signed by {bench.theirs.cert}")
    error = await refused(bench.profile("tls", server_root_ca_cert="", tls=True), tmp_path)
    assert error.render().replace(bench.proxy.address("tls"), "ADDRESS") == snapshot("""\
error: the certificate of the server at ADDRESS is not signed by a CA that this machine trusts [config-error]
  hint: set server_root_ca_cert of the selected server under [temporal.temporal_config] to the file of the CA that did\
""")


async def test_a_certificate_for_another_name(bench: Bench, tmp_path: Path) -> None:
    error = await refused(bench.profile("tls", server_name="other.test"), tmp_path)
    assert error.render().replace(bench.proxy.address("tls"), "ADDRESS") == snapshot("""\
error: the certificate of the server at ADDRESS is not for other.test, only for temporal.test, 127.0.0.1 [config-error]
  hint: correct target_host, or set server_name of the selected server under [temporal.temporal_config] to one of them\
""")


async def test_without_a_client_certificate(bench: Bench, tmp_path: Path) -> None:
    error = await refused(bench.profile("mutual"), tmp_path)
    assert error.render().replace(bench.proxy.address("mutual"), "ADDRESS") == snapshot("""\
error: the server at ADDRESS demands a client certificate, and none is set [config-error]
  hint: set client_cert and client_private_key of the selected server under [temporal.temporal_config]\
""")


async def test_a_client_certificate_of_another_authority(bench: Bench, tmp_path: Path) -> None:
    stranger = {"client_cert": str(bench.stranger.cert), "client_private_key": str(bench.stranger.key)}
    error = await refused(bench.profile("mutual", **stranger), tmp_path)
    assert "refuses the client certificate" in error.message
    assert str(bench.stranger.cert) in (error.hint or "")


async def test_a_key_file_of_another_certificate(bench: Bench, tmp_path: Path) -> None:
    mixed = bench.certificate | {"client_private_key": str(bench.stranger.key)}
    error = await refused(bench.profile("mutual", **mixed), tmp_path)
    assert error.message == "client_private_key is not the key of client_cert"
    assert error.where == str(bench.stranger.key)


async def test_a_private_key_that_is_damaged(bench: Bench, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.key"
    damaged.write_text("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n")
    error = await refused(bench.profile("mutual", **bench.certificate | {"client_private_key": str(damaged)}), tmp_path)
    assert "cannot be read" in error.message
    assert "canary" not in f"{error.render()} {error.__cause__!r}"


@contextmanager
def strict_server(bench: Bench) -> Iterator[str]:
    """Something that demands a client certificate in the handshake itself, as a Temporal server does."""
    pair = bench.ours.issue("strict", is_server=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(bench.ours.cert))
    context.load_cert_chain(pair.cert, pair.key)
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


async def test_a_handshake_that_demands_a_client_certificate(bench: Bench, tmp_path: Path) -> None:
    with strict_server(bench) as strict:
        error = await refused(bench.profile("mutual", target_host=strict), tmp_path)
        assert error.message == f"the server at {strict} demands a client certificate, and none is set"
        stranger = {"client_cert": str(bench.stranger.cert), "client_private_key": str(bench.stranger.key)}
        error = await refused(bench.profile("mutual", target_host=strict, **stranger), tmp_path)
        assert error.message == f"the server at {strict} refuses the client certificate"


async def test_a_server_certificate_out_of_date(bench: Bench, address: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path / "nginx", address, bench.ours, days=-1) as proxy:
        error = await refused(bench.profile("tls", target_host=proxy.address("tls")), tmp_path)
    assert error.message.endswith("is not valid at this time")


async def test_tls_to_a_server_without_and_the_reverse(bench: Bench, address: str, tmp_path: Path) -> None:
    error = await refused(ServerProfile(target_host=address, tls=True), tmp_path)
    assert isinstance(error, UnreachableError)
    assert error.render().replace(address, "ADDRESS") == snapshot("""\
error: the server at ADDRESS does not speak TLS, and was spoken to with TLS, because tls is true [unreachable]
  hint: set tls = false, or correct target_host, of the selected server under [temporal.temporal_config]\
""")
    reverse = await refused(ServerProfile(target_host=bench.proxy.address("tls")), tmp_path)
    assert isinstance(reverse, UnreachableError)
    assert reverse.render().replace(bench.proxy.address("tls"), "ADDRESS") == snapshot("""\
error: the server at ADDRESS speaks TLS, and was spoken to without [unreachable]
  hint: set tls = true, and server_root_ca_cert if need be, of the selected server under [temporal.temporal_config]\
""")


async def test_a_key_that_is_refused_is_not_shown(bench: Bench, tmp_path: Path) -> None:
    error = await refused(bench.profile("keyed", **KEYED), tmp_path, {"THE_KEY": "canary"})
    assert "canary" not in f"{error.render()} {error.__cause__!r}"
    assert error.render().replace(bench.proxy.address("keyed"), "ADDRESS") == snapshot("""\
error: the Temporal server at ADDRESS refuses the key in THE_KEY for the namespace 'default' [config-error]
  hint: check namespace, api_key_method and api_key_id of the selected server under [temporal.temporal_config]\
""")
    error = await refused(bench.profile("keyed"), tmp_path)
    assert "refuses whoever has no key" in error.message


def settings_of(profile: ServerProfile, queue: str, more: str = "") -> str:
    """The configuration of a project that has this server as `prod`, and none under `local`."""
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in profile.model_dump(exclude_unset=True).items())
    return f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "127.0.0.1:1"
[temporal.temporal_config.temporal_server_configs.prod]
{lines}
[temporal.worker_config]
default_task_queue = "{queue}"
{more}
"""


async def runs_once(work: Project) -> None:
    run = await work.method(*NOTE, "--json", "--server", "prod")
    assert await run.ended() == 0, run.err
    assert json.loads(run.out) == {"text": "ok"}


async def test_commands_with_client_certificates_at_paths_of_the_project(bench: Bench, tmp_path: Path) -> None:
    async with project(tmp_path, Script()) as work:
        work.write("tls/ca.pem", bench.ours.cert.read_text())
        work.write("tls/client.pem", bench.client.cert.read_text())
        work.write("tls/client.key", bench.client.key.read_text())
        relative = {"client_cert": "tls/client.pem", "client_private_key": "tls/client.key"}
        profile = bench.profile("mutual", server_root_ca_cert="tls/ca.pem", **relative)
        work.configure(settings_of(profile, tmp_path.name))
        work.write("method.mthds", steps(2))
        worker = await work.start("worker", "--server", "prod")
        await worker.says("worker ready")
        await runs_once(work)


async def test_every_command_explains_a_wrong_ca_and_fails(bench: Bench, tmp_path: Path) -> None:
    async with project(tmp_path) as work:
        profile = bench.profile("tls", server_root_ca_cert=str(bench.theirs.cert))
        work.configure(settings_of(profile, "any", "[temporal.search_attributes]\nenabled = true"))
        work.write("method.mthds", steps(1))
        commands = (
            ("run", "bundle", "method.mthds", "--temporal", *NOTE),
            ("worker",),
            ("setup-temporal-namespace",),
        )
        for ended in await asyncio.gather(*(work.run(*command, "--server", "prod") for command in commands)):
            assert ended.process.returncode == 1
            assert f"is not signed by {bench.theirs.cert}" in ended.err
            assert "hint: set server_root_ca_cert" in ended.err
            assert "Traceback" not in ended.err


LABELLED = "[temporal.search_attributes]\nenabled = true\nattributes = ['UserId', 'PipelexTokens']"


async def test_the_namespace_is_set_up_through_tls(bench: Bench, address: str, tmp_path: Path) -> None:
    await new_namespace(address, "bare")
    async with project(tmp_path, Script()) as work:
        profile = bench.profile("mutual", namespace="bare", **bench.certificate)
        work.configure(settings_of(profile, tmp_path.name, LABELLED))
        setup = ("setup-temporal-namespace", "--server", "prod")
        worker = await work.run("worker", "--server", "prod")
        assert worker.process.returncode == 1
        assert "the namespace 'bare' lacks the search attributes UserId, PipelexTokens" in worker.err
        dry = await work.run(*setup, "--dry-run")
        by_hand = (
            f"temporal operator search-attribute create --address {profile.target_host} --namespace bare"
            f" --tls-ca-path {bench.ours.cert} --tls-cert-path {bench.client.cert} --tls-key-path {bench.client.key}"
            " --name UserId --type Keyword --name PipelexTokens --type Int\n"
        )
        assert dry.out.startswith(by_hand)
        assert by_hand in worker.err
        assert (await work.run(*setup)).out == "registered: UserId, PipelexTokens\n"
        again = await work.run(*setup)
        assert again.out == "already registered: UserId, PipelexTokens\nregistered: nothing new\n"
        assert again.process.returncode == 0
        ready = await work.start("worker", "--server", "prod")
        await ready.says("worker ready")


async def test_an_operator_service_that_is_closed(bench: Bench, tmp_path: Path) -> None:
    async with project(tmp_path, Script()) as work:
        work.configure(settings_of(bench.profile("closed"), tmp_path.name, LABELLED))
        setup = await work.run("setup-temporal-namespace", "--server", "prod")
        assert setup.process.returncode == 1
        assert "may not change the search attributes of the namespace 'default'" in setup.err
        assert f"--tls-ca-path {bench.ours.cert} --name UserId --type Keyword" in setup.err
        assert "tcld namespace search-attributes add" in setup.err
        worker = await work.start("worker", "--server", "prod")
        await worker.says("worker ready")
        assert "search attributes could not be checked: PERMISSION_DENIED" in worker.err


async def test_a_key_is_replaced_while_a_worker_runs(bench: Bench, address: str, tmp_path: Path) -> None:
    key = tmp_path / "secret"
    key.write_text("first\n")
    async with Proxy(tmp_path / "nginx", address, bench.ours) as proxy, project(tmp_path / "here", Script()) as work:
        from_file = {"api_key_method": "secret_provider", "api_key_id": str(key)}
        profile = bench.profile("keyed", target_host=proxy.address("keyed"), **from_file)
        work.configure(settings_of(profile, tmp_path.name))
        work.write("method.mthds", steps(1))
        worker = await work.start("worker", "--server", "prod")
        await worker.says("worker ready")
        await runs_once(work)
        await proxy.accept("second")
        key.write_text("second\n")
        await worker.says("the key of the Temporal server was replaced")
        await runs_once(work)
        assert worker.process.returncode is None
        assert "first" not in worker.err
        assert "second" not in worker.err


async def test_a_submitter_takes_up_a_new_key_at_its_next_start(bench: Bench, address: str, tmp_path: Path) -> None:
    key = tmp_path / "secret"
    key.write_text("first")
    async with Proxy(tmp_path / "nginx", address, bench.ours) as proxy:
        target = {"target_host": proxy.address("keyed"), "server_root_ca_cert": str(bench.ours.cert)}
        async with runtime(tmp_path, target | {"api_key_method": "secret_provider", "api_key_id": str(key)}) as opened:
            client = await opened.temporal.client()
            await proxy.accept("second")
            key.write_text("second")
            assert await opened.temporal.client() is client
            assert await client.count_workflows() is not None
            key.unlink()
            assert await opened.temporal.client() is client


async def test_a_certificate_is_replaced_while_a_worker_runs(bench: Bench, address: str, tmp_path: Path) -> None:
    newer = Authority(tmp_path / "newer", "the next CA")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(bench.ours.cert.read_bytes())
    async with Proxy(tmp_path / "nginx", address, bench.ours) as proxy, project(tmp_path / "here", Script()) as work:
        profile = bench.profile("tls", target_host=proxy.address("tls"), server_root_ca_cert=str(ca))
        work.configure(settings_of(profile, tmp_path.name))
        work.write("method.mthds", steps(1))
        worker = await work.start("worker", "--server", "prod")
        await worker.says("worker ready")
        await runs_once(work)
        ca.write_text("half a file")
        await worker.says("the former key and certificates stay in use")
        await proxy.serve(newer)
        ca.write_bytes(newer.cert.read_bytes())
        await worker.says("connected to the Temporal server again")
        await runs_once(work)
        assert worker.process.returncode is None


def runtime(folder: Path, local: Mapping[str, str]) -> Runtime:
    """A program that submits runs to that server."""
    servers = {"temporal_server_configs": {"local": dict(local)}}
    home = {"HOME": str(folder)}
    loaded = load_settings(cwd=folder, environ=home, overrides={"temporal": {"temporal_config": servers}})
    return Runtime.open(loaded.settings, environ=home)


async def test_a_server_that_was_away_is_tried_again(address: str, tmp_path: Path) -> None:
    """What an API server does that starts before its Temporal server."""
    listens = f"127.0.0.1:{free_port()}"
    async with runtime(tmp_path, {"target_host": listens}) as opened:
        method = opened.load(steps(1))
        with pytest.raises(UnreachableError):
            await opened.start(None, {"note": "x"}, method=method, durable=True)
        host, _, port = listens.rpartition(":")
        async with await asyncio.start_server(passes_on(address), host, int(port)):
            run = await opened.start(None, {"note": "x"}, method=method, durable=True)
            first, second = await asyncio.gather(opened.temporal.client(), opened.temporal.client())
            assert first is second
            await run.cancel()


def passes_on(address: str) -> Any:
    """What a server on another port does with a connection: hand it on."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = address.rpartition(":")
        back, forth = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

    return serve
