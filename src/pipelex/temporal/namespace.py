"""The search attributes of a namespace: list, register, or say which commands do it. Runs in operators' processes."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, UnreachableError
from pipelex.temporal.server_settings import ServerProfile

_log = logging.getLogger(__name__)
_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
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


async def register(client: Client, names: Sequence[str]) -> Registered:
    """Add the names that are missing, as Keyword.

    Raises ConfigError with the commands to run when this client may not, or when a name has another type.
    """
    profile = _profile_of(client)
    try:
        present = await list_search_attributes(client)
        other = {name: present[name] for name in names if present.get(name, "Keyword") != "Keyword"}
        if other:
            raise ConfigError(
                f"the namespace {client.namespace!r} has search attributes of another type than Keyword: "
                + ", ".join(f"{name} ({kind})" for name, kind in other.items()),
                hint="use another namespace, or leave these names out of [temporal.search_attributes]",
            )
        missing = tuple(dict.fromkeys(name for name in names if name not in present))
        if missing:
            wanted = dict.fromkeys(missing, _KEYWORD)
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wanted)
            )
    except RPCError as error:
        if error.status in _NOT_ALLOWED:
            raise ConfigError(
                f"this connection may not change the search attributes of the namespace {client.namespace!r}",
                hint="ask somebody who may to run one of:\n" + runbook(names, profile),
            ) from error
        raise UnreachableError(
            f"the Temporal server at {profile.target_host} does not register search attributes: {error.status.name}"
        ) from error
    return Registered(already=tuple(name for name in names if name in present), added=missing)


async def check_search_attributes(client: Client, names: Sequence[str]) -> None:
    """Refuse a namespace that lacks a name runs would be labelled with; only warn when the server does not say."""
    try:
        present = await list_search_attributes(client)
    except RPCError as error:
        _log.warning("search attributes could not be checked: %s", error.status.name)
        return
    missing = [name for name in names if name not in present]
    if missing:
        raise ConfigError(
            f"the namespace {client.namespace!r} lacks the search attributes {', '.join(missing)}",
            hint="run `pipelex setup-temporal-namespace`, or one of:\n" + runbook(missing, _profile_of(client)),
        )


def runbook(names: Sequence[str], profile: ServerProfile) -> str:
    """The two commands that register the names by hand: a self-hosted server's, then Temporal Cloud's."""
    pairs = [part for name in names for part in ("--name", name, "--type", "Keyword")]
    where = ["--address", profile.target_host, "--namespace", profile.namespace]
    hosted = ["temporal", "operator", "search-attribute", "create", *where, *pairs]
    cloud_pairs = [part for name in names for part in ("--search-attribute", f"{name}=Keyword")]
    cloud = ["tcld", "namespace", "search-attributes", "add", "--namespace", profile.namespace, *cloud_pairs]
    return f"{shlex.join(hosted)}\n{shlex.join(cloud)}"


def _profile_of(client: Client) -> ServerProfile:
    return ServerProfile(target_host=client.service_client.config.target_host, namespace=client.namespace)


def _type_name(kind: IndexedValueType.ValueType) -> str:
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)
