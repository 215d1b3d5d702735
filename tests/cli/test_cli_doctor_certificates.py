"""`pipelex doctor` warns of certificates for a Temporal server before they expire."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipelex.app.certificates import valid_until

Cli = Callable[..., Any]
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = ec.generate_private_key(ec.SECP256R1())
# Nobody listens there: what expires is told all the same.
SETTINGS = """
[temporal.temporal_config.temporal_server_configs.local]
target_host = "127.0.0.1:1"
server_root_ca_cert = "tls/ca.pem"
client_cert = "tls/client.pem"
client_private_key = "tls/client.key"
"""


def certificate(end: datetime, name: str = "worker") -> bytes:
    """A certificate that is valid until then."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=900)).not_valid_after(end)
    return builder.sign(KEY, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def write(work: Path, cli: Cli) -> Callable[[bytes, bytes], list[dict[str, str]]]:
    """Writes a client certificate and a CA; gives what doctor says of them."""
    (work / ".pipelex" / "pipelex.toml").write_text(SETTINGS)
    (work / "tls").mkdir()
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (work / "tls" / "client.key").write_bytes(key)

    def written(client: bytes, ca: bytes) -> list[dict[str, str]]:
        (work / "tls" / "client.pem").write_bytes(client)
        (work / "tls" / "ca.pem").write_bytes(ca)
        found = json.loads(cli("doctor", "--temporal", "--json").out)["findings"]
        assert "temporal" in {finding["check"] for finding in found if finding["state"] == "error"}
        return [finding for finding in found if finding["check"] == "certificates"]

    return written


def test_a_certificate_is_warned_of_before_it_expires(write: Callable[..., list[dict[str, str]]]) -> None:
    soon, late = NOW + timedelta(days=12, hours=12), NOW + timedelta(days=400)
    assert write(certificate(soon), certificate(late)) == [
        {
            "check": "certificates",
            "state": "warning",
            "message": f"the client certificate expires on {soon:%Y-%m-%d}, in 12 days",
            "place": "tls/client.pem",
            "fix": "put a new certificate and its key there; processes that run take them up by themselves",
        },
        {
            "check": "certificates",
            "state": "ok",
            "message": f"the CA of the server is valid until {late:%Y-%m-%d}",
            "place": "tls/ca.pem",
        },
    ]


@pytest.mark.parametrize(
    ("left", "state", "said"),
    [
        (timedelta(days=31), "ok", "is valid until"),
        (timedelta(days=29), "warning", "in 28 days"),
        (timedelta(days=1, hours=1), "warning", "in 1 day"),
        (timedelta(hours=1), "warning", "in less than a day"),
        (timedelta(days=-2), "warning", "expired on"),
    ],
)
def test_what_is_said_depends_on_the_days_that_are_left(
    write: Callable[..., list[dict[str, str]]], left: timedelta, state: str, said: str
) -> None:
    for found in write(certificate(NOW + left), certificate(NOW + left)):
        assert (found["state"], said in found["message"]) == (state, True)


def test_of_a_chain_the_first_end_counts_and_of_several_authorities_the_last(
    write: Callable[..., list[dict[str, str]]],
) -> None:
    both = certificate(NOW + timedelta(days=3)) + certificate(NOW + timedelta(days=300), "next")
    assert [found["state"] for found in write(both, both)] == ["warning", "ok"]


def test_ends_are_read_whatever_the_year() -> None:
    ends = [datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC) for year in (2027, 2049, 2050, 2100)]
    text = b"# a comment\n" + b"\n".join(certificate(end, "n" * 60) for end in ends)
    assert list(valid_until(text)) == ends
    damaged = b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
    assert list(valid_until(damaged + certificate(ends[0]))) == ends[:1]
