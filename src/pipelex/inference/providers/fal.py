"""Images by fal, over the REST API of its queue: submit, poll, fetch. Runs on workers; a job lasts over attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipelex.errors import InferenceError, ProviderDownError, ReplyError, RequestRefusedError
from pipelex.inference.backends import Access
from pipelex.inference.providers.arguments import arguments
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.jobs import failure, make_images
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.settings import InferenceSettings

_NAMES: Final = {
    "count": "num_images",
    "size": "image_size",
    "seed": "seed",
    "output_format": "output_format",
    "nb_steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "is_moderated": "enable_safety_checker",
}
"""What most models of fal take; a model table may say otherwise."""
_SPACES: Final = ("workflows", "comfy")
"""What may stand before the owner in the id of a model."""


class Fal:
    """One account of fal; the model id is the path of the model, such as `fal-ai/flux/dev`."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self.name = name
        self._secrets = access.secrets
        self._settings = settings
        self._api = Api(name, access, settings, {"authorization": f"Key {access.api_key}"} if access.api_key else {})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def images(self, prompt: ImagePrompt) -> Images:
        """Have the images made; in one job where the model can make several at a time."""
        jobs = 1 if "count" in (prompt.model.parameters or _NAMES) else prompt.request.count
        return await make_images(self, prompt, jobs=jobs, within=self._settings.request_timeout)

    async def submit(self, prompt: ImagePrompt) -> str:
        """Put a job in the queue of the model."""
        body = {"prompt": prompt.request.prompt, **arguments(prompt, prompt.model.parameters or _NAMES)}
        if "safety_tolerance" in body:
            body["safety_tolerance"] = str(body["safety_tolerance"])
        answer = await self._api.post(prompt.model.model_id, prompt.model, body=body)
        try:
            return str(answer["request_id"])
        except (TypeError, KeyError):
            raise self._odd(prompt) from None

    async def ask(self, job: str, prompt: ImagePrompt) -> Sequence[str] | InferenceError | None:
        """Where a job is, and its images once it is done."""
        path = f"{_app(prompt.model.model_id)}/requests/{job}"
        state = await self._api.get(f"{path}/status", prompt.model)
        if not isinstance(state, dict) or "status" not in state:
            raise self._odd(prompt)
        if state["status"] != "COMPLETED":
            return None
        if state.get("error"):
            return failure(self.name, prompt.model.handle, state["error"], self._secrets)
        try:
            result = await self._api.get(path, prompt.model)
        except (ProviderDownError, RequestRefusedError) as error:
            # A job that failed answers with the status of its failure; these others say nothing of the job.
            if error.status in (None, 404, 408, 410, 502, 503):
                raise
            return error
        try:
            images = result["images"] if "images" in result else [result["image"]]
            if any(result.get("has_nsfw_concepts") or ()):
                return failure(self.name, prompt.model.handle, "its safety checker found NSFW content", self._secrets)
            return [str(image["url"]) for image in images]
        except (TypeError, KeyError, AttributeError):
            raise self._odd(prompt) from None

    async def cancel(self, job: str, prompt: ImagePrompt) -> None:
        """Take a job out of the queue, or stop it."""
        await self._api.tell("PUT", f"{_app(prompt.model.model_id)}/requests/{job}/cancel", prompt.model)

    def _odd(self, prompt: ImagePrompt) -> ReplyError:
        return ReplyError(
            f"{self.name} answered with something that is not a job of its queue",
            retryable=True,
            hint="check the endpoint of the backend: that of the queue is https://queue.fal.run",
            provider=self.name,
            model=prompt.model.handle,
            status=200,
        )


def _app(model_id: str) -> str:
    """What jobs are asked for by: the owner and the name, without the paths below."""
    parts = model_id.strip("/").split("/")
    return "/".join(parts[: 3 if parts[0] in _SPACES else 2])
