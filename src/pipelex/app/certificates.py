"""Until when the certificates hold with which a Temporal server is reached. Runs where `pipelex doctor` runs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelex.app.finding import Finding
from pipelex.app.runtime import Runtime
from pipelex.config.load import shown_path
from pipelex.errors import PipelexError

SOON = timedelta(days=30)
"""How long before its end a certificate is warned of."""
_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17
"""Tags of DER: of the version of a certificate, which need not be there, and of a time with two digits of its year."""


async def certificate_findings(runtime: Runtime) -> list[Finding]:
    """Tell how long the client certificate and the CA of the selected server are valid; nothing without them."""
    from pipelex.temporal.access import read_access

    try:
        profile = runtime.temporal.profile()
        tls = read_access(profile, runtime.environ).tls
    except PipelexError:
        return []  # connecting fails with the same, and tells it
    if tls is None:
        return []
    now = datetime.now(UTC)
    found = []
    if ends := list(valid_until(tls.client_cert or b"")):
        # Of a chain, all are needed.
        fix = "put a new certificate and its key there; processes that run take them up by themselves"
        found.append(_told("the client certificate", min(ends), profile.client_cert, fix, now))
    if ends := list(valid_until(tls.server_root_ca_cert or b"")):
        # Of several, an old one may end while the next is in use.
        fix = "ask the operator of the server which CA is next, and add its certificate to the file"
        found.append(_told("the CA of the server", max(ends), profile.server_root_ca_cert, fix, now))
    return found


def _told(what: str, end: datetime, path: str, fix: str, now: datetime) -> Finding:
    left, day = end - now, f"{end:%Y-%m-%d}"
    place = shown_path(Path(path)) if path else "temporal.toml"
    if left > SOON:
        return Finding(check="certificates", state="ok", message=f"{what} is valid until {day}", place=place)
    days = f"{left.days} day{'' if left.days == 1 else 's'}" if left.days else "less than a day"
    # Whether one that expired is refused, the server decides: connecting tells.
    message = f"{what} expired on {day}" if left <= timedelta() else f"{what} expires on {day}, in {days}"
    return Finding(check="certificates", state="warning", message=message, place=place, fix=fix)


def valid_until(pem: bytes) -> Iterator[datetime]:
    """The end of each certificate in a PEM text; what cannot be read is left out, the connection will tell.

    Of a certificate only this is wanted, for which no library is installed.
    """
    for found in _PEM.finditer(pem):
        try:
            yield _end(base64.b64decode(found[1]))
        except (ValueError, IndexError):
            continue


def _end(der: bytes) -> datetime:
    (_, certificate), *_ = _elements(der)
    (_, content), *_ = _elements(certificate)
    fields = [field for field in _elements(content) if field[0] != _VERSION]
    # The serial number, the algorithm, the issuer, then when it begins and when it ends.
    _, (tag, end), *_ = _elements(fields[3][1])
    text = end.decode("ascii")
    if tag == _UTC_TIME:
        text = f"{'19' if text >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """The elements that stand one after the other, each with its tag."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length > 0x7F:  # so many bytes say how long it is
            size = length - 0x80
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        found.append((tag, der[at : at + length]))
        at += length
    return found
