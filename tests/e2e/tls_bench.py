"""A certificate authority of its own, and nginx in front of a Temporal server: TLS, client certificates, keys."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NAME = "temporal.test"
"""The name in the certificate of the server; it also has 127.0.0.1."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as files."""

    cert: Path
    key: Path


class Authority:
    """Issues certificates that last a day, as PEM files in a folder."""

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        own = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.cert = folder / "ca.pem"
        self.cert.write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str, *, is_server: bool = False, days: int = 1) -> Pair:
        """Make a certificate of that name, and write it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if is_server:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = self._builder(subject, key, days).add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        pair.cert.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
        )


class Proxy:
    """nginx in front of the server at `upstream`, on four ports.

    `tls`: TLS only. `mutual`: client certificates of the authority are demanded. `keyed`: the metadata must hold a
    key that is accepted, the first being `first`, and a namespace. `closed`: TLS, and the operator service is refused.
    """

    def __init__(self, folder: Path, upstream: str, authority: Authority, *, days: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._keys = ["first"]
        self._upstream = upstream
        self._authority = authority
        self._server = authority.issue(NAME, is_server=True, days=days)
        self.ports = {name: _free_port() for name in ("tls", "mutual", "keyed", "closed")}
        self._process: asyncio.subprocess.Process | None = None

    def address(self, name: str) -> str:
        """Where that kind of server listens."""
        return f"127.0.0.1:{self.ports[name]}"

    async def __aenter__(self) -> Proxy:
        self._process = await asyncio.create_subprocess_exec(*self._command(), stdin=asyncio.subprocess.DEVNULL)
        await self._until(lambda: all(_listens(port) for port in self.ports.values()), "nginx does not come up")
        return self

    async def __aexit__(self, *details: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        await self._process.wait()

    async def accept(self, *keys: str) -> None:
        """Accept these keys and no others, in connections that are open, too."""
        self._keys = list(keys)
        await self._reload()

    async def serve(self, authority: Authority) -> None:
        """Show a certificate of that authority from now on."""
        self._server = authority.issue(NAME, is_server=True)
        await self._reload()

    async def _reload(self) -> None:
        assert self._process is not None
        before = _children(self._process.pid)
        self._command()
        self._process.send_signal(signal.SIGHUP)
        pid = self._process.pid
        await self._until(lambda: not before & _children(pid), "nginx does not take its new configuration")

    async def _until(self, holds: Callable[[], bool], failure: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            log = self.folder / "error.log"
            assert time.monotonic() < deadline, f"{failure}: {log.read_text() if log.exists() else ''}"
            await asyncio.sleep(0.05)

    def _command(self) -> list[str]:
        """Write the configuration; the command that serves it."""
        file = self.folder / "nginx.conf"
        file.write_text(self._configuration())
        return [find_nginx(), "-e", str(self.folder / "error.log"), "-p", str(self.folder), "-c", str(file)]

    def _configuration(self) -> str:
        accepted = "\n".join(f'"Bearer {key}" 1;' for key in self._keys)
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        refuse = "if ($may_pass = 0) { rewrite ^ /refused last; }"
        return f"""
{"user root;" if os.getuid() == 0 else ""}
daemon off;
worker_processes 1;
worker_shutdown_timeout 1s;
pid {self.folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  {temporary}
  client_max_body_size 0;
  grpc_read_timeout 300s;
  grpc_send_timeout 300s;
  client_body_timeout 300s;
  ssl_certificate {self._server.cert};
  ssl_certificate_key {self._server.key};
  map $http_authorization $has_key {{ default 0; {accepted} }}
  map $has_key:$http_temporal_namespace $may_pass {{ default 0; "~^1:.+$" 1; }}
  {self._block("tls", self._pass())}
  {self._block("mutual", f"ssl_verify_client on; ssl_client_certificate {self._authority.cert};" + self._pass())}
  {self._block("keyed", _refuse("location /refused", 16) + self._pass(refuse))}
  {self._block("closed", _refuse("location /temporal.api.operatorservice.v1.OperatorService/", 7) + self._pass())}
}}
"""

    def _block(self, name: str, inside: str) -> str:
        return f"server {{ listen {self.address(name)} ssl http2; {inside} }}"

    def _pass(self, first: str = "") -> str:
        return f"location / {{ {first} grpc_pass grpc://{self._upstream}; }}"


def _refuse(location: str, status: int) -> str:
    return (
        f"{location} {{ default_type application/grpc; add_header grpc-status {status} always;"
        ' add_header grpc-message "not for you" always; return 204; }'
    )


def find_nginx() -> str:
    """The nginx program; a test that needs it fails without."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    assert found, "these tests need nginx, for TLS in front of a Temporal server. hint: apt-get install nginx-light"
    return found


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


def _children(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}
