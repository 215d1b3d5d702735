"""Set-ups that are broken on purpose: `pipelex doctor` names each fault with what mends it, and exits with 1."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from pipelex.temporal.namespace import list_search_attributes

Cli = Callable[..., Any]
SERVER = "[temporal.temporal_config.temporal_server_configs.local]\n"
S3 = """
[storage]
method = "s3"
[storage.s3]
bucket_name = "blobs"
region = "eu-west-3"
endpoint = "{endpoint}"
"""


@dataclass(frozen=True)
class Fault:
    """One broken set-up: what is written, what is in the environment, what is called, and what must be said."""

    check: str
    says: str
    fix: str
    settings: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    place: str | None = None


FAULTS = {
    "settings that are not TOML": Fault(
        "configuration",
        "not valid TOML: ",
        "",
        settings="[temporal\nis_enabled = true\n",
        place=".pipelex/pipelex.toml:1:10",
    ),
    "an unknown key": Fault(
        "configuration",
        "unknown key 'is_enabld' in [temporal]",
        "did you mean 'is_enabled'?",
        settings="[temporal]\nis_enabld = true\n",
        place=".pipelex/pipelex.toml:2:1",
    ),
    "a value of the wrong kind": Fault(
        "configuration",
        "storage.max_file_bytes: should be greater than 0 (it is 0)",
        "correct .pipelex/pipelex.toml:2:1",
        settings="[storage]\nmax_file_bytes = 0\n",
        place=".pipelex/pipelex.toml:2:1",
    ),
    "an unknown environment": Fault(
        "configuration",
        "PIPELEX_ENV is 'production'; it may be local, dev, staging, prod",
        "export one of these, or unset it: dev is what holds then",
        environ={"PIPELEX_ENV": "production"},
        place="environment variable PIPELEX_ENV",
    ),
    "a variable that the settings need": Fault(
        "configuration",
        "storage.local_storage_path needs the environment variable BLOBS, which is not set",
        "export BLOBS=…, or add it to .env",
        settings='[storage]\nlocal_storage_path = "${BLOBS}"\n',
        place=".pipelex/pipelex.toml:2:1",
    ),
    "a .env that is no text": Fault(
        "configuration",
        ".env cannot be read: it is not UTF-8 text",
        "make it readable for this user, a text of NAME=value lines, or remove it",
        files={".env": "KEY=é".encode("utf-16")},
    ),
    "backends that are not TOML": Fault(
        "configuration",
        "this is not valid TOML: invalid value",
        "a value is missing here, or a text without quotes",
        files={".pipelex/inference/backends.toml": b"[openai]\nenabled = tru\n"},
        place=".pipelex/inference/backends.toml:2:11",
    ),
    "a backend that is no table": Fault(
        "configuration",
        "expected a table, found 'on'",
        "correct .pipelex/inference/backends.toml:2:1",
        files={".pipelex/inference/backends.toml": b"# ours\nopenai = 'on'\n"},
        place=".pipelex/inference/backends.toml:2:1",
    ),
    "a value of a backend that is of the wrong kind": Fault(
        "configuration",
        "endpoint is a text",
        "correct .pipelex/inference/backends.toml:3:1",
        files={".pipelex/inference/backends.toml": b"[openai]\nenabled = true\nendpoint = 8\n"},
        place=".pipelex/inference/backends.toml:3:1",
    ),
    "a routing profile that is not there": Fault(
        "configuration",
        "the active routing profile 'mine' is not defined",
        "did you mean 'mien'?",
        files={".pipelex/inference/routing_profiles.toml": b"active = 'mine'\n[profiles.mien]\n"},
        place=".pipelex/inference/routing_profiles.toml:1:1",
    ),
    "a table of a deck that is misspelled": Fault(
        "configuration",
        "unknown key 'preset'",
        "did you mean 'presets'?",
        files={".pipelex/inference/deck/x.toml": b'[llm.aliases]\na = "b"\n\n[llm.preset."x.y"]\nmodel = "z"\n'},
        place=".pipelex/inference/deck/x.toml:4:6",
    ),
    "a default model that is not known": Fault(
        "models",
        "there is no alias 'defualt-small'",
        "did you mean 'default-small'",
        files={
            ".pipelex/inference/deck/x.toml": b'[llm.choice_overrides]\nfor_text = "@defualt-small"\n',
        },
    ),
    "no key for the default model": Fault(
        "models",
        "needs the environment variable OPENAI_API_KEY, which is missing here",
        "export OPENAI_API_KEY=...  or put it in .env; or run with --simulate, which needs no key."
        " Any of these keys does as well: ANTHROPIC_API_KEY, GOOGLE_API_KEY,",
        environ={"OPENAI_API_KEY": ""},
    ),
    "storage that cannot be written": Fault(
        "storage",
        "cannot be written under ",
        "local_storage_path of [storage]",
        settings='[storage]\nlocal_storage_path = "taken/blobs"\n',
        files={"taken": b""},
    ),
    "an unknown server": Fault(
        "configuration",
        "there is no Temporal server profile 'prd'. Did you mean 'prod'?",
        "known profiles: local, prod; add [temporal.temporal_config.temporal_server_configs.prd]",
        settings=SERVER.replace("local", "prod"),
        arguments=("--server", "prd"),
    ),
    "a server that is not there": Fault(
        "temporal",
        "no Temporal server answers at 127.0.0.1:1",
        "start a server on this machine with `pipelex dev`, or correct target_host",
        settings=f'{SERVER}target_host = "127.0.0.1:1"\n',
        arguments=("--temporal",),
    ),
    "a key of the server that is not set": Fault(
        "temporal",
        "the Temporal server 127.0.0.1:1 needs a key, and THE_KEY is not set",
        "export THE_KEY=… in the environment of this process, or put it in .env",
        settings=f'{SERVER}target_host = "127.0.0.1:1"\napi_key_method = "env_var"\napi_key_id = "THE_KEY"\n',
        arguments=("--temporal",),
    ),
    "a certificate that is not there": Fault(
        "temporal",
        "the file of server_root_ca_cert cannot be read: No such file or directory",
        "paths are absolute, or start at the project root; the file must be readable for this user",
        settings=f'{SERVER}target_host = "127.0.0.1:1"\nserver_root_ca_cert = "tls/ca.pem"\n',
        arguments=("--temporal",),
    ),
    "a certificate that is none": Fault(
        "temporal",
        "the file of server_root_ca_cert is not a certificate in PEM form",
        "such a file has a line -----BEGIN …",
        settings=f'{SERVER}target_host = "127.0.0.1:1"\nserver_root_ca_cert = "ca.pem"\n',
        files={"ca.pem": b"0\x82"},
        arguments=("--temporal",),
    ),
    "a scope with an unknown activity": Fault(
        "workers",
        "there is no activity 'act_llm_gen_txt'. Did you mean 'act_llm_gen_text'?",
        "",
        settings=f'{SERVER}target_host = "127.0.0.1:1"\n[temporal.worker_scopes.scopes.ours]\n'
        'required_activities = ["act_llm_gen_txt"]\n',
        arguments=("--temporal",),
    ),
}


def errors(done: Any) -> list[dict[str, str]]:
    """The errors of a `--json` answer; whatever is not well has a fix."""
    assert (done.code, done.err) == (1, "")
    answer = json.loads(done.out)
    assert answer["is_well"] is False
    assert all(finding.get("fix") for finding in answer["findings"] if finding["state"] != "ok"), done.out
    return [finding for finding in answer["findings"] if finding["state"] == "error"]


def configure(work: Path, text: str) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(text)


@pytest.fixture(autouse=True)
def otherwise_well(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the default model, so that the fault is the only one."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_fault_is_named_with_its_fix(fault: Fault, cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in fault.files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    for name, value in fault.environ.items():
        monkeypatch.setenv(name, value)
    configure(work, fault.settings)
    (found,) = [
        finding for finding in errors(cli("doctor", "--json", *fault.arguments)) if finding["check"] == fault.check
    ]
    assert fault.says in found["message"]
    assert fault.fix in found["fix"]
    assert fault.place in (None, found.get("place"))
    shown = cli("doctor", *fault.arguments)
    assert shown.code == 1
    assert re.search(rf"^error +{fault.check}: .*\n +fix: ", shown.out, re.MULTILINE), shown.out


def test_every_mistake_of_the_settings_is_a_finding(cli: Cli, work: Path) -> None:
    configure(work, "[temporal]\nis_enabld = true\n[storge]\n[storage]\nmethod = 's4'\n")
    places = [finding["place"] for finding in errors(cli("doctor", "--json"))]
    assert places == [f".pipelex/pipelex.toml:{place}" for place in ("2:1", "3:2", "5:1")]


# --- Stores -----------------------------------------------------------------------------------------------------------


def test_a_bucket_that_cannot_be_reached(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    configure(work, S3.format(endpoint="http://127.0.0.1:1"))
    done = cli("doctor", "--json")
    (found,) = errors(done)
    assert found["check"] == "storage"
    assert found["message"].startswith("s3://blobs cannot be ")
    assert found["fix"] == "check that the store is up, and endpoint, region and credentials of [storage.s3]"
    assert "canary" not in done.out


def test_a_store_that_does_not_answer_does_not_hold_up_the_rest(
    cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelex.app.checks._PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure(work, S3.format(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        done = cli("doctor", "--json")
    (found,) = errors(done)
    assert (found["check"], found["message"]) == ("storage", "no answer within 0.5 s")
    assert json.loads(done.out)["findings"][-1]["check"] == "temporal"


def test_an_extra_that_the_storage_needs(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["obstore", *(name for name in sys.modules if name.startswith("obstore."))]:
        monkeypatch.setitem(sys.modules, name, None)
    configure(work, S3.format(endpoint="http://127.0.0.1:1"))
    (found,) = errors(cli("doctor", "--json"))
    assert found["message"] == "s3://blobs cannot be reached: obstore is not installed"
    assert found["fix"] == 'pip install "pipelex[s3]"'


# --- Extras -----------------------------------------------------------------------------------------------------------


class Without(DistributionFinder):
    """Finds what is installed, but for one distribution."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, *arguments: Any, **options: Any) -> None:
        """Modules are found by the others."""

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        wanted = context or DistributionFinder.Context()
        return iter(() if wanted.name == self.name else PathFinder.find_distributions(wanted))


