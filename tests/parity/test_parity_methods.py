"""Methods of every kind, and every way of failing: the hosts agree on the outcome, or on the error and its place."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from parity_hosts import End, Hosts, ends_of, hosts
from parity_methods import FAILS, FUNCTIONS, HEAD, WORKS, Case, answer
from temporalio.client import Client

from pipelex.testing.provider_stub import StubProvider

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
async def stub() -> AsyncIterator[StubProvider]:
    async with StubProvider(answer) as provider:
        yield provider


@pytest.fixture(scope="module")
async def opened(client: Client, stub: StubProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hosts]:
    environ = {"OPENAI_BASE_URL": stub.base_url, "OPENAI_API_KEY": "stub"}
    async with hosts(tmp_path_factory.mktemp("methods"), client, environ, FUNCTIONS) as found:
        yield found


async def agreed(opened: Hosts, stub: StubProvider, case: Case) -> End:
    """The one way in which the run ends everywhere, with as many calls of the provider everywhere."""
    before = stub.calls
    ends = await ends_of(opened, HEAD + case.text, case.inputs)
    assert stub.calls - before == case.calls * len(ends)
    expected = ends["in process"]
    assert ends == dict.fromkeys(ends, expected)
    return expected


@pytest.mark.parametrize("case", WORKS.values(), ids=WORKS)
async def test_what_works_gives_the_same(opened: Hosts, stub: StubProvider, case: Case) -> None:
    end = await agreed(opened, stub, case)
    assert end.error is None
    # The pages of a document are not asked of the provider, and count as a call all the same.
    assert end.usage.calls == case.calls + (1 if end.usage.pages else 0)


@pytest.mark.parametrize("case", FAILS.values(), ids=FAILS)
async def test_what_fails_fails_the_same_way(opened: Hosts, stub: StubProvider, case: Case) -> None:
    end = await agreed(opened, stub, case)
    assert end.error is not None
    name, message, path, _ = end.error
    assert (name, path) == (case.error, case.path), message
