"""The search attributes of a namespace: list, register, or say which commands do it. Runs in operators' processes."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, UnreachableError
from pipelex.inference.redaction import shown_url
from pipelex.temporal.server_settings import ServerProfile
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES

_log = logging.getLogger(__name__)
# Temporal Cloud and locked-down clusters do not offer the operator service to every key.
_NOT_ALLOWED = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.UNIMPLEMENTED)


@dataclass(frozen=True)
class Registered:
    """What `register` found and did; both in the order asked for."""

    already: tuple[str, ...]
    added: tuple[str, ...]


async def list_search_attributes(client: Client) -> dict[str, str]:
    """The custom attributes of the client's namespace, name to type (`Keyword`, `Int`…).

    Raises the SDK's RPCError when the server does not say.
    """
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {name: _type_name(kind) for name, kind in sorted(answer.custom_attributes.items())}


async def register(client: Client, names: Sequence[str], profile: ServerProfile | None = None) -> Registered:
    """Add the names that are missing, each with its type. `profile` says how to connect in the commands of a hint.

    Raises ConfigError with the commands to run when this client may not, or when a name has another type.
    """
    server = profile or _profile_of(client)
    try:
        present = await list_search_attributes(client)
        _check_types(client, names, present)
        missing = tuple(dict.fromkeys(name for name in names if name not in present))
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace, search_attributes={name: _type_value(name) for name in missing}
                )
            )
    except RPCError as error:
        if error.status in _NOT_ALLOWED:
            raise ConfigError(
                f"this connection may not change the search attributes of the namespace {client.namespace!r}",
                hint="ask somebody who may to run one of:\n" + runbook(names, server),
            ) from error
        raise UnreachableError(
            f"the Temporal server at {shown_url(server.target_host)} does not register search attributes:"
            f" {error.status.name}: {error.message}"
        ) from error
    return Registered(already=tuple(name for name in names if name in present), added=missing)


async def check_search_attributes(client: Client, names: Sequence[str], profile: ServerProfile | None = None) -> bool:
    """Refuse a namespace that lacks a name runs would be labelled with. False, with a warning, when it is not told."""
    try:
        present = await list_search_attributes(client)
    except RPCError as error:
        _log.warning("search attributes could not be checked: %s", error.status.name)
        return False
    _check_types(client, names, present)
    missing = [name for name in names if name not in present]
    if missing:
        raise ConfigError(
            f"the namespace {client.namespace!r} lacks the search attributes {', '.join(missing)}",
            hint="run `pipelex setup-temporal-namespace`, with the --server of this command if any, or one of:\n"
            + runbook(missing, profile or _profile_of(client)),
        )
    return True


def _check_types(client: Client, names: Sequence[str], present: Mapping[str, str]) -> None:
    other = [name for name in names if name in present and present[name] != SEARCH_ATTRIBUTE_TYPES[name]]
    if other:
        found = ", ".join(f"{name} is {present[name]}, not {SEARCH_ATTRIBUTE_TYPES[name]}" for name in other)
        raise ConfigError(
            f"the namespace {client.namespace!r} has search attributes of another type: {found}",
            hint="use another namespace, or leave these names out of [temporal.search_attributes]",
        )


def runbook(names: Sequence[str], profile: ServerProfile) -> str:
    """The two commands that register the names by hand: a self-hosted server's, then Temporal Cloud's."""
    pairs = [part for name in names for part in ("--name", name, "--type", SEARCH_ATTRIBUTE_TYPES[name])]
    where = ["--address", shown_url(profile.target_host), "--namespace", profile.namespace]
    hosted = ["temporal", "operator", "search-attribute", "create", *where, *_tls_flags(profile), *pairs]
    cloud_pairs = [part for name in names for part in ("--search-attribute", f"{name}={SEARCH_ATTRIBUTE_TYPES[name]}")]
    cloud = ["tcld", "namespace", "search-attributes", "add", "--namespace", profile.namespace, *cloud_pairs]
    return f"{shlex.join(hosted)}{_key_flag(profile)}\n{shlex.join(cloud)}"


def _tls_flags(profile: ServerProfile) -> Iterator[str]:
    flags = {
        "--profile": profile.profile,
        "--tls-ca-path": profile.server_root_ca_cert,
        "--tls-cert-path": profile.client_cert,
        "--tls-key-path": profile.client_private_key,
        "--tls-server-name": profile.server_name,
    }
    for flag, value in flags.items():
        if value:
            yield from (flag, value)
    if profile.tls is not None:
        yield "--tls" if profile.tls else "--tls=false"


def _key_flag(profile: ServerProfile) -> str:
    """Left to the shell to fill in: a key is never printed."""
    if profile.api_key_method == "none":
        return ""
    if profile.key_file:
        return f' --api-key "$(cat {shlex.quote(profile.key_file)})"'
    return f' --api-key "${profile.api_key_id}"'


def _profile_of(client: Client) -> ServerProfile:
    return ServerProfile(target_host=client.service_client.config.target_host, namespace=client.namespace)


def _type_value(name: str) -> IndexedValueType.ValueType:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", SEARCH_ATTRIBUTE_TYPES[name]).upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words}")


def _type_name(kind: IndexedValueType.ValueType) -> str:
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)
