"""Mistral's OCR API on loopback, for tests: real HTTP, scripted faults, counters."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue

from pipelex.testing.provider_stub import PIXEL
from pipelex.testing.stub_http import JSON_TYPE, HttpStub, StubAnswer


class StubMistralOcr(HttpStub):
    """Reads two pages in every file; the first has a picture, where pictures are asked for."""

    @property
    def base_url(self) -> str:
        """What to set as the endpoint of the backend."""
        return f"{self.root_url}/v1"

    def knows(self, path: str) -> bool:
        """Whether it is the path of the API."""
        return path == "/v1/ocr"

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """The kind of document."""
        return str(asked["document"]["type"])

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """Two pages."""
        image: dict[str, JsonValue] = {"id": "img-0.png", "top_left_x": 1, "top_left_y": 1, "bottom_right_x": 9}
        image |= {"bottom_right_y": 9}
        image["image_base64"] = f"data:image/png;base64,{PIXEL}" if asked.get("include_image_base64") else None
        size: JsonValue = {"dpi": 200, "height": 2200, "width": 1700}
        first: JsonValue = {"index": 0, "markdown": "# One\n\n![img-0.png](img-0.png)", "images": [image]}
        second: JsonValue = {"index": 1, "markdown": "| a | b |\n|---|---|\n| 1 | 2 |", "images": []}
        pages: list[JsonValue] = [{**page, "dimensions": size} for page in (second, first) if isinstance(page, dict)]
        usage: JsonValue = {"pages_processed": len(pages), "doc_size_bytes": 1000}
        return StubAnswer(body={"pages": pages, "model": asked["model"], "usage_info": usage})

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A refusal as Mistral words it."""
        said = answer.text or f"scripted {answer.status}"
        error = {"object": "error", "message": said, "type": "invalid_request_error", "code": None}
        return JSON_TYPE, json.dumps(error).encode()
