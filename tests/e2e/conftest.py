"""A server started by `pipelex dev --no-worker`, for all tests of this folder that do not stop theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from e2e_project import Project, free_port


@pytest.fixture(scope="session")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where the server listens."""
    async with Project(tmp_path_factory.mktemp("server")) as project:
        ports = ("--port", str(free_port()), "--ui-port", str(free_port()))
        dev = await project.start("dev", "--no-worker", *ports)
        await dev.says("no worker;")
        yield next(line.split()[1] for line in dev.err.splitlines() if line.startswith("temporal: "))
