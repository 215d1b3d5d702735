"""What is asked of a maker of images, under the names that its API has for it. Runs on workers; pure.

What a pipe asks for and the model cannot do is an error; a parameter of the model setting is left out, and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pipelex.errors import ConfigError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.providers.provider import ImagePrompt
from pipelex.inference.providers.sizes import pixels, ratio, tier

_LOG = logging.getLogger(__name__)
_OF_SETTING: Final = ("quality", "nb_steps", "guidance_scale", "safety_tolerance", "is_moderated")
_SPOKEN: Final = {"is_raw": "order to leave the prompt as it is"}


def arguments(prompt: ImagePrompt, names: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of one call. `names` maps what may be asked for to the names of the API, and is all it takes.

    `size` named by two words is a width and a height, by one an object that holds them. References go as a list
    under a name that ends in s. What switches a check off, rather than on, begins with `disable`.
    """
    request, model = prompt.request, prompt.model
    asked = {
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "is_raw": request.is_raw,
        "background": request.background,
        "output_format": request.output_format,
    }
    found: dict[str, Any] = {}
    for key, value in asked.items():
        if value is None or (key == "background" and value == "auto"):
            continue
        found[_named(key, names, model)] = value
    for key in _OF_SETTING:
        wanted = getattr(request.model, key)
        if wanted is None:
            continue
        if key in names:
            found[names[key]] = not wanted if names[key].startswith("disable") else wanted
        else:
            left_out(model, key)
    if request.count > 1 and "count" in names:
        found[names["count"]] = request.count
    return found | _shape(prompt, names) | _references(prompt, names)


def refuse(model: ModelSpec, what: str, hint: str | None = None) -> ConfigError:
    """The error for something that a pipe asks for and a model has no parameter for."""
    return ConfigError(
        f"the model {model.handle!r} takes no {what}",
        hint=hint or "leave it out of the pipe, or use another model",
    )


def left_out(model: ModelSpec, key: str) -> None:
    """Log that a parameter of the setting of a model is not sent."""
    _LOG.warning("%s takes no %s: not sent", model.handle, key)


def _named(key: str, names: Mapping[str, str], model: ModelSpec) -> str:
    if key in names:
        return names[key]
    hint = "say in the prompt what to leave out" if key == "negative_prompt" else None
    raise refuse(model, _SPOKEN.get(key, key.replace("_", " ")), hint)


def _shape(prompt: ImagePrompt, names: Mapping[str, str]) -> dict[str, Any]:
    request, model = prompt.request, prompt.model
    found: dict[str, Any] = {}
    shape, level = ratio(request), tier(request)
    if level is not None and "resolution" in names:
        found[names["resolution"]] = level.upper()
    elif (request.size is not None or (shape is not None and "aspect_ratio" not in names)) and "size" in names:
        width, height = pixels(request) or (1024, 1024)
        one, *two = names["size"].split()
        return {one: width, two[0]: height} if two else {one: {"width": width, "height": height}}
    elif request.size is not None and level != "1k":
        raise refuse(model, f"size ({request.size})", "leave the size to it, or use another model")
    if shape is not None:
        found[_named("aspect_ratio", names, model)] = shape
    return found


def _references(prompt: ImagePrompt, names: Mapping[str, str]) -> dict[str, Any]:
    if not prompt.parts:
        return {}
    name = names.get("references")
    if name is None:
        raise refuse(prompt.model, "images to start from", "take the images out of the prompt, or use another model")
    urls = [part.data_url for part in prompt.parts]
    if name.endswith("s"):
        return {name: urls}
    if len(urls) > 1:
        raise refuse(prompt.model, "more than one image to start from", "name one image in the prompt")
    return {name: urls[0]}
