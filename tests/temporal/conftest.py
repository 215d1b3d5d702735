"""A bench for each test, on the server of the session."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporal_bench import Bench
from temporalio.client import Client


@pytest.fixture
def bench(client: Client, payload_root: Path) -> Bench:
    return Bench(client, payload_root)
