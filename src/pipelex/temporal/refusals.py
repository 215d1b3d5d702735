"""Why there is no connection to a Temporal server, in words an operator can act on. Runs in workers and submitters."""

from __future__ import annotations

import asyncio
import re
import ssl

from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, UnreachableError
from pipelex.temporal.access import ServerAccess
from pipelex.temporal.server_settings import ServerProfile

_PROBE_SECONDS = 0.4
_AT_THE_SERVER = "of the selected server under [temporal.temporal_config]"
_HINT = f"start a server on this machine with `pipelex dev`, or correct target_host {_AT_THE_SERVER}"
_NAME = re.compile(r'(?:DnsName\(\\*"|IpAddress\()([^\\")]+)')


def refusal(profile: ServerProfile, access: ServerAccess, error: RPCError) -> ConfigError:
    """What the server's answer about the namespace means."""
    address = access.address
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return _key_refused(profile, access)
    if error.status == RPCStatusCode.NOT_FOUND:
        return ConfigError(
            f"the Temporal server at {address} has no namespace {access.namespace!r}",
            hint=f"create it: temporal operator namespace create --address {address} --namespace {access.namespace}",
        )
    return UnreachableError(
        f"the Temporal server at {address} does not answer as it should: {error.status.name}", hint=_HINT
    )


async def no_connection(profile: ServerProfile, access: ServerAccess, error: Exception) -> ConfigError:
    """Tell a server that is not there from one that refuses, and from something that speaks differently."""
    address, said = access.address, str(error)
    if "Unauthenticated" in said or "PermissionDenied" in said:
        return _key_refused(profile, access)
    if (found := _about_certificates(profile, access, said)) is not None:
        return found
    if not await _listens(address):
        no_port = f"give target_host {_AT_THE_SERVER} its port: {address}:7233 is usual"
        return UnreachableError(f"no Temporal server answers at {address}", hint=_HINT if ":" in address else no_port)
    has_answered = not isinstance(error, TimeoutError)
    if access.tls is None and has_answered and await _listens(address, _any_certificate()):
        hint = f"set tls = true, and server_root_ca_cert if need be, {_AT_THE_SERVER}"
        return UnreachableError(f"the server at {address} speaks TLS, and was spoken to without", hint=hint)
    if access.tls is not None and has_answered and await _demands_certificate(address):
        return _certificate_refused(profile, access)
    spoken = "without TLS" if access.tls is None else f"with TLS{', because a key is used' if access.api_key else ''}"
    return UnreachableError(
        f"something listens at {address}, but does not answer as a Temporal server spoken to {spoken}",
        hint=f"check tls and target_host {_AT_THE_SERVER}",
    )


def _key_refused(profile: ServerProfile, access: ServerAccess) -> ConfigError:
    if profile.api_key_method != "none":
        key = f"the key in {profile.api_key_id}"
    else:
        key = f"the key of the profile {profile.profile!r} of temporal.toml" if access.api_key else "whoever has no key"
    return ConfigError(
        f"the Temporal server at {access.address} refuses {key} for the namespace {access.namespace!r}",
        hint=f"check namespace, api_key_method and api_key_id {_AT_THE_SERVER}",
    )


def _about_certificates(profile: ServerProfile, access: ServerAccess, said: str) -> ConfigError | None:
    """What the TLS library or the server says of certificates. Its texts are those of the SDK; the tests keep watch."""
    if access.tls is None:
        return None
    server = f"the certificate of the server at {access.address}"
    if "UnknownIssuer" in said:
        trusted = profile.server_root_ca_cert or ("the CA of temporal.toml" if access.tls.server_root_ca_cert else "")
        by = f"by {trusted}" if trusted else "by a CA that this machine trusts"
        hint = f"set server_root_ca_cert {_AT_THE_SERVER} to the file of the CA that did"
        return ConfigError(f"{server} is not signed {by}", hint=hint)
    if "NotValidForName" in said:
        expected = access.tls.domain or access.address.rpartition(":")[0]
        presented = [name for name in _NAME.findall(said) if name != expected]
        hint = f"correct target_host, or set server_name {_AT_THE_SERVER} to one of them"
        names = f", only for {', '.join(presented)}" if presented else ""
        return ConfigError(f"{server} is not for {expected}{names}", hint=hint)
    if "InvalidCertificate(Expired" in said or "InvalidCertificate(NotValidYet" in said:
        hint = "give the server a certificate that is valid now, or set the clock of this machine"
        return ConfigError(f"{server} is not valid at this time", hint=hint)
    if "InvalidContentType" in said:
        why = "tls is true" if profile.tls else "a key is used" if access.api_key else "a certificate or a name is set"
        hint = f"set tls = false, or correct target_host, {_AT_THE_SERVER}"
        return UnreachableError(
            f"the server at {access.address} does not speak TLS, and was spoken to with TLS, because {why}",
            hint=hint,
        )
    return _about_our_certificate(profile, access, said)


def _about_our_certificate(profile: ServerProfile, access: ServerAccess, said: str) -> ConfigError | None:
    place = profile.client_private_key or None
    if "KeyMismatch" in said:
        hint = f"set client_cert and client_private_key {_AT_THE_SERVER} to files that were made together"
        return ConfigError("client_private_key is not the key of client_cert", where=place, hint=hint)
    if re.search("PrivateKeyParseError|CertificateParseError|failed to parse", said):
        hint = f"check the PEM files client_cert and client_private_key {_AT_THE_SERVER}"
        return ConfigError("the client certificate or its key cannot be read", where=place, hint=hint)
    # A proxy such as nginx refuses in HTTP.
    return _certificate_refused(profile, access) if "status: 400" in said else None


def _certificate_refused(profile: ServerProfile, access: ServerAccess) -> ConfigError:
    address = access.address
    if access.tls is not None and access.tls.client_cert:
        hint = f"check with its operator that the CA of {profile.client_cert or 'client_cert'} is accepted there"
        return ConfigError(f"the server at {address} refuses the client certificate", hint=hint)
    hint = f"set client_cert and client_private_key {_AT_THE_SERVER}"
    return ConfigError(f"the server at {address} demands a client certificate, and none is set", hint=hint)


def _any_certificate() -> ssl.SSLContext:
    """Only for asking whether somebody speaks TLS: nothing is sent over such a connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


async def _listens(address: str, tls: ssl.SSLContext | None = None) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await _opened(address, tls)
    except (OSError, ValueError, OverflowError):
        return False
    writer.close()
    return True


async def _demands_certificate(address: str) -> bool:
    """Whether the server breaks off a connection without a client certificate; the SDK does not see why it did."""
    writer = None
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await _opened(address, _any_certificate())
            await reader.read(1)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError, OverflowError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return False


async def _opened(address: str, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.removeprefix("http://").removeprefix("https://").rpartition(":")
    if not host:
        raise ValueError(address)
    return await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls)
