"""Images over HTTP, as OpenAI and those who speak its API make them. Runs on workers; one attempt per call."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from pipelex.errors import ConfigError, ReplyError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.pricing import cost_usd, unit_cost_usd
from pipelex.inference.providers.arguments import left_out, refuse
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.providers.sizes import pixels
from pipelex.pipes.requests import Usage

_OPENAI: Final = re.compile(r"(?:openai/)?gpt-image")
_SIZES: Final = {"square": "1024x1024", "landscape_3_2": "1536x1024", "portrait_2_3": "1024x1536"}
"""What OpenAI's own image models can draw."""


async def make_images(api: Api, prompt: ImagePrompt) -> Images:
    """Ask for images and read them: bytes, or the urls where the provider put them."""
    body = _body(prompt)
    if prompt.parts:
        form = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in body.items()}
        files = [
            ("image[]", (part.filename or f"image_{number}", part.data, part.mime_type))
            for number, part in enumerate(prompt.parts, 1)
        ]
        answer = await api.post("images/edits", prompt.model, form=form, files=files, key=prompt.key)
    else:
        answer = await api.post("images/generations", prompt.model, body=body, key=prompt.key)
    images = read_images(answer, api.name, prompt.model)
    used = answer.get("usage")
    used = used if isinstance(used, dict) else {}
    tokens = {key: int(used.get(key) or 0) for key in ("input_tokens", "output_tokens")}
    cost = unit_cost_usd(prompt.model.costs, "image", len(images))
    if used and cost is None:
        cost = cost_usd(prompt.model.costs, cached_tokens=0, **tokens)
    return Images(images, Usage(calls=1, images=len(images), cost_usd=cost, **tokens))


def read_images(answer: Any, provider: str, model: ModelSpec) -> tuple[bytes | str, ...]:
    """The images of an answer, each as bytes or as the url where it is. Raises ReplyError when there are none."""
    try:
        images = tuple(_image(item) for item in answer["data"])
    except (TypeError, KeyError, AttributeError, ValueError, binascii.Error):
        images = ()
    if images:
        return images
    raise ReplyError(
        f"{provider} answered with something that is not a list of images",
        retryable=True,
        hint="check the endpoint of the backend: it usually ends in /v1",
        provider=provider,
        model=model.handle,
        status=200,
    )


def _image(item: dict[str, Any]) -> bytes | str:
    encoded = item.get("b64_json")
    return base64.b64decode(encoded, validate=True) if encoded else str(item["url"])


def _body(prompt: ImagePrompt) -> dict[str, Any]:
    request, model = prompt.request, prompt.model
    is_openai = _OPENAI.match(model.model_id) is not None
    body: dict[str, Any] = {"model": model.model_id, "prompt": request.prompt, "n": request.count}
    if (size := _size(prompt, is_openai=is_openai)) is not None:
        body["size"] = size
    given = {
        "quality": request.model.quality,
        "background": request.background,
        "output_format": request.output_format,
        "moderation": None if request.model.is_moderated is None else ("auto" if request.model.is_moderated else "low"),
    }
    body |= {key: value for key, value in given.items() if value is not None}
    others = {
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "num_inference_steps": request.model.nb_steps,
        "guidance_scale": request.model.guidance_scale,
        "safety_tolerance": request.model.safety_tolerance,
        "raw": request.is_raw,
    }
    wanted = {key: value for key, value in others.items() if value is not None}
    if not is_openai:
        # Not one of OpenAI's own parameters; the servers that speak its API for other models take them by these names.
        return body | wanted | ({} if model.model_id.startswith("openai/") else {"response_format": "b64_json"})
    if "negative_prompt" in wanted:
        raise refuse(model, "negative prompt", "say in the prompt what to leave out")
    for key in wanted:
        if key in ("seed", "raw"):
            raise refuse(model, key if key == "seed" else "is_raw")
        left_out(model, key)
    return body


def _size(prompt: ImagePrompt, *, is_openai: bool) -> str | None:
    request = prompt.request
    found = pixels(request)
    if found is None or not is_openai:
        return None if found is None else f"{found[0]}x{found[1]}"
    exact = f"{found[0]}x{found[1]}"
    size = exact if exact in _SIZES.values() else _SIZES.get(request.aspect_ratio or "square")
    if size is None or (request.size or "1k").lower() not in ("1k", size):
        asked = " ".join(filter(None, (request.aspect_ratio, request.size)))
        raise ConfigError(
            f"the model {prompt.model.handle!r} cannot draw an image of {asked}",
            hint=f"it can: {', '.join(_SIZES)}, size 1k",
        )
    return size
