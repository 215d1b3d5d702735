"""Images by xAI, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

from typing import Any, Final

from pipelex.inference.backends import Access
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.providers.arguments import arguments
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.openai_images import read_images
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import Usage

_NAMES: Final = {"count": "n", "aspect_ratio": "aspect_ratio", "resolution": "resolution"}
"""What all models of xAI take; a model table may add to it."""


class XaiImages:
    """The images API of xAI: like OpenAI's, but for shapes, tiers and references."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def images(self, prompt: ImagePrompt) -> Images:
        """Ask for images, after those given as references if there are any."""
        model = prompt.model
        asked = ImagePrompt(prompt.request, model)
        body: dict[str, Any] = {"model": model.model_id, "prompt": prompt.request.prompt, "response_format": "b64_json"}
        body |= arguments(asked, model.parameters or _NAMES)
        if "resolution" in body:
            body["resolution"] = body["resolution"].lower()
        path = "images/generations"
        if prompt.parts:
            path = "images/edits"
            references = [{"url": part.data_url, "type": "image_url"} for part in prompt.parts]
            body |= {"image": references[0]} if len(references) == 1 else {"images": references}
        images = read_images(await self._api.post(path, model, body=body), self._api.name, model)
        cost = unit_cost_usd(model.costs, "image", len(images))
        return Images(images, Usage(calls=1, images=len(images), cost_usd=cost))
