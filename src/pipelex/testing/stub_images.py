"""Makers of images on loopback for tests: the queue of fal, the predictions of Replicate, the drawings of Gemini."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from pydantic import JsonValue

from pipelex.testing.provider_stub import PIXEL
from pipelex.testing.stub_http import JSON_TYPE, HttpStub, StubAnswer

_FILES: Final = "/files/"


class _ImageStub(HttpStub):
    @property
    def base_url(self) -> str:
        """What to set as the endpoint of the backend."""
        return self.root_url

    def knows(self, path: str) -> bool:
        """Every path."""
        return path != "/count"

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """What is to be drawn."""
        return str(asked.get("prompt") or (asked.get("input") or {}).get("prompt") or "")

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A fault in the words of the answer."""
        return JSON_TYPE, json.dumps({"detail": answer.text or f"scripted {answer.status}"}).encode()


class JobStub(_ImageStub):
    """Takes jobs, tells that each goes on for `polls` times, then gives a file for each image; `failure` is why not.

    `jobs` holds what was submitted, in order, `cancelled` the ids of those that were stopped. Without `polls` no job
    ever ends.
    """

    polls: int | None = 1
    failure: str | None = None

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.jobs: list[dict[str, Any]] = []
        self.polled: dict[str, int] = {}
        self.cancelled: list[str] = []

    def take(self, asked: dict[str, Any]) -> str:
        """Note a job that is submitted; its id."""
        self.jobs.append(asked)
        return f"job-{len(self.jobs)}"

    def is_done(self, job: str) -> bool:
        """Count a poll of a job, and say whether it has ended."""
        self.polled[job] = self.polled.get(job, 0) + 1
        return self.polls is not None and self.polled[job] > self.polls

    def urls(self, job: str, count: int) -> list[JsonValue]:
        """Where the images of a job are."""
        return [f"{self.root_url}{_FILES}{job}-{number}.png" for number in range(1, count + 1)]

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """A file, or what the API answers."""
        if path.startswith(_FILES):
            return StubAnswer(body=base64.b64decode(PIXEL), headers={"content-type": "image/png"})
        return self.answer(asked, path)

    def answer(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """What the API answers."""
        raise NotImplementedError


class FalStub(JobStub):
    """The queue of fal."""

    def answer(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """A job taken, its status, or its result."""
        _, _, rest = path.partition("/requests/")
        if not rest:
            job = self.take(asked)
            return StubAnswer(body={"request_id": job, "status": "IN_QUEUE", "queue_position": 0})
        job, _, status = rest.partition("/")
        if status == "cancel":
            self.cancelled.append(job)
            return StubAnswer(status=202, body={"status": "CANCELLATION_REQUESTED"})
        if status:
            if not self.is_done(job):
                return StubAnswer(status=202, body={"request_id": job, "status": "IN_PROGRESS"})
            return StubAnswer(body={"request_id": job, "status": "COMPLETED"})
        if self.failure is not None:
            fault: JsonValue = {"loc": ["body", "prompt"], "msg": self.failure, "type": "content_policy_violation"}
            return StubAnswer(status=422, body={"detail": [fault]})
        count = int(self.jobs[int(job.removeprefix("job-")) - 1].get("num_images", 1))
        images: list[JsonValue] = [
            {"url": url, "width": 1, "height": 1, "content_type": "image/png"} for url in self.urls(job, count)
        ]
        return StubAnswer(body={"images": images, "seed": 1, "has_nsfw_concepts": [False] * count})


class ReplicateStub(JobStub):
    """The predictions of Replicate."""

    def answer(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """A prediction begun, or where it is."""
        if path.endswith("/predictions"):
            return StubAnswer(status=201, body=self._prediction(self.take(asked["input"]), "starting"))
        if path.endswith("/cancel"):
            job = path.split("/")[-2]
            self.cancelled.append(job)
            return StubAnswer(body=self._prediction(job, "canceled"))
        job = path.rpartition("/")[2]
        if not self.is_done(job):
            return StubAnswer(body=self._prediction(job, "processing"))
        if self.failure is not None:
            return StubAnswer(body={**self._prediction(job, "failed"), "error": self.failure})
        count = self.jobs[int(job.removeprefix("job-")) - 1].get("num_outputs")
        urls = self.urls(job, count or 1)
        return StubAnswer(body={**self._prediction(job, "succeeded"), "output": urls if count else urls[0]})

    def _prediction(self, job: str, status: str) -> dict[str, JsonValue]:
        return {"id": job, "status": status, "error": None, "output": None, "urls": {"get": f"/predictions/{job}"}}


class GeminiImageStub(_ImageStub):
    """Gemini models that draw: one pixel a call."""

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """The text of the prompt."""
        return str(asked["contents"][0]["parts"][0]["text"])

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """A drawing, with a word about it."""
        drawing: JsonValue = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
        candidate: JsonValue = {
            "content": {"role": "model", "parts": [{"text": "Here it is."}, drawing]},
            "finishReason": "STOP",
        }
        usage: JsonValue = {
            "promptTokenCount": 10,
            "candidatesTokenCount": 1300,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        }
        return StubAnswer(body={"candidates": [candidate], "usageMetadata": usage})

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """A fault as Google tells it."""
        error = {"code": answer.status, "message": answer.text or f"scripted {answer.status}", "status": "SCRIPTED"}
        return JSON_TYPE, json.dumps({"error": error}).encode()
