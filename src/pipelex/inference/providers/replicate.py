"""Images by Replicate, over its REST API of predictions. Runs on workers; a prediction lasts over attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipelex.errors import InferenceError, ReplyError
from pipelex.inference.backends import Access
from pipelex.inference.providers.arguments import arguments
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.jobs import failure, make_images
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.settings import InferenceSettings

_NAMES: Final = {
    "aspect_ratio": "aspect_ratio",
    "seed": "seed",
    "output_format": "output_format",
    "safety_tolerance": "safety_tolerance",
}
"""What most models of Replicate take; a model table may say otherwise."""
_GOING_ON: Final = ("starting", "processing", "queued")


class Replicate:
    """One account of Replicate; the model id is `owner/name`, or `owner/name:version`."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self.name = name
        self._secrets = access.secrets
        self._settings = settings
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def images(self, prompt: ImagePrompt) -> Images:
        """Have the images made; in one prediction where the model can make several at a time."""
        jobs = 1 if "count" in (prompt.model.parameters or _NAMES) else prompt.request.count
        return await make_images(self, prompt, jobs=jobs, within=self._settings.request_timeout)

    async def submit(self, prompt: ImagePrompt) -> str:
        """Begin a prediction, without waiting for it."""
        given = {"prompt": prompt.request.prompt, **arguments(prompt, prompt.model.parameters or _NAMES)}
        if given.get("output_format") == "jpeg":
            given["output_format"] = "jpg"
        body: dict[str, Any] = {"input": given}
        owned, _, version = prompt.model.model_id.partition(":")
        path = "predictions" if version else f"models/{owned}/predictions"
        answer = await self._api.post(path, prompt.model, body=body | ({"version": version} if version else {}))
        try:
            return str(answer["id"])
        except (TypeError, KeyError):
            raise self._odd(prompt) from None

    async def ask(self, job: str, prompt: ImagePrompt) -> Sequence[str] | InferenceError | None:
        """Where a prediction is, and its images once it has them."""
        answer = await self._api.get(f"predictions/{job}", prompt.model)
        try:
            status, output = answer["status"], answer.get("output")
        except (TypeError, KeyError, AttributeError):
            raise self._odd(prompt) from None
        if status in _GOING_ON:
            return None
        if status != "succeeded":
            return failure(self.name, prompt.model.handle, answer.get("error") or f"it is {status}", self._secrets)
        urls = [output] if isinstance(output, str) else output
        if not urls or not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise self._odd(prompt)
        return urls

    async def cancel(self, job: str, prompt: ImagePrompt) -> None:
        """Stop a prediction."""
        await self._api.tell("POST", f"predictions/{job}/cancel", prompt.model)

    def _odd(self, prompt: ImagePrompt) -> ReplyError:
        return ReplyError(
            f"{self.name} answered with something that is not a prediction with images",
            retryable=True,
            hint="check the endpoint of the backend, and that the model makes images",
            provider=self.name,
            model=prompt.model.handle,
            status=200,
        )
