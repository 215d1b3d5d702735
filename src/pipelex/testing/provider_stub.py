"""A provider on loopback for tests and benchmarks: real HTTP, the APIs of the providers we know, scripted faults.

Alone: `python -m pipelex.testing.provider_stub --latency 0.05 --port 0` prints the base url, and `GET /count` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from functools import lru_cache
from typing import Any, Final

from pydantic import JsonValue

from pipelex.testing.stub_dialects import DIALECTS, Dialect, prompt_of
from pipelex.testing.stub_http import JSON_TYPE, HttpStub
from pipelex.testing.stub_http import Behaviour as Behaviour
from pipelex.testing.stub_http import Received as Received
from pipelex.testing.stub_http import StubAnswer as StubAnswer

__all__ = ["PIXEL", "Behaviour", "Received", "StubAnswer", "StubProvider", "prompt_of"]

_OTHER_PATHS: Final = ("/images/generations", "/images/edits", "/search")
PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
"""The image that is given by default: one pixel, as base64."""


class StubProvider(HttpStub):
    """Speaks OpenAI's chat completions, responses and images, and the APIs of Azure, Anthropic, Gemini and Bedrock.

    The default answer is "ok" for texts and searches, a mock of the schema for objects and one pixel for images.
    """

    @property
    def base_url(self) -> str:
        """What to set as the endpoint of a backend that speaks OpenAI's API; `root_url` is that of the others."""
        return f"{self.root_url}/v1"

    def knows(self, path: str) -> bool:
        """Whether it is a path of one of these APIs."""
        return path.endswith(_OTHER_PATHS) or _dialect(path) is not None

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """The text of the first user message."""
        dialect = _dialect(path)
        return dialect.prompt(asked) if dialect else prompt_of(asked)

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """An answer that fits what was asked."""
        if "/images/" in path:
            return StubAnswer(body={"created": 0, "data": [{"b64_json": PIXEL}] * int(asked.get("n", 1))})
        if path.endswith("/search"):
            words: dict[str, JsonValue] = {"name": "One", "title": "One", "snippet": "s", "content": "s"}
            source: dict[str, JsonValue] = {"url": "https://example.invalid/1", **words}
            return StubAnswer(body={"answer": "ok", "sources": [source], "results": [source]})
        dialect = _dialect(path)
        schema = dialect.schema(asked) if dialect else None
        return StubAnswer(text="ok" if schema is None else _mock(json.dumps(schema)))

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A completion, or an error, in the words of the API."""
        dialect = _dialect(path) or DIALECTS[0]
        if answer.status != 200:
            error = dialect.error(answer.status, answer.text or f"scripted {answer.status}")
            return JSON_TYPE, json.dumps(error).encode()
        return dialect.reply(answer, asked)


def _dialect(path: str) -> Dialect | None:
    return next((dialect for dialect in DIALECTS if path.endswith(dialect.path)), None)


@lru_cache(maxsize=64)
def _mock(schema: str) -> str:
    from pipelex.values.mock import mock

    return json.dumps(mock(json.loads(schema)))


async def _stand_alone(latency: float, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with StubProvider(latency=latency, port=port, keep_requests=False) as stub:
        print(stub.base_url, flush=True)
        await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m pipelex.testing.provider_stub", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    given = parser.parse_args()
    asyncio.run(_stand_alone(given.latency, given.port))


if __name__ == "__main__":
    main()
