"""What several folders of tests share: one real Temporal server for the session, started when first asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from temporalio.client import Client


@pytest.fixture(scope="session")
def payload_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("payloads")


@pytest.fixture(scope="session")
async def client(payload_root: Path) -> AsyncIterator[Client]:
    """A client of a server that lasts for the session."""
    from temporalio.testing import WorkflowEnvironment

    from pipelex.temporal.converter import data_converter
    from pipelex.temporal.observability import SEARCH_ATTRIBUTE_KEYS
    from pipelex.temporal.server import find_temporal

    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(payload_root),
        dev_server_existing_path=str(find_temporal()),
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"],
        dev_server_log_level="error",
        search_attributes=list(SEARCH_ATTRIBUTE_KEYS.values()),
    ) as environment:
        yield environment.client
