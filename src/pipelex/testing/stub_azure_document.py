"""The API of Azure Document Intelligence on loopback, for tests: jobs that are asked for until they are done."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import h11
from pydantic import JsonValue

from pipelex.testing.provider_stub import PIXEL
from pipelex.testing.stub_http import JSON_TYPE, Answered, Behaviour, Caller, HttpStub, Received, StubAnswer

_JOB: Final = "0d3f5a2e-0000-4000-8000-000000000001"
_PAGES: Final = ("# One\n\nfirst caf\u00e9 \U0001f600\n", "second\n")


class StubAzureDocument(HttpStub):
    """Reads two pages in every file, the first with a figure. `states` are answered first to who asks for a job."""

    def __init__(self, behaviour: Behaviour | None = None, *, states: Sequence[StubAnswer] = ()) -> None:
        super().__init__(behaviour)
        self.states = deque(states)
        self.asked: list[Received] = []

    def knows(self, path: str) -> bool:
        """Whether jobs are begun there."""
        return path.startswith("/documentintelligence/documentModels/") and path.endswith(":analyze")

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """The path, which names the model."""
        return path

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """A job, which has not begun."""
        place = path.removesuffix(":analyze")
        # Another host, as behind a gateway: the key must not go there.
        where = f"https://elsewhere.invalid{place}/analyzeResults/{_JOB}?api-version=2024-11-30"
        return StubAnswer(status=202, body=b"", headers={"operation-location": where, "retry-after": "0"})

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A refusal as Azure words it."""
        error = {"error": {"code": str(answer.status), "message": answer.text or f"scripted {answer.status}"}}
        return JSON_TYPE, json.dumps(error).encode()

    async def _answer(self, request: h11.Request, body: bytes, caller: Caller) -> Answered:
        path, _, query = request.target.decode().partition("?")
        if request.method != b"GET" or "/analyzeResults/" not in path:
            return await super()._answer(request, body, caller)
        self.asked.append(Received(path, {key.decode(): value.decode() for key, value in request.headers}, {}, query))
        if path.endswith("/figures/1.1"):
            return 200, {"content-type": "image/png"}, base64.b64decode(PIXEL)
        answer = self.states.popleft() if self.states else StubAnswer(body=_done())
        if answer.drop:
            return None
        if isinstance(answer.body, bytes):
            return answer.status, answer.headers, answer.body
        content = self.content(answer, {}, path)[1] if answer.body is None else json.dumps(answer.body).encode()
        return answer.status, {**JSON_TYPE, **answer.headers}, content


def _done() -> JsonValue:
    mark = "<!-- PageBreak -->\n\n"
    content = mark.join(_PAGES)
    first = len(_PAGES[0])
    pages: JsonValue = [
        {"pageNumber": 1, "spans": [{"offset": 0, "length": first}]},
        {"pageNumber": 2, "spans": [{"offset": first, "length": len(content) - first}]},
    ]
    figures: JsonValue = [{"id": "1.1", "boundingRegions": [{"pageNumber": 1, "polygon": []}], "spans": []}]
    result: JsonValue = {"content": content, "pages": pages, "figures": figures, "contentFormat": "markdown"}
    return {"status": "succeeded", "analyzeResult": result}
