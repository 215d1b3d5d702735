"""The `model` of a pipe: a reference, or an inline setting with closed keys (MTHDS section 12). Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from pipelex.language.findings import LEGACY, Findings, Path, spoken
from pipelex.language.pipes import ModelChoice
from pipelex.values.frozen import Frozen

INVALID = "blueprint_validation"


class _Setting(Frozen):
    model: str = Field(min_length=1)


class _LLMSetting(_Setting):
    temperature: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    image_detail: Literal["high", "low", "auto"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = Field(default=None, gt=0)


class _ImgGenSetting(_Setting):
    quality: Literal["low", "medium", "high"] | None = None
    nb_steps: int | None = Field(default=None, gt=0)
    guidance_scale: float | None = Field(default=None, gt=0)
    is_moderated: bool | None = None
    safety_tolerance: int | None = Field(default=None, ge=1, le=6)


class _ExtractSetting(_Setting):
    max_nb_images: int | None = Field(default=None, ge=0)
    image_min_size: int | None = Field(default=None, ge=0)


class _SearchSetting(_Setting):
    include_images: bool | None = None
    include_inline_citations: bool | None = None
    max_results: int | None = Field(default=None, ge=1)


_SETTINGS: dict[str, type[_Setting]] = {
    "llm": _LLMSetting,
    "img_gen": _ImgGenSetting,
    "extract": _ExtractSetting,
    "search": _SearchSetting,
    "judgment": _Setting,
}
_EXCLUSIVE = (("reasoning_effort", "reasoning_budget"), ("quality", "nb_steps"))


def read_model(model: object, family: str, path: Path, findings: Findings) -> ModelChoice | None:
    """The choice as written, without the keys that change nothing (`description`, `max_tokens = "auto"`)."""
    if isinstance(model, str):
        if not model.strip("$@~ "):
            findings.error(path, INVALID, f"'{path[-1]}' names no model")
        return model
    if not isinstance(model, dict):
        findings.error(path, INVALID, f"'{path[-1]}' must be a text or a table, not {spoken(model)}")
        return None
    table = dict(model)
    if "description" in table:
        findings.text_at(table.pop("description"), (*path, "description"), INVALID, "'description'")
    setting = _SETTINGS[family]
    if family == "llm":
        if table.get("max_tokens") == "auto":
            del table["max_tokens"]
        if table.pop("prompting_target", None) is not None:
            findings.dated((*path, "prompting_target"), LEGACY, "'prompting_target' is ignored", "remove it")
    table = findings.close_keys(table, tuple(setting.model_fields), path, "a model setting", INVALID)
    for first, second in _EXCLUSIVE:
        if first in table and second in table:
            message = f"'{first}' and '{second}' exclude each other"
            findings.error((*path, second), INVALID, message, "keep one of them")
    if isinstance(table.get("model"), str) and not table["model"].strip("$@~ "):
        findings.error((*path, "model"), INVALID, "the model setting names no model")
        return table
    try:
        setting.model_validate(table, strict=True)
    except ValidationError as error:
        findings.invalid(error, path, "the model setting", {})
    return table
