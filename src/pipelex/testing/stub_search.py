"""Linkup, Tavily, Exa and Brave on loopback for tests: real HTTP, the shapes of their answers, scripted faults."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import JsonValue

from pipelex.testing.stub_http import JSON_TYPE, HttpStub, StubAnswer

_PAGE: Final = "https://example.invalid/1"
_PICTURE: Final = "https://example.invalid/1.png"


class SearchStub(HttpStub):
    """Answers each API by what only its requests have. It finds one page, and a mock where a schema is to be filled."""

    @property
    def base_url(self) -> str:
        """What to set as the endpoint of the backend."""
        return self.root_url

    def knows(self, path: str) -> bool:
        """The paths of all four."""
        return path in ("/search", "/answer", "/web/search")

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """The question."""
        return str(asked.get("q") or asked.get("query") or "")

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """What the API that is asked would answer."""
        if path == "/web/search":
            page: JsonValue = {"title": "One", "url": _PAGE, "description": "s", "extra_snippets": ["more"]}
            return StubAnswer(body={"type": "search", "query": {"original": asked["q"]}, "web": {"results": [page]}})
        if path == "/answer":
            answer = _mock(asked["outputSchema"]) if "outputSchema" in asked else "ok"
            cited: JsonValue = {"id": _PAGE, "url": _PAGE, "title": "One", "text": "s"}
            return StubAnswer(body={"answer": answer, "citations": [cited], "costDollars": {"total": 0.005}})
        if "contents" in asked:
            found: JsonValue = {
                "id": _PAGE,
                "url": _PAGE,
                "title": "One",
                "highlights": ["s", "more"],
                "image": _PICTURE,
            }
            return StubAnswer(body={"requestId": "r", "results": [found], "costDollars": {"total": 0.007}})
        if asked.get("outputType") == "structured":
            return StubAnswer(body=_mock(json.loads(asked["structuredOutputSchema"])))
        if "outputType" in asked:
            source: JsonValue = {"name": "One", "url": _PAGE, "snippet": "s"}
            return StubAnswer(body={"answer": "ok", "sources": [source]})
        result: JsonValue = {"title": "One", "url": _PAGE, "content": "s", "score": 0.9}
        images: list[JsonValue] = [{"url": _PICTURE, "description": "a cup"}] if asked.get("include_images") else []
        return StubAnswer(body={"query": asked.get("query"), "answer": "ok", "images": images, "results": [result]})

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A fault in the words of the answer."""
        return JSON_TYPE, json.dumps({"error": {"message": answer.text or f"scripted {answer.status}"}}).encode()


def _mock(schema: dict[str, JsonValue]) -> JsonValue:
    from pipelex.values.mock import mock

    return mock(schema)
