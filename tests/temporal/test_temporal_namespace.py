from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from pipelex.errors import ConfigError
from pipelex.temporal.namespace import check_search_attributes, list_search_attributes, register, runbook
from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES, ServerProfile

pytestmark = pytest.mark.server


@pytest.fixture
async def bare() -> AsyncIterator[Client]:
    """A client of a server whose namespace has no attribute yet."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal()), dev_server_log_level="error"
    ) as environment:
        yield environment.client


async def test_attributes_are_checked_then_registered_once_each_with_its_type(bare: Client) -> None:
    with pytest.raises(ConfigError, match="lacks the search attributes PipeCode, PipelexTokens") as caught:
        await check_search_attributes(bare, ["PipeCode", "PipelexTokens"])
    assert "temporal operator search-attribute create" in (caught.value.hint or "")
    assert "tcld" in (caught.value.hint or "")
    first = await register(bare, ["PipeCode", "PipelexTokens"])
    assert (first.already, first.added) == ((), ("PipeCode", "PipelexTokens"))
    second = await register(bare, ["PipelexTokens", *SEARCH_ATTRIBUTE_TYPES])
    assert set(second.already) == {"PipeCode", "PipelexTokens"}
    assert set(second.added) == SEARCH_ATTRIBUTE_TYPES.keys() - second.already
    await check_search_attributes(bare, list(SEARCH_ATTRIBUTE_TYPES))
    assert SEARCH_ATTRIBUTE_TYPES.items() <= (await list_search_attributes(bare)).items()


async def test_the_printed_command_registers_what_is_asked_for(bare: Client) -> None:
    names = ["PipeCode", "PipelexCostUsd", "PipelexModels"]
    profile = ServerProfile(target_host=bare.service_client.config.target_host)
    program, *arguments = shlex.split(runbook(names, profile).splitlines()[0])
    assert program == "temporal"
    ended = await asyncio.create_subprocess_exec(find_temporal(), *arguments, stdout=asyncio.subprocess.DEVNULL)
    assert await ended.wait() == 0
    await check_search_attributes(bare, names)
    await register(bare, ["PipelexStatus"])
    other = ["--name", "PipelexTokens", "--type", "Keyword"]
    create = ("operator", "search-attribute", "create", "--address", profile.target_host, *other)
    ended = await asyncio.create_subprocess_exec(find_temporal(), *create, stdout=asyncio.subprocess.DEVNULL)
    assert await ended.wait() == 0
    for action in (register, check_search_attributes):
        with pytest.raises(ConfigError, match="PipelexTokens is Keyword, not Int"):
            await action(bare, ["PipelexTokens"])


class ClosedNamespace:
    """A client whose server offers the operator service to others only."""

    namespace = "prod"

    def __init__(self) -> None:
        self.operator_service = self
        self.service_client = SimpleNamespace(config=SimpleNamespace(target_host="cloud.example:7233"))

    async def list_search_attributes(self, request: object) -> None:
        raise RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")


async def test_a_closed_operator_service_is_a_warning_for_workers(caplog: pytest.LogCaptureFixture) -> None:
    await check_search_attributes(cast(Client, ClosedNamespace()), ["PipeCode"])
    assert "PERMISSION_DENIED" in caplog.text


async def test_a_closed_operator_service_gives_the_commands_to_whoever_registers() -> None:
    with pytest.raises(ConfigError, match="may not change the search attributes") as caught:
        await register(cast(Client, ClosedNamespace()), ["PipeCode"])
    assert runbook(["PipeCode"], ServerProfile(target_host="cloud.example:7233", namespace="prod")) in (
        caught.value.hint or ""
    )


def test_the_commands_to_run_by_hand_are_quoted() -> None:
    commands = runbook(["PipeCode", "PipelexTokens"], ServerProfile(target_host="h:1", namespace="a b"))
    assert commands.splitlines() == [
        "temporal operator search-attribute create --address h:1 --namespace 'a b'"
        " --name PipeCode --type Keyword --name PipelexTokens --type Int",
        "tcld namespace search-attributes add --namespace 'a b'"
        " --search-attribute PipeCode=Keyword --search-attribute PipelexTokens=Int",
    ]


def test_the_commands_connect_as_the_profile_does() -> None:
    def flags(profile: ServerProfile) -> str:
        line = runbook(["UserId"], profile).splitlines()[0]
        return line.partition(" --namespace default ")[2].replace("--name UserId --type Keyword", "…")

    files = {"client_cert": "tls/c.pem", "client_private_key": "tls/c.key", "server_root_ca_cert": "tls/ca.pem"}
    mutual = ServerProfile.model_validate({**files, "server_name": "n.example"}).below(Path("/srv/my app"))
    assert flags(mutual) == (
        "--tls-ca-path '/srv/my app/tls/ca.pem' --tls-cert-path '/srv/my app/tls/c.pem'"
        " --tls-key-path '/srv/my app/tls/c.key' --tls-server-name n.example …"
    )
    keyed = ServerProfile(target_host="h:1", tls=True, api_key_method="env_var", api_key_id="THE_KEY")
    assert flags(keyed) == '--tls … --api-key "$THE_KEY"'
    mounted = ServerProfile(profile="prod", api_key_method="secret_provider", api_key_id="/run/my secrets/key")
    assert flags(mounted) == "--profile prod … --api-key \"$(cat '/run/my secrets/key')\""
