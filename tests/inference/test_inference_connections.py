"""The connections to a backend: kept, bounded, and in pools that stay small."""

import asyncio

from pipelex.inference.providers.http import Connections
from pipelex.inference.settings import InferenceSettings
from pipelex.testing.provider_stub import StubProvider

HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def ask(connections, stub):
    request = connections.request("POST", f"{stub.base_url}/chat/completions", json=HI)
    status, _, _ = await connections.exchange(request)
    return status


async def test_calls_one_after_another_share_one_connection():
    async with StubProvider() as stub:
        connections = Connections("b", InferenceSettings())
        assert [await ask(connections, stub) for _ in range(20)] == [200] * 20
        assert len(stub._connections) == 1
        await connections.aclose()


async def test_no_more_connections_are_open_than_the_settings_allow():
    async with StubProvider() as stub:
        stub.latency = 0.05
        connections = Connections("b", InferenceSettings(max_connections=20))
        assert await asyncio.gather(*(ask(connections, stub) for _ in range(100))) == [200] * 100
        assert stub.most_running == 20
        assert [pool.size for pool in connections._pools] == [16, 4]
        assert [pool.running for pool in connections._pools] == [0, 0]
        await connections.aclose()


async def test_a_call_that_is_given_up_leaves_its_place():
    async with StubProvider() as stub:
        stub.latency = 30
        connections = Connections("b", InferenceSettings(max_connections=1))
        call = asyncio.create_task(ask(connections, stub))
        async with asyncio.timeout(10):
            while stub.running == 0:  # noqa: ASYNC110 - the stub has no event for it
                await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            stub.latency = 0
            assert await ask(connections, stub) == 200
        await connections.aclose()