def test_an_extra_that_the_default_model_needs(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    silent: list[MetaPathFinder] = [finder for finder in sys.meta_path if finder is not PathFinder]
    monkeypatch.setattr(sys, "meta_path", [*silent, Imports(), Without("anthropic")])
    (found,) = errors(cli("doctor", "--json"))
    assert found["message"].endswith(
        "which is called through the extra 'anthropic' of pipelex: it is not installed here"
    )
    assert found["fix"] == 'pip install "pipelex[anthropic]"'


class Imports:
    """Finds modules on the path, and no distribution."""

    find_spec = staticmethod(PathFinder.find_spec)


def test_durable_runs_without_the_sdk(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "temporalio", None)
    configure(work, "[temporal]\nis_enabled = true\n")
    (found,) = errors(cli("doctor", "--json"))
    assert found["message"] == "durable runs need the Temporal SDK, which is not installed"
    assert found["fix"].startswith('pip install "pipelex[temporal]"')


# --- Temporal ---------------------------------------------------------------------------------------------------------


@contextmanager
def out_of_date(folder: Path) -> Iterator[str]:
    """The address of a server whose certificate, `ca.pem`, was valid until yesterday."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=9)).not_valid_after(
        now - datetime.timedelta(days=1)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (folder / "ca.pem").write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"localhost:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_a_certificate_out_of_date(cli: Cli, work: Path) -> None:
    with out_of_date(work) as address:
        configure(work, f'{SERVER}target_host = "{address}"\nserver_root_ca_cert = "ca.pem"\n')
        (found,) = errors(cli("doctor", "--temporal", "--json"))
    assert found["check"] == "temporal"
    assert found["message"] == f"the certificate of the server at {address} is not valid at this time"
    assert found["fix"] == "give the server a certificate that is valid now, or set the clock of this machine"


@pytest.fixture
def address(client: Client) -> str:
    return client.service_client.config.target_host


@pytest.mark.server
def test_a_namespace_that_is_not_there(address: str, cli: Cli, work: Path) -> None:
    configure(work, f'{SERVER}target_host = "{address}"\nnamespace = "nowhere"\n')
    (found,) = errors(cli("doctor", "--temporal", "--json"))
    assert found["message"] == f"the Temporal server at {address} has no namespace 'nowhere'"
    assert found["fix"] == f"create it: temporal operator namespace create --address {address} --namespace nowhere"


@pytest.mark.server
def test_a_password_in_an_address_is_not_shown(address: str, cli: Cli, work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"localhost:{taken.getsockname()[1]}"
    answers = ("default", address, "answers"), ("nowhere", address, "has no namespace")
    for namespace, server, said in (*answers, ("default", closed, "no Temporal server")):
        configure(work, f'{SERVER}target_host = "ada:pw-1843@{server}"\nnamespace = "{namespace}"\n')
        done = cli("doctor", "--temporal")
        assert said in done.out
        assert server in done.out
        assert "ada" not in done.out + done.err
        assert "pw-1843" not in done.out + done.err


@pytest.mark.server
def test_tls_with_a_server_that_speaks_none(address: str, cli: Cli, work: Path) -> None:
    configure(work, f'{SERVER}target_host = "{address}"\ntls = true\n')
    (found,) = errors(cli("doctor", "--temporal", "--json"))
    assert found["message"].startswith(f"the server at {address} does not speak TLS, and was spoken to with TLS")
    assert "set tls = false" in found["fix"]


@pytest.fixture
async def bare(client: Client) -> str:
    """A namespace without search attributes, on the server of the session."""
    name = f"bare-{time.monotonic_ns()}"
    service = client.workflow_service
    await service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400))
    )
    there = await Client.connect(client.service_client.config.target_host, namespace=name)
    async with asyncio.timeout(60):
        while True:
            with suppress(RPCError):
                await list_search_attributes(there)
                return name
            await asyncio.sleep(0.1)


@pytest.mark.server
def test_search_attributes_and_pollers_that_are_not_there(bare: str, address: str, cli: Cli, work: Path) -> None:
    configure(
        work,
        f'''{SERVER}target_host = "{address}"
namespace = "{bare}"
[temporal.search_attributes]
enabled = true
attributes = ["UserId"]
[temporal.worker_config.activity_queues.act_llm_gen_text]
default = "llm_q"
[temporal.queue_options.llm_q]
''',
    )
    labels, workflows, calls = errors(cli("doctor", "--temporal", "--json"))
    assert labels["message"] == f"the namespace {bare!r} lacks the search attributes UserId"
    assert labels["fix"].startswith("run `pipelex setup-temporal-namespace`")
    assert workflows["message"] == "no worker polls 'temporal_task_queue' for workflows"
    assert workflows["fix"] == "pipelex worker --task-queue temporal_task_queue --scope full"
    assert calls["message"] == "no worker polls 'llm_q' for activities: act_llm_gen_text"
    assert calls["fix"] == "pipelex worker --task-queue llm_q --scope runner-llm"


@pytest.mark.server
def test_a_store_of_payloads_that_cannot_be_written(address: str, cli: Cli, work: Path) -> None:
    (work / "taken").write_text("")
    configure(work, f'{SERVER}target_host = "{address}"\n[temporal.payloads]\npath = "taken"\n')
    found = errors(cli("doctor", "--temporal", "--json"))[0]
    assert found["check"] == "temporal"
    assert "cannot be written under" in found["message"]
    assert "`path` of [temporal.payloads]" in found["fix"]
