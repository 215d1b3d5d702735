"""What a call costs through each adapter, next to the SDK of its provider alone: `python -m benchmarks.calls`.

One stub in a process of its own, one run, CPU time of this process: figures are to be read as ratios.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ModelSetting, TextRequest
from pipelex.storage.local import LocalBlobs

CALLS, WARM, TOGETHER = 300, 20, 200
HANDLES = {
    "chat completions": ("openai", "gpt-4o"),
    "responses": ("responses", "gpt-4o"),
    "azure openai": ("azure_openai", "house"),
    "anthropic": ("anthropic", "claude-4.6-sonnet"),
    "google": ("google", "gemini-3.8-flash"),
    "bedrock": ("bedrock", "bedrock-nova-pro"),
}
Call = Callable[[], Awaitable[object]]
HI = [{"role": "user", "content": "hi"}]


def openai_sdk(root: str) -> Call:
    """The SDK of OpenAI, as a program by hand would call it."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="k", base_url=f"{root}/v1", max_retries=0)
    return lambda: client.chat.completions.create(model="gpt-4o", messages=HI)  # type: ignore[call-overload, no-any-return]


def anthropic_sdk(root: str) -> Call:
    """The SDK of Anthropic."""
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(api_key="k", base_url=root, max_retries=0)
    return lambda: client.messages.create(model="claude-sonnet-4-6", max_tokens=100, messages=HI)  # type: ignore[call-overload, no-any-return]


def google_sdk(root: str) -> Call:
    """The SDK of Google."""
    from google.genai import Client

    client = Client(api_key="k", http_options={"base_url": root})
    return lambda: client.aio.models.generate_content(model="gemini-3.8-flash", contents="hi")


def bedrock_sdk(root: str) -> Call:
    """boto3, which is not asynchronous: a thread for each call."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    # Keys of nobody, so that a request is signed without asking the machine for its role.
    session = boto3.Session(aws_access_key_id="k", aws_secret_access_key="k", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=TOGETHER)
    client = session.client("bedrock-runtime", endpoint_url=root, config=config)
    asked = {"modelId": "us.amazon.nova-pro-v1:0", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    return lambda: asyncio.get_running_loop().run_in_executor(None, lambda: client.converse(**asked))


SDKS = {
    "openai SDK alone": openai_sdk,
    "anthropic SDK alone": anthropic_sdk,
    "google SDK alone": google_sdk,
    "boto3 alone": bedrock_sdk,
}


def environment(root: str) -> dict[str, str]:
    """Every backend is the stub."""
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AZURE_API_KEY")
    urls = ("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AZURE_API_BASE")
    return {
        **dict.fromkeys(keys, "k"),
        **dict.fromkeys(urls, root),
        "OPENAI_BASE_URL": f"{root}/v1",
        "AWS_REGION": "us-east-1",
        "AZURE_API_VERSION": "2024-10-21",
    }


def performer(root: str, folder: Path) -> Performer:
    """A performer over the stub."""
    (folder / "backends.toml").write_text(
        f'[responses]\nsdk = "openai_responses"\nendpoint = "{root}/v1"\napi_key = "k"\n'
    )
    return Performer(InferenceSettings(), Deck.load([folder], environment(root)), LocalBlobs(folder))


async def alone(call: Call) -> float:
    """CPU milliseconds of one call, made one after another."""
    for _ in range(WARM):
        await call()
    before = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - before) * 1000 / CALLS


async def together(call: Call) -> tuple[float, float]:
    """Calls per second with many at once, five times over, and the CPU milliseconds of each."""
    await asyncio.gather(*(call() for _ in range(TOGETHER)))
    before, busy = time.perf_counter(), time.process_time()
    for _ in range(5):
        await asyncio.gather(*(call() for _ in range(TOGETHER)))
    made = 5 * TOGETHER
    return made / (time.perf_counter() - before), (time.process_time() - busy) * 1000 / made


async def one(name: str, root: str) -> None:
    """Measure one adapter in this process and print a row."""
    with tempfile.TemporaryDirectory() as temporary:
        made = performer(root, Path(temporary))
        # boto3's calls wait in the threads of the loop, which are few by default.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TOGETHER))
        before = time.perf_counter()
        if name in HANDLES:
            backend, handle = HANDLES[name]
            request = TextRequest(model=ModelSetting(handle=handle, backend=backend), prompt="hi")

            async def call() -> object:
                return await made.perform(request)
        else:
            call = SDKS[name](root)  # type: ignore[assignment]
        await call()
        first = (time.perf_counter() - before) * 1000
        each = await alone(call)
        rate, busy = await together(call)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        threads = psutil.Process(os.getpid()).num_threads()
        print(f"| {name} | {first:.0f} | {each:.2f} | {busy:.2f} | {rate:.0f} | {memory:.0f} | {threads} |", flush=True)
        await made.aclose()


def main() -> None:
    """Start the stub, then a process for each adapter."""
    if len(sys.argv) > 2:
        asyncio.run(one(sys.argv[1], sys.argv[2]))
        return
    stub = subprocess.Popen(
        [sys.executable, "-m", "pipelex.testing.provider_stub", "--latency", "0"], stdout=subprocess.PIPE, text=True
    )
    assert stub.stdout is not None
    root = stub.stdout.readline().strip().removesuffix("/v1")
    print(f"| adapter | first call ms | CPU ms a call | with {TOGETHER} at once | calls/s then | RSS MB | threads |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    try:
        for name in (*SDKS, *HANDLES):
            subprocess.run([sys.executable, "-m", "benchmarks.calls", name, root], check=True)
    finally:
        stub.terminate()
        stub.wait()


if __name__ == "__main__":
    main()
