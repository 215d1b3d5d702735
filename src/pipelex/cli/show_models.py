"""`pipelex show backends` and `pipelex show models`: who may be called, where that is written, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelex.cli.columns import columns
from pipelex.cli.show_settings import DEFAULT, HIDDEN, Origin
from pipelex.cli.toml_text import Entry, toml_text
from pipelex.inference.redaction import shown_url
from pipelex.inference.secrets import VARIABLE

if TYPE_CHECKING:
    from pipelex.config.load import Loaded
    from pipelex.inference.backends import Backend, Backends, ModelSpec, Profile

Item = dict[str, Any]
Origins = dict[str, Origin]


class _Tables:
    """One file of the user's, with the line of each of its keys; an empty one when there is none."""

    def __init__(self, file: Path | None) -> None:
        from pipelex.inference.tables import read_table
        from pipelex.language.positions import positions_of
        from pipelex.storage.package_supply import near

        self._tables = read_table(file) if file is not None else {}
        self._source = str(near(file)) if file is not None else ""
        self._positions = positions_of(file.read_text("utf-8") if file is not None else "")

    def origin(self, table: str, key: str) -> Origin | None:
        """Where the key of that table is written here."""
        found = self._tables.get(table)
        if not isinstance(found, dict) or key not in found:
            return None
        return Origin("file", self._source, self._positions.nearest((table, key))[0])


def backends_here(loaded: Loaded) -> Backends:
    """The backends and routes that hold in the current directory."""
    from pipelex.inference.deck import Deck

    return Deck.load(loaded.settings.config_dirs, loaded.settings.secrets_here(loaded.environ)).backends


# Backends.


def backends(loaded: Loaded, *, with_disabled: bool) -> list[tuple[Item, Origins]]:
    """Each backend, with the origin of each of its values."""
    from pipelex.inference.tables import first_found

    here = backends_here(loaded)
    own = _Tables(first_found(loaded.settings.config_dirs, "backends.toml"))
    return [_backend(here, item, own) for item in here.every() if item.enabled or with_disabled]


def _backend(here: Backends, backend: Backend, own: _Tables) -> tuple[Item, Origins]:
    endpoint = here.endpoint(backend)
    shown = {
        "enabled": backend.enabled,
        "sdk": backend.sdk,
        "endpoint": endpoint and shown_url(endpoint),
        "api_key": _without_key(backend.api_key),
        **{key: _without_key(value) if _is_secret(key) else value for key, value in backend.others.items()},
    }
    origins = {key: own.origin(backend.name, key) or DEFAULT for key in shown}
    if endpoint != backend.endpoint and backend.endpoint_variable:
        origins["endpoint"] = Origin("environment", f"environment variable {backend.endpoint_variable}")
    elsewhere = {"has_key": here.has_credentials(backend), "models": len(backend.models)}
    return {"backend": backend.name, **shown, **elsewhere}, origins


def routing(here: Backends) -> list[Item]:
    """The routing profiles in the order in which they are asked."""
    return [
        {
            "source": profile.source,
            "default": profile.default,
            "routes": dict(profile.routes),
            "optional_routes": dict(profile.optional_routes),
            "fallback_order": list(profile.fallback_order),
        }
        for profile in here.profiles
    ]


def backend_lines(found: Sequence[tuple[Item, Origins]], here: Backends, *, with_built_in: bool) -> Iterator[str]:
    """A table of the backends, then the routes."""
    rows = [["BACKEND", "STATE", "KEY", "MODELS", "ENDPOINT"]]
    for item, _ in found:
        state, key = "enabled" if item["enabled"] else "disabled", "yes" if item["has_key"] else "no"
        rows.append([item["backend"], state, key, str(item["models"]), item["endpoint"] or ""])
    yield from columns(rows)
    *own, built_in = here.profiles
    for profile in (*own, built_in) if with_built_in else own:
        yield ""
        yield from _routes(profile)
    if not with_built_in:
        yield ""
        yield f"{'then ' if own else ''}built-in routes: {len(built_in.routes)} patterns of handles; --all shows them"


def _routes(profile: Profile) -> Iterator[str]:
    yield profile.source
    rows = [*profile.routes.items(), *((key, f"{name} (if enabled)") for key, name in profile.optional_routes.items())]
    if profile.default:
        rows.append(("anything else", profile.default))
    elif profile.fallback_order:
        rows.append(("anything else", f"the first that is enabled of {', '.join(profile.fallback_order)}"))
    yield from (f"  {line}" for line in columns([(pattern, "->", name) for pattern, name in rows] or [("no route",)]))


# Models.


