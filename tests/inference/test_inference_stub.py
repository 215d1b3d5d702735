import asyncio
import signal
import sys

import httpx2

from pipelex.testing.provider_stub import StubAnswer, StubProvider

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_scripts_see_the_request_and_how_many_came_before():
    seen = []

    def behaviour(asked, n):
        seen.append((asked["model"], n))
        return StubAnswer(text="first", headers={"X-Is": "one"}) if n == 0 else None

    async with StubProvider(behaviour) as stub, httpx2.AsyncClient() as client:
        first = await client.post(f"{stub.base_url}/chat/completions", json=ASK)
        second = await client.post(f"{stub.base_url}/chat/completions", json=ASK)
        count = await client.get(stub.base_url.replace("/v1", "/count"))
    assert first.headers["x-is"] == "one"
    assert [answer.json()["choices"][0]["message"]["content"] for answer in (first, second)] == ["first", "ok"]
    assert seen == [("m", 0), ("m", 1)]
    assert count.json() == {"calls": 2}
    assert stub.requests[0].path == "/v1/chat/completions"


async def test_schemas_are_answered_with_data_that_fits():
    import json

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    asked = {**ASK, "response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}}
    async with StubProvider() as stub, httpx2.AsyncClient() as client:
        answer = await client.post(f"{stub.base_url}/chat/completions", json=asked)
    assert isinstance(json.loads(answer.json()["choices"][0]["message"]["content"])["a"], int)


async def test_it_runs_alone():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipelex.testing.provider_stub", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    async with httpx2.AsyncClient() as client:
        await client.post(f"{base_url}/chat/completions", json=ASK)
        count = await client.get(base_url.removesuffix("/v1") + "/count")
    assert count.json() == {"calls": 1}
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
