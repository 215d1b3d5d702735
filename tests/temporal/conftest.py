"""A real Temporal server for the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporal_bench import Bench
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from pipelex.temporal.converter import data_converter
from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import SEARCH_ATTRIBUTES


@pytest.fixture(scope="session")
def payload_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("payloads")


@pytest.fixture(scope="session")
async def client(payload_root: Path) -> AsyncIterator[Client]:
    """A client of a server that lasts for the session."""
    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(payload_root),
        dev_server_existing_path=str(find_temporal()),
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"],
        dev_server_log_level="error",
        search_attributes=[SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES],
    ) as environment:
        yield environment.client


@pytest.fixture
def bench(client: Client, payload_root: Path) -> Bench:
    return Bench(client, payload_root)