def models(loaded: Loaded, backend: str | None) -> list[tuple[Item, Origins]]:
    """Each model that an enabled backend declares, or that one, with the origin of each value of its table."""
    from pipelex.errors import InputError
    from pipelex.inference.tables import did_you_mean, first_found

    here = backends_here(loaded)
    names = [item.name for item in here.every()]
    if backend is not None and backend not in names:
        raise InputError(f"there is no backend {backend!r}", hint=did_you_mean(backend, names))
    folder = first_found(loaded.settings.config_dirs, "backends")
    own: dict[str, _Tables] = {}
    found = []
    for each, model in here.models():
        if backend in (None, each.name):
            if each.name not in own:
                file = folder / f"{each.name}.toml" if folder is not None else None
                own[each.name] = _Tables(file if file is not None and file.is_file() else None)
            found.append((_model(here, each, model), _origins(each, model.handle, own[each.name])))
    return found


def _model(here: Backends, backend: Backend, model: ModelSpec) -> Item:
    from pipelex.inference.prices import source_of, token_price

    costs, mark = dict(model.costs), model.costs_from
    kind = str({**backend.model_defaults, **backend.models[model.handle]}.get("model_type", "llm"))
    if kind == "llm" and not costs and (known := token_price(backend.name, model.model_id)) is not None:
        mark, costs["input"], costs["output"] = known
    is_local = kind == "text_extractor" and not backend.endpoint
    return {
        "model": model.handle,
        "model_type": kind,
        "backend": backend.name,
        "costs_usd": costs,
        "price_source": source_of(mark) if costs else None,
        "is_free": is_local and not costs,
        "has_key": here.has_credentials(backend),
    }


def _origins(backend: Backend, handle: str, own: _Tables) -> Origins:
    """Where each key of the table of a model is written; what a table does not say, `[defaults]` of its file may."""
    table = backend.models[handle]
    keys = [key for key in {**backend.model_defaults, **table} if key != "costs_from"]
    return {
        key: own.origin(handle, key) or (own.origin("defaults", key) if key not in table else None) or DEFAULT
        for key in keys
    }


def model_lines(found: Iterable[Item]) -> Iterator[str]:
    """A table of models and prices."""
    rows = [["MODEL", "TYPE", "BACKEND", "KEY", "COSTS IN USD", "FROM"]]
    for item in found:
        told = ", ".join(f"{name} {price:g}" for name, price in item["costs_usd"].items())
        costs = told or ("free" if item["is_free"] else "unknown")
        key = "yes" if item["has_key"] else "no"
        rows.append([item["model"], item["model_type"], item["backend"], key, costs, item["price_source"] or ""])
    yield from columns(rows)


def model_csv(found: Iterable[Item]) -> str:
    """The models as comma-separated values."""
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["model", "model_type", "backend", "has_key", "costs_usd", "price_source"])
    for item in found:
        costs = " ".join(f"{name}={price:g}" for name, price in item["costs_usd"].items())
        key = "yes" if item["has_key"] else "no"
        rows.writerow([item["model"], item["model_type"], item["backend"], key, costs, item["price_source"] or ""])
    return text.getvalue()


def model_toml(loaded: Loaded, found: Sequence[tuple[Item, Origins]]) -> str:
    """The tables of models with the origin of each value."""
    by_name = {backend.name: backend for backend in backends_here(loaded).every()}

    def entries() -> Iterator[Entry]:
        for item, origins in found:
            backend, handle = by_name[item["backend"]], item["model"]
            table = {**backend.model_defaults, **backend.models[handle]}
            for key, origin in origins.items():
                value = _without_key(table[key]) if "-" in key else table[key]
                yield Entry((backend.name, handle, key), value, str(origin))

    return toml_text(entries())


# Both.


def backend_toml(found: Sequence[tuple[Item, Origins]]) -> str:
    """The tables of backends with the origin of each value."""
    return toml_text(
        Entry((item["backend"], key), item[key], str(origin))
        for item, origins in found
        for key, origin in origins.items()
        if item[key] is not None
    )


def with_origins(found: Iterable[tuple[Item, Mapping[str, Origin]]]) -> list[Item]:
    """The items for programs, with their origins."""
    return [{**item, "origins": {key: origin.document() for key, origin in origins.items()}} for item, origins in found]


def _is_secret(key: str) -> bool:
    """Whether what stands at that key of a backend is a secret, or names one."""
    return any(word in key for word in ("key", "secret", "token"))


def _without_key(value: object) -> str | None:
    """A value that may be secret: the variable that holds it, or a mark that one is written there."""
    text = None if value is None else str(value)
    return HIDDEN if text and not VARIABLE.fullmatch(text) else text
