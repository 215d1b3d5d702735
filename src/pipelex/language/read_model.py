"""The `model` of a pipe: a reference, or an inline setting with closed keys (MTHDS section 12). Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from pipelex.language.findings import Findings, Path, spoken
from pipelex.language.pipes import ModelChoice
from pipelex.values.frozen import Frozen

INVALID = "blueprint_validation"


class _ExtractSetting(Frozen):
    model: str = Field(min_length=1)


class _LLMSetting(_ExtractSetting):
    temperature: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    image_detail: Literal["high", "low", "auto"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = Field(default=None, gt=0)


_SETTINGS: dict[str, type[_ExtractSetting]] = {"llm": _LLMSetting, "extract": _ExtractSetting}
_TO_COME = {"llm": (), "extract": ("max_nb_images", "image_min_size")}


def read_model(model: object, family: str, path: Path, findings: Findings) -> ModelChoice | None:
    """The choice as written, without the keys that change nothing (`description`, `max_tokens = "auto"`)."""
    if isinstance(model, str):
        if not model.strip("$@~ "):
            findings.error(path, INVALID, "'model' names no model")
        return model
    if not isinstance(model, dict):
        findings.error(path, INVALID, f"'model' must be a text or a table, not {spoken(model)}")
        return None
    table = dict(model)
    table.pop("description", None)
    if table.get("max_tokens") == "auto":
        del table["max_tokens"]
    if table.pop("prompting_target", None) is not None:
        hint = "remove it"
        findings.warn((*path, "prompting_target"), "legacy_spelling", "'prompting_target' is ignored", hint)
    for key in _TO_COME[family]:
        if table.pop(key, None) is not None:
            findings.unsupported((*path, key), f"'{key}' in a model setting")
    setting = _SETTINGS[family]
    table = findings.close_keys(table, tuple(setting.model_fields), path, "a model setting", INVALID)
    if "reasoning_effort" in table and "reasoning_budget" in table:
        message = "'reasoning_effort' and 'reasoning_budget' exclude each other"
        findings.error((*path, "reasoning_budget"), INVALID, message, "keep one of them")
    try:
        setting.model_validate(table, strict=True)
    except ValidationError as error:
        findings.invalid(error, path, "the model setting", {})
    return table
