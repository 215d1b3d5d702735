"""`pipelex show config`: the settings that hold here, and which layer gave each of them. No secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelex.cli.toml_text import Entry, dotted, toml_text

if TYPE_CHECKING:
    from pipelex.config.load import Layer, Loaded

KeyPath = tuple[str, ...]
HIDDEN = "[key]"
_MOVED: tuple[tuple[KeyPath, KeyPath], ...] = (
    (("temporal", "worker_config", "activity_queues"), ("temporal", "activity_queues")),
    (("temporal", "queue_options"), ("temporal", "worker_config", "queue_options")),
)
"""Tables that may be written in two places, each with the other one."""
_PROFILES: KeyPath = ("temporal", "worker_runtime_profiles", "profiles")
_CODEC: KeyPath = ("temporal", "payload_codec_config")
_OF_CODEC = ("threshold_bytes", "method", "path", "s3", "gcp")
"""What `[temporal.payloads]` has from the former codec, when that is enabled."""


class Origin(NamedTuple):
    """The layer that gave a value (`default`, `file`, `environment`, `command line`), and where it says so."""

    layer: str
    source: str | None = None
    line: int | None = None
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = (
            self.layer if self.source is None else self.source if self.line is None else f"{self.source}:{self.line}"
        )
        return ", ".join((place, *self.variables))

    def document(self) -> dict[str, Any]:
        """The same for programs; what is not known is left out."""
        known = {"layer": self.layer, "source": self.source, "line": self.line, "variables": list(self.variables)}
        return {key: value for key, value in known.items() if value}


DEFAULT = Origin("default")


def as_toml(loaded: Loaded, *, with_origin: bool) -> str:
    """The settings as a `pipelex.toml` that says all of them, each with its origin behind it if asked for."""
    found = _found(loaded)
    return toml_text(Entry(path, value, str(origin) if with_origin else None) for path, value, origin in found)


def as_data(loaded: Loaded, *, with_origin: bool) -> Any:
    """The settings as nested tables; with their origins, as a list of values."""
    if with_origin:
        return [{"key": dotted(path), "value": value, **origin.document()} for path, value, origin in _found(loaded)]
    tables: dict[str, Any] = {}
    for path, value, _ in _found(loaded):
        inner = tables
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return tables


def origin_of(layer: Layer, written: KeyPath) -> Origin:
    """What to say of a value that a layer of the settings gave."""
    if layer.text is not None:
        return Origin("file", layer.source, layer.line(written), tuple(layer.variables(written)))
    name = layer.source.removeprefix("environment variable ")
    # Commands override settings by their flags only.
    return Origin("command line") if name == layer.source else Origin("environment", layer.source)


def _found(loaded: Loaded) -> list[tuple[KeyPath, Any, Origin]]:
    from pipelex.inference.redaction import redact, secrets_among, shown_url

    leaves = list(_leaves(loaded.settings.model_dump(), ()))
    texts = {f"{index}": str(value) for index, (_, value) in enumerate(leaves)}
    secrets = secrets_among(loaded.environ) | secrets_among(texts)

    def shown(path: KeyPath, value: Any) -> Any:
        if isinstance(value, str):
            if path[-1] == "api_key_id" and _is_key(value):
                return HIDDEN
            return redact(shown_url(value) if "://" in value or path[-1] == "target_host" else value, secrets)
        if isinstance(value, list):
            return [shown(path, item) for item in value]
        return {key: shown((*path, key), item) for key, item in value.items()} if isinstance(value, dict) else value

    return [(path, shown(path, value), _origin(loaded, path)) for path, value in leaves]


def _is_key(text: str) -> bool:
    """Whether a key was written where its name belongs."""
    return len(re.findall(r"\d", text)) >= 4 and "/" not in text


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Everything that is not a table, in JSON data."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    else:
        yield path, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _duration(value: timedelta) -> str:
    """As one writes it in the settings: `90s`, `10m`, `1h`."""
    milliseconds = value / timedelta(milliseconds=1)
    if milliseconds % 1000:
        return f"{milliseconds:.15g}ms"
    seconds = round(milliseconds / 1000)
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _origin(loaded: Loaded, path: KeyPath) -> Origin:
    found = next(filter(None, (loaded.origins.get(place) for place in _places(path))), None)
    if found is None and path[:2] == ("temporal", "payloads") and path[2] in _OF_CODEC:
        is_read = loaded.settings.temporal.payload_codec_config.is_enabled
        found = loaded.origins.get(_CODEC) if is_read else None
    return DEFAULT if found is None else origin_of(found[0], tuple(map(str, found[1])))


def _places(path: KeyPath) -> Iterator[KeyPath]:
    """Where the value at that place may have been written."""
    yield path
    for here, there in _MOVED:
        if path[: len(here)] == here:
            yield (*there, *path[len(here) :])
    depth = len(_PROFILES)
    if path[:depth] == _PROFILES and len(path) > depth + 1:
        # A profile has from `default` what it does not say itself.
        yield (*_PROFILES, "default", *path[depth + 1 :])
