"""The deck: model references of methods -> settings with a handle. Runs on the submitter, once per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from pipelex.errors import ConfigError, ModelNotFoundError
from pipelex.inference.backends import EXTRA_OF_SDK, Backends
from pipelex.inference.secrets import Secrets
from pipelex.inference.tables import (
    Table,
    check_keys,
    check_table,
    defaults,
    did_you_mean,
    first_found,
    is_table,
    merged,
    read_table,
    toml_files,
)
from pipelex.language.pipes import ModelChoice
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.models import Family, ModelAsk, model_asks
from pipelex.pipes.requests import ModelSetting
from pipelex.values.frozen import Frozen

_SIGILS: Final = {"$": "preset", "@": "alias", "~": "waterfall"}
_KINDS: Final = {"preset": "presets", "alias": "aliases", "waterfall": "waterfalls"}
_FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
_ONE_CHOICE: Final = ("choice_default", "choice_override")
_CHOICES: Final = {
    "llm": ("choice_defaults", "choice_overrides"),
    "img_gen": (*_ONE_CHOICE, "default_quality"),
}
_KEYS: Final = ("aliases", "presets", "waterfalls")
_CALLED_AS: Final[Mapping[str, str]] = {"judgment": "llm"}
"""Judgments are asked of language models."""
_SIMULATED: Final = ("llm", "img_gen", "search", "judgment")
"""What the simulated backend can stand in for."""
_OF_KITS: Final = {"max_nb_images": 100, "image_min_size": 50}
"""What the extraction presets of earlier kits say, which nobody chose: they mean no more than a model."""
_UNSUPPORTED: Final = {
    "max_nb_images": "use max_page_images in the pipe",
    "image_min_size": "leave it out: every image of a page is kept",
}


class _LlmParameters(Frozen):
    """The keys of a language model setting besides `model` (MTHDS section 12.2)."""

    temperature: float | None = Field(default=None, ge=0, le=1)
    max_tokens: PositiveInt | Literal["auto"] | None = None
    image_detail: Literal["high", "low", "auto"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = Field(default=None, gt=0)
    seed: int | None = None
    description: str | None = None
    prompting_target: str | None = None


class _ExtractParameters(Frozen):
    """The keys of an extraction setting besides `model`."""

    description: str | None = None


class _ImageParameters(Frozen):
    """The keys of an image setting besides `model`."""

    quality: Literal["low", "medium", "high"] | None = None
    nb_steps: PositiveInt | None = None
    guidance_scale: PositiveFloat | None = None
    is_moderated: bool | None = None
    safety_tolerance: int | None = Field(default=None, ge=1, le=6)
    description: str | None = None


class _SearchParameters(Frozen):
    """The keys of a search setting besides `model`."""

    include_images: bool | None = None
    include_inline_citations: bool | None = None
    max_results: PositiveInt | None = None
    description: str | None = None


class _JudgmentParameters(Frozen):
    """The keys of a judgment setting besides `model`."""

    description: str | None = None


_SHAPES: Final[Mapping[str, type[Frozen]]] = {
    "llm": _LlmParameters,
    "extract": _ExtractParameters,
    "img_gen": _ImageParameters,
    "search": _SearchParameters,
    "judgment": _JudgmentParameters,
}


class Deck:
    """Presets, aliases and waterfalls over the backends of this process.

    `tables` maps a family to its merged tables; other families of a deck file are left alone.
    """

    def __init__(self, tables: Mapping[str, Table], backends: Backends) -> None:
        self.backends = backends
        self._tables: dict[str, Table] = {family: tables.get(family, {}) for family in _FAMILIES}

    @classmethod
    def load(cls, dirs: Sequence[Path] = (), secrets: Secrets | Mapping[str, str] | None = None) -> Deck:
        """Lay the user's deck, backends and routes over the built-in ones.

        `dirs` are configuration folders (`.pipelex`, or their `inference` folder), the project's before the user's
        own. Of each file or folder the first found counts. Keys are looked up in `secrets`,
        or in that environment alone.
        """
        tables: Table = {}
        for folder in (defaults() / "deck", first_found(dirs, "deck")):
            for file in toml_files(folder) if folder is not None and folder.is_dir() else ():
                tables = merged(tables, _deck_table(read_table(file), str(file)))
        return cls(tables, Backends.load(dirs, secrets))

    def settings_for(self, crate: LibraryCrate, *, simulate: bool = False) -> dict[str, ModelSetting]:
        """The setting of every model that the pipes of a crate ask for, by `ModelAsk.key`.

        With `simulate`, models go to the simulated backend whether or not a real one could serve them, except those
        that read documents, which need no key.
        """
        settings: dict[str, ModelSetting] = {}
        for pipe, ask in model_asks(crate).items():
            if ask.key not in settings:
                try:
                    settings[ask.key] = self.setting(ask, simulate=simulate)
                except ConfigError as error:
                    error.where = f"pipe {pipe}" + (f", {error.where}" if error.where else "")
                    raise
        return settings

    def setting(self, ask: ModelAsk, *, simulate: bool = False) -> ModelSetting:
        """Resolve one choice of model. Raises ModelNotFoundError with close matches, or why no backend can serve it."""
        choice = ask.choice if ask.choice is not None else self._default(ask)
        handle, parameters = self._resolve(choice, ask.family, ())
        called_as = _CALLED_AS.get(ask.family, ask.family)
        is_simulated = simulate and ask.family in _SIMULATED
        if not is_simulated:
            self.backends.route(handle, family=called_as)
        if ask.family == "llm" and "temperature" not in parameters:
            temperature = self._tables["llm"].get("choice_defaults", {}).get("default_temperature")
            parameters = {"temperature": temperature, **parameters}
        if ask.family == "img_gen" and not parameters.keys() & {"quality", "nb_steps"}:
            parameters = {"quality": self._tables["img_gen"].get("default_quality"), **parameters}
        return _setting(handle, parameters, called_as, "simulated" if is_simulated else None)

    def refused(self, ask: ModelAsk) -> str | None:
        """Which part of a setting written in the method its model is known to refuse, as a sentence."""
        if ask.family != "llm" or not isinstance(ask.choice, dict):
            return None
        model = self.backends.route(self.setting(ask).handle, family="llm").model
        if ask.choice.get("temperature") is not None and not model.takes_temperature:
            return f"the model {model.handle!r} takes no temperature"
        takes_budget = model.sdk in EXTRA_OF_SDK
        if ask.choice.get("reasoning_budget") is not None and not takes_budget:
            return f"the model {model.handle!r} takes a reasoning_effort, not a reasoning_budget"
        return None

    def _default(self, ask: ModelAsk) -> ModelChoice:
        tables = self._tables[ask.family]
        if ask.family != "llm":
            override, default = tables.get("choice_override"), tables.get("choice_default")
        else:
            override = tables.get("choice_overrides", {}).get(ask.default)
            default = tables.get("choice_defaults", {}).get(ask.default)
        chosen = default if override in (None, "", "disabled") else override
        if not isinstance(chosen, str | dict) or not chosen:
            raise ModelNotFoundError(
                f"the deck has no default model for {ask.family} ({ask.default})",
                hint="set it in .pipelex/inference/deck/, or give the pipe a model",
            )
        return chosen

    def _resolve(self, choice: ModelChoice, family: Family, trail: tuple[str, ...]) -> tuple[str, Table]:
        """The handle behind a choice, and the parameters that settings on the way to it give; the outermost wins."""
        if is_table(choice):
            return self._resolve_setting(choice, family, trail)
        if not isinstance(choice, str) or not choice.strip():
            raise ModelNotFoundError(f"{choice!r} is not a model reference", hint="write a name such as '$default'")
        if choice in trail:
            raise ConfigError(f"model references go round in circles: {' -> '.join((*trail, choice))}")
        kind, name = _split(choice)
        if kind == "handle":
            return name, {}
        kind = kind or self._kind_of_bare(name, family)
        if kind is None:
            return self._bare_handle(name, family)
        if not self._has(kind, name, family) and family in _CALLED_AS:
            family = cast(Family, _CALLED_AS[family])
        found = self._tables[family].get(_KINDS[kind], {}).get(name)
        if found is None:
            raise self._unknown(choice, kind, name, family)
        trail = (*trail, choice)
        if isinstance(found, list):
            return self._first_served([str(item) for item in found], family, trail)
        return self._resolve(found, family, trail)

    def _resolve_setting(self, table: Table, family: Family, trail: tuple[str, ...]) -> tuple[str, Table]:
        model = table.get("model")
        if not isinstance(model, str):
            raise ConfigError("a model setting needs a model", where=_last(trail), hint='add model = "$default"')
        parameters = {key: value for key, value in table.items() if key != "model"}
        if family == "extract" and trail:
            parameters = {
                key: value for key, value in parameters.items() if key not in _OF_KITS or value != _OF_KITS[key]
            }
        for key in parameters:
            if key in _UNSUPPORTED and family == "extract":
                raise ConfigError(f"{key} is not supported by this version", where=_last(trail), hint=_UNSUPPORTED[key])
        check_keys(parameters, _SHAPES[family].model_fields, _last(trail) or f"model setting of {model}")
        handle, inner = self._resolve(model, family, trail)
        # A preset named inside a setting only lends its handle (MTHDS section 12.1).
        return handle, parameters if _split(model)[0] == "preset" else {**inner, **parameters}

    def _first_served(self, choices: list[str], family: Family, trail: tuple[str, ...]) -> tuple[str, Table]:
        """The first choice that an enabled backend serves and whose key is here; without any key, the first served."""
        served: list[tuple[str, Table]] = []
        refused: list[ModelNotFoundError] = []
        for choice in choices:
            try:
                handle, parameters = self._resolve(choice, family, trail)
                route = self.backends.route(handle, family=_CALLED_AS.get(family, family))
            except ModelNotFoundError as error:
                refused.append(error)
                continue
            served.append((handle, parameters))
            if self.backends.has_credentials(route.backend):
                return handle, parameters
        if served:
            return served[0]
        raise refused[0] if refused else ModelNotFoundError(f"{trail[-1]!r} lists no model")

    def _kind_of_bare(self, name: str, family: Family) -> str | None:
        """A bare name is a handle, else an alias, else a waterfall, else a preset."""
        if self.backends.declares(name):
            return None
        families = [family, *filter(None, [_CALLED_AS.get(family)])]
        found = (kind for kind in ("alias", "waterfall", "preset") for each in families if self._has(kind, name, each))
        return next(found, None)

    def _bare_handle(self, name: str, family: Family) -> tuple[str, Table]:
        if not self.backends.is_routed(name):
            raise self._unknown(name, "handle", name, family)
        return name, {}

    def _has(self, kind: str, name: str, family: str) -> bool:
        return name in self._tables[family].get(_KINDS[kind], {})

    def _unknown(self, choice: str, kind: str, name: str, family: Family) -> ModelNotFoundError:
        if kind == "handle":
            known = [*self.backends.handles(), *self._tables[family].get("aliases", {})]
            hint = did_you_mean(name, known)
        else:
            elsewhere = [other for other in _KINDS if other != kind and self._has(other, name, family)]
            sigils = {kind: sigil for sigil, kind in _SIGILS.items()}
            hint = did_you_mean(name, self._tables[family].get(_KINDS[kind], {}))
            if elsewhere:
                hint = f"{name!r} names another kind of reference, {elsewhere[0]}: write '{sigils[elsewhere[0]]}{name}'"
        return ModelNotFoundError(
            f"unknown {family} model reference {choice!r}: there is no {kind} {name!r}",
            hint=f"{hint}; or define it in .pipelex/inference/deck/",
        )


def _split(choice: str) -> tuple[str | None, str]:
    """The kind that a reference says it is, None for a bare name, and the name."""
    text = choice.strip()
    if text[0] in _SIGILS:
        return _SIGILS[text[0]], text[1:].strip()
    kind, colon, name = text.partition(":")
    # Handles hold colons too ("llama3:8b"), so only the words of the language count.
    return (kind, name.strip()) if colon and kind in (*_KINDS, "handle") else (None, text)


def _last(trail: tuple[str, ...]) -> str | None:
    return trail[-1] if trail else None


def _setting(handle: str, parameters: Table, family: str, backend: str | None) -> ModelSetting:
    given = {key: value for key, value in parameters.items() if value is not None}
    try:
        checked = _SHAPES[family].model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"][:1])
        raise ConfigError(f"{key} = {first['input']!r} in the setting of {handle!r}: {first['msg']}") from None
    for one, other in (("reasoning_effort", "reasoning_budget"), ("quality", "nb_steps")):
        if one in given and other in given:
            raise ConfigError(f"the setting of {handle!r} gives both {one} and {other}", hint="keep one of them")
    values: dict[str, Any] = checked.model_dump(exclude={"description", "prompting_target"}, exclude_defaults=True)
    if values.get("max_tokens") == "auto":
        del values["max_tokens"]
    return ModelSetting(handle=handle, backend=backend, **values)


def _deck_table(table: Table, source: str) -> Table:
    """The families we use, with their keys checked; sections for other families are none of our business."""
    ours: Table = {
        family: check_table(table[family], f"{source}: [{family}]") for family in _FAMILIES if family in table
    }
    for family, content in ours.items():
        choices = _CHOICES.get(family, _ONE_CHOICE)
        check_keys(content, (*_KEYS, *choices), f"{source}: [{family}]")
        for key, value in content.items():
            if key == "default_quality":
                _check_quality(value, f"{source}: [{family}]")
            elif key not in _ONE_CHOICE:
                check_table(value, f"{source}: [{family}.{key}]")
    return ours


def _check_quality(value: object, where: str) -> None:
    known = ("low", "medium", "high")
    if value not in known:
        raise ConfigError(f"default_quality = {value!r}", where=where, hint=f"write one of {', '.join(known)}")
