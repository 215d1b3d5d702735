"""Images by Gemini models, over the REST API of Google. Runs on workers; one attempt per call."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, Final

from pipelex.errors import ReplyError, RequestRefusedError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.providers.arguments import arguments
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import Usage

_NAMES: Final = {"aspect_ratio": "aspectRatio", "resolution": "imageSize", "seed": "seed"}
"""What all these models take but the oldest, which draws in one size; a model table may say otherwise."""
_WITHHELD: Final = ("SAFETY", "PROHIBITED", "BLOCKLIST", "RECITATION", "SPII")
_WHOLE: Final = ("STOP", None)


class GoogleImages:
    """Gemini models that draw. Each call draws one image, so several images are several calls at once."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._versions = "" if access.endpoint.endswith(("/v1", "/v1beta")) else "v1beta/"
        self._api = Api(name, access, settings, {"x-goog-api-key": access.api_key} if access.api_key else {})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def images(self, prompt: ImagePrompt) -> Images:
        """Ask for each of the images."""
        body = _body(prompt)
        path = f"{self._versions}models/{prompt.model.model_id}:generateContent"
        calls = (self._api.post(path, prompt.model, body=body) for _ in range(prompt.request.count))
        # All are waited for, so that none goes on when one has failed.
        answers = await asyncio.gather(*calls, return_exceptions=True)
        images: list[bytes | str] = []
        usage = Usage()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found = self._read(answer, prompt.model)
            images += found
            usage += _usage(answer.get("usageMetadata") or {}, prompt.model, len(found))
        return Images(tuple(images), usage)

    def _read(self, answer: Any, model: ModelSpec) -> list[bytes]:
        facts: dict[str, Any] = {"provider": self._api.name, "model": model.handle, "status": 200}
        try:
            candidates = answer.get("candidates") or []
            reason = (answer.get("promptFeedback") or {}).get("blockReason")
            reason = reason or (candidates[0].get("finishReason") if candidates else None)
            parts = (candidates[0].get("content") or {}).get("parts") or [] if candidates else []
            encoded = [part["inlineData"]["data"] for part in parts if "inlineData" in part and not part.get("thought")]
            images = [base64.b64decode(data, validate=True) for data in encoded]
        except (TypeError, KeyError, AttributeError, binascii.Error):
            raise ReplyError(
                f"{self._api.name} answered with something that is not a drawing",
                retryable=True,
                hint="check the endpoint of the backend: it usually ends in /v1beta",
                **facts,
            ) from None
        if images and reason in _WHOLE:
            return images
        if any(word in str(reason) for word in _WITHHELD):
            raise RequestRefusedError(
                f"{self._api.name} refuses to draw this ({reason})",
                hint="reword the prompt: it is against the content policy of the provider",
                **facts,
            )
        said = " ".join(str(part.get("text") or "") for part in parts).strip()[:300]
        raise ReplyError(
            f"{self._api.name} drew nothing ({reason or 'no reason given'}){': ' + said if said else ''}",
            retryable=True,
            hint="say in the prompt that an image is wanted",
            **facts,
        )


def _body(prompt: ImagePrompt) -> dict[str, Any]:
    found = arguments(ImagePrompt(prompt.request, prompt.model), prompt.model.parameters or _NAMES)
    configured: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if "seed" in found:
        configured["seed"] = found.pop("seed")
    if found:
        configured["imageConfig"] = found
    files = [
        {"inlineData": {"mimeType": part.mime_type, "data": base64.b64encode(part.data).decode()}}
        for part in prompt.parts
    ]
    contents = [{"role": "user", "parts": [{"text": prompt.request.prompt}, *files]}]
    return {"contents": contents, "generationConfig": configured}


def _usage(used: dict[str, Any], model: ModelSpec, images: int) -> Usage:
    """What a call consumed. Tokens of images, priced as `output_image`, are among those of the output."""
    read = int(used.get("promptTokenCount") or 0)
    written = int(used.get("candidatesTokenCount") or 0) + int(used.get("thoughtsTokenCount") or 0)
    details = used.get("candidatesTokensDetails") or ()
    drawn = sum(int(item.get("tokenCount") or 0) for item in details if item.get("modality") == "IMAGE")
    costs = model.costs
    cost = unit_cost_usd(costs, "image", images)
    if cost is None and drawn and {"input", "output", "output_image"} <= costs.keys():
        total = read * costs["input"] + (written - drawn) * costs["output"] + drawn * costs["output_image"]
        cost = total / 1_000_000
    return Usage(calls=1, input_tokens=read, output_tokens=written, images=images, cost_usd=cost)
