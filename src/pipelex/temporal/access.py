"""What a server profile means on this machine now: address, key, certificates, `temporal.toml`. Workers and submitters.

Read again whenever it is asked for, so that a changed key or certificate is found. Nothing here is ever logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.envconfig import ClientConfig, ClientConfigProfile, ClientConfigTLS
from temporalio.service import TLSConfig

from pipelex.errors import ConfigError, CredentialError
from pipelex.inference.redaction import shown_url
from pipelex.temporal.server_settings import ServerProfile
from pipelex.temporal.setting_types import did_you_mean

_CERTIFICATE, _PRIVATE_KEY = b"CERTIFICATE-----", b"PRIVATE KEY-----"
_FIRST_CHOICE = "default"
"""The profile of temporal.toml that needs no file: variables alone may fill it, and TEMPORAL_PROFILE may replace it."""


@dataclass(frozen=True)
class ServerAccess:
    """How to reach a server. Never log it."""

    target_host: str
    namespace: str
    api_key: str | None = field(repr=False)
    tls: TLSConfig | None = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)

    @property
    def address(self) -> str:
        """The server as messages name it."""
        return shown_url(self.target_host)


def read_access(profile: ServerProfile, environment: Mapping[str, str]) -> ServerAccess:
    """Read the key and the files that the profile names; what it does not set comes from its profile of temporal.toml.

    Raises ConfigError or CredentialError, which name the file or the variable and never show what it holds.
    """
    given = _temporal_toml(profile, environment)
    server = _with_address(profile, given)
    if "api_key_method" in profile.model_fields_set:
        key = _api_key(server, environment)
    else:
        key = _clean(given.api_key or "", f"the profile {profile.profile!r} of temporal.toml") or None
    # The SDK leaves the routing of a keyed connection by namespace to its caller.
    routed = {"temporal-namespace": server.namespace} if key else {}
    return ServerAccess(
        target_host=server.target_host,
        namespace=server.namespace,
        api_key=key,
        tls=_tls(profile, given.tls, has_key=key is not None),
        metadata={**given.grpc_meta, **routed},
    )


def addressed(profile: ServerProfile, environment: Mapping[str, str]) -> ServerProfile:
    """The profile with the address and the namespace that its profile of temporal.toml gives, unless it sets them."""
    return _with_address(profile, _temporal_toml(profile, environment))


def _with_address(profile: ServerProfile, given: ClientConfigProfile) -> ServerProfile:
    found = {"target_host": given.address, "namespace": given.namespace}
    own = profile.model_fields_set
    return profile.model_copy(update={name: value for name, value in found.items() if value and name not in own})


def _temporal_toml(profile: ServerProfile, environment: Mapping[str, str]) -> ClientConfigProfile:
    if not profile.profile:
        return ClientConfigProfile()
    name = None if profile.profile == _FIRST_CHOICE else profile.profile
    file = environment.get("TEMPORAL_CONFIG_FILE") or "temporal.toml in the folder of the user's configuration"
    try:
        return ClientConfigProfile.load(name, override_env_vars=dict(environment))
    except RuntimeError as error:
        # After its first line the message quotes the file, which may hold a key.
        said = str(error).partition("\n")[0]
    if said.endswith("not found"):
        known = ClientConfig.load(override_env_vars=dict(environment)).profiles
        has = f"the file has {', '.join(known)}" if known else "the file has none, or does not exist"
        raise ConfigError(
            f"temporal.toml has no profile {profile.profile!r}.{did_you_mean(profile.profile, known)}",
            where=file,
            hint=f"correct profile of the selected server under [temporal.temporal_config]; {has}",
        )
    raise ConfigError(f"temporal.toml cannot be used: {said}", where=file, hint="`temporal config list` reads it, too")


def _api_key(profile: ServerProfile, environment: Mapping[str, str]) -> str | None:
    if profile.api_key_method == "none":
        return None
    needs, name = f"the Temporal server {shown_url(profile.target_host)} needs a key", profile.api_key_id
    if profile.key_file:
        try:
            key = Path(profile.key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialError(
                f"{needs}, and its file cannot be read: {_reason(error)}",
                where=profile.key_file,
                hint="mount the secret there, readable for this user, or correct api_key_id of the selected server",
            ) from None
        if not key:
            raise CredentialError(f"{needs}, and its file is empty", where=profile.key_file, hint="write the key in it")
        return _clean(key, profile.key_file)
    key = environment.get(name, "").strip()
    if not key:
        hint = f"export {name}=… in the environment of this process, or put it in .env"
        if profile.api_key_method == "secret_provider":
            hint += "; a secret in a file is named by its path, with a /"
        raise CredentialError(f"{needs}, and {name} is not set", hint=hint)
    return _clean(key, name)


def _clean(key: str, source: str) -> str:
    """The key, if it can be sent: what else a file or a variable holds by mistake is not repeated in a message."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise CredentialError("the key of the Temporal server is not one line of plain characters", where=source)
    return key


def _tls(profile: ServerProfile, base: ClientConfigTLS | None, *, has_key: bool) -> TLSConfig | None:
    given = base or ClientConfigTLS()
    ca = _pem("server_root_ca_cert", profile.server_root_ca_cert, given.server_root_ca_cert, _CERTIFICATE)
    cert = _pem("client_cert", profile.client_cert, given.client_cert, _CERTIFICATE)
    key = _pem("client_private_key", profile.client_private_key, given.client_private_key, _PRIVATE_KEY)
    name = profile.server_name or given.server_name or None
    if (cert is None) is not (key is None):
        lacking = "client_cert" if cert is None else "client_private_key"
        raise ConfigError(f"the client certificate is not complete: {lacking} is not set", hint="set both, or none")
    is_on = bool(has_key or ca or cert or name or base is not None)
    if given.disabled is not None:
        is_on = not given.disabled
    if not (is_on if profile.tls is None else profile.tls):
        return None
    return TLSConfig(server_root_ca_cert=ca, client_cert=cert, client_private_key=key, domain=name)


def _pem(name: str, path: str, given: Path | str | bytes | None, kind: bytes) -> bytes | None:
    """The content of a PEM file; our own setting comes before the one of temporal.toml."""
    source = Path(path) if path else given
    if source is None:
        return None
    place = str(source) if isinstance(source, Path) else "temporal.toml"
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise ConfigError(
            f"the file of {name} cannot be read: {_reason(error)}",
            where=place,
            hint="paths are absolute, or start at the project root; the file must be readable for this user",
        ) from None
    pem = content.encode() if isinstance(content, str) else content
    if b"ENCRYPTED" in pem.partition(b"\n")[0]:
        raise ConfigError(f"the file of {name} is encrypted", where=place, hint="give a key without a passphrase")
    if kind not in pem:
        what = "a certificate" if kind is _CERTIFICATE else "a private key"
        raise ConfigError(
            f"the file of {name} is not {what} in PEM form", where=place, hint="such a file has a line -----BEGIN …"
        )
    return pem


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not text"
