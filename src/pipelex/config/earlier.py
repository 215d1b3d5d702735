"""Sections of earlier pipelex releases: the few that mean the same here are moved, the others are named and ignored."""

from __future__ import annotations

from typing import Any

MOVED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("pipelex", "storage_config"): ("storage",),
    ("runtime", "storage"): ("storage",),
    ("pipelex", "pipeline_execution_config", "max_concurrency"): ("temporal", "execution", "batch_window"),
    ("interpreter", "pipeline_execution", "max_concurrency"): ("temporal", "execution", "batch_window"),
}
"""Earlier place -> place here, where the value means the same."""

SECTIONS = frozenset(
    {
        "pipelex",
        "cogt",
        "runtime",
        "interpreter",
        "kit",
        "run",
        "usage_stats",
        "migration",
        "session_id",
        "gateway_test",
        "project_name",
        "library_config",
        "feature_config",
    }
)
INFERENCE_KEYS = frozenset(
    {
        "model_deck",
        "llm",
        "img_gen",
        "extract",
        "search",
        "doc_gen",
        "judgment",
        "dry_run",
        "templating",
        "prompting",
        "transport_max_retries",
        "tenacity",
        "inference_manager",
        "is_model_fallback_enabled",
        "missing_presets_reaction",
    }
)

KeyPath = tuple[str, ...]


def split(
    values: dict[str, Any], known_inference: frozenset[str]
) -> tuple[list[tuple[KeyPath, KeyPath, Any]], list[str]]:
    """Sort out one file: (place here, place as written, value) in order of increasing priority, and what is ignored."""
    moved = [
        (new, old, value)
        for old, new in MOVED.items()
        if (value := _at(values, old)) is not None and value != "unbounded"
    ]
    ignored: list[str] = []
    kept: list[tuple[KeyPath, KeyPath, Any]] = []
    for key, value in values.items():
        if key in SECTIONS:
            ignored += _leftovers(key, value)
        elif key == "inference" and isinstance(value, dict):
            old_keys = {name for name in value if name in INFERENCE_KEYS and name not in known_inference}
            ignored += [f"inference.{name}" for name in value if name in old_keys]
            kept.append(((key,), (key,), {name: item for name, item in value.items() if name not in old_keys}))
        else:
            kept.append(((key,), (key,), value))
    return moved + kept, ignored


def _at(values: Any, path: KeyPath) -> Any:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return None
        values = values[key]
    return values


def _leftovers(section: str, value: Any) -> list[str]:
    """Names of what is dropped of a section: its sub-tables when only some of it is moved, else the section."""
    moved = {old[1] for old in MOVED if old[0] == section}
    if not isinstance(value, dict) or not moved & value.keys():
        return [section]
    return [f"{section}.{name}" for name in value if name not in moved]
