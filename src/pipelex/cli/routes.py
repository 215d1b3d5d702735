"""`pipelex routes`: where each call would go and how patiently, and which setting says so. Asks no server."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pipelex.cli.completion import pipe_codes
from pipelex.cli.flags import Functions, Json, LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import Runtime
    from pipelex.inference.deck import Deck
    from pipelex.temporal.routing import Route
    from pipelex.temporal.settings import TemporalSettings

_CAP = "max_task_queue_activities_per_second"
_RETRY = (
    "maximum_attempts",
    "initial_interval",
    "backoff_coefficient",
    "maximum_interval",
    "non_retryable_error_types",
)


class _Value(NamedTuple):
    """A resolved value, the layer that gave it, and the file or variable that says so."""

    value: Any
    layer: str
    source: str | None


class _Entry(NamedTuple):
    activity: str
    handle: str | None
    values: dict[str, _Value]


Bundle = Annotated[Path | None, typer.Argument(metavar="PATH", help="A .mthds file, or a directory that holds one.")]
OnlyPipe = Annotated[
    str | None,
    typer.Option(
        "--pipe", metavar="CODE", autocompletion=pipe_codes, help="Only what this pipe, and those it runs, may call."
    ),
]
OnlyHandle = Annotated[
    str | None, typer.Option("--handle", metavar="NAME", help="Only calls of this model handle or function.")
]


def routes(
    path: Bundle = None,
    pipe: OnlyPipe = None,
    handle: OnlyHandle = None,
    library_dir: LibraryDirs = None,
    functions: Functions = None,
    json: Json = False,
) -> None:
    """Show the queue, the timeouts, the retries and the rate cap of each activity, with the setting they come from.

    Without PATH and --pipe: all activities, and each handle that the settings name. With them: what that pipe may call,
    with the models it would use. Layers: `default`, `baseline` ([temporal.worker_config]), or the name of the table.
    """
    show(path, pipe, handle, library_dir, functions, with_origin=True, as_json=json)


def show(
    path: Path | None,
    pipe: str | None,
    handle: str | None,
    library_dirs: list[Path] | None,
    functions: list[str] | None,
    *,
    with_origin: bool,
    as_json: bool,
) -> None:
    """Print the routes of what a pipe may call, or of all activities."""
    from pipelex.app import Runtime
    from pipelex.cli import session

    loaded = session.load()
    sources = session.function_sources(functions, loaded)
    runtime = Runtime.open(loaded.settings, library_dirs=library_dirs, environ=loaded.environ, functions=sources)
    settings = loaded.settings.temporal
    for warning in _unknown_handles(settings, runtime.deck):
        session.say(f"warning: {warning}")
    asked = _of_settings(settings, handle) if path is None and pipe is None else _of_pipe(runtime, path, pipe)
    found = [_entry(settings, loaded.sources, *call) for call in asked if handle in (None, call[1])]
    if as_json:
        _print_json(found, with_origin=with_origin)
        return
    if not found:
        session.say("nothing to route: " + (f"no call goes to {handle!r}" if handle else "this pipe calls no activity"))
    print("\n\n".join("\n".join(_block(calls, with_origin=with_origin)) for calls in _alike(found)))


def _of_settings(settings: "TemporalSettings", handle: str | None) -> Iterator[tuple[str, str | None]]:
    """Every activity, alone and with each handle that its table names; or with the handle that is asked for."""
    from pipelex.temporal.settings import ACTIVITIES, KEYED_ACTIVITIES

    for activity in ACTIVITIES:
        if handle is not None:
            if activity in KEYED_ACTIVITIES:
                yield activity, handle
            continue
        yield activity, None
        table = settings.worker_config.activity_queues.get(activity)
        if table is not None:
            yield from ((activity, name) for name in dict.fromkeys([*table.by_handle, *table.handle_options]))


def _of_pipe(runtime: "Runtime", path: Path | None, code: str | None) -> Iterator[tuple[str, str | None]]:
    from pipelex.temporal.routing import needs

    method = runtime.load(path)
    crate = method.library.slice(method.pipe(code))
    # Which model it would be does not depend on keys, which only workers need.
    models = runtime.deck.settings_for(crate, simulate=True)
    for activity, handles in needs(crate, models).items():
        yield from ((activity, name) for name in handles or (None,))


def _entry(settings: "TemporalSettings", sources: Mapping[str, str], activity: str, handle: str | None) -> _Entry:
    from pipelex.temporal.routing import resolve

    found = resolve(settings, activity, handle)
    queue = found.task_queue or settings.worker_config.default_task_queue
    values = {"task_queue": queue, **_shown(found)}
    layers = dict(found.layers)
    options = settings.queue_options.get(queue)
    if options is not None and options.max_task_queue_activities_per_second is not None:
        values[_CAP], layers[_CAP] = options.max_task_queue_activities_per_second, f"queue_options.{queue}"
    resolved = {}
    for key, value in values.items():
        layer = layers.get(key, "default")
        resolved[key] = _Value(value, layer, _source(sources, key, layer))
    return _Entry(activity, handle, resolved)


def _shown(found: "Route") -> dict[str, Any]:
    """The values of a route under the names that the settings have for them."""
    retry = found.retry
    return {
        "start_to_close_timeout": found.start_to_close,
        "schedule_to_close_timeout": found.schedule_to_close,
        "schedule_to_start_timeout": found.schedule_to_start,
        "heartbeat_timeout": found.heartbeat,
        "maximum_attempts": retry.maximum_attempts or "unlimited",
        "initial_interval": retry.initial_interval,
        "backoff_coefficient": retry.backoff_coefficient,
        "maximum_interval": retry.maximum_interval or "unlimited",
        "non_retryable_error_types": list(retry.non_retryable_error_types),
        _CAP: None,
    }


def _source(sources: Mapping[str, str], key: str, layer: str) -> str | None:
    """The file or the environment variable that wrote a value; several when its layers are in several."""
    return ", ".join(dict.fromkeys(filter(None, (_written(sources, key, name) for name in layer.split(" + "))))) or None


def _written(sources: Mapping[str, str], key: str, layer: str) -> str | None:
    group = "retry_policy_config." if key in _RETRY else ""
    if layer == "baseline":
        names = [f"worker_config.{group}{name}" for name in (key, f"default_{key}", f"default_activity_{key}")]
    elif key == "task_queue":
        names = [layer, f"worker_config.{layer}"]
    else:
        names = [f"{table}{layer}.{group}{name}" for table in ("", "worker_config.") for name in (key, f"{key}_extra")]
    return next((sources[f"temporal.{name}"] for name in names if f"temporal.{name}" in sources), None)


def _alike(entries: Iterable[_Entry]) -> list[list[_Entry]]:
    """The entries, those with the same values from the same layers together."""
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(repr(entry.values), []).append(entry)
    return list(groups.values())


def _block(calls: list[_Entry], *, with_origin: bool) -> Iterator[str]:
    for call in calls:
        yield call.activity if call.handle is None else f"{call.activity}  {call.handle}"
    values = calls[0].values
    shown = {key: _text(item.value) for key, item in values.items()}
    widest_key, widest = max(map(len, shown)), max(map(len, shown.values()))
    for key, (_, layer, source) in values.items():
        told = (f"  {layer} ({source})" if source else f"  {layer}") if with_origin else ""
        yield f"  {key.ljust(widest_key)}  {shown[key].ljust(widest)}{told}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _print_json(entries: Iterable[_Entry], *, with_origin: bool) -> None:
    import json

    def told(item: _Value) -> Any:
        value = str(item.value) if isinstance(item.value, timedelta) else item.value
        return item._asdict() | {"value": value} if with_origin else value

    found = [
        {
            "activity": entry.activity,
            "handle": entry.handle,
            "values": {key: told(item) for key, item in entry.values.items()},
        }
        for entry in entries
    ]
    print(json.dumps(found, ensure_ascii=False))


def _unknown_handles(settings: "TemporalSettings", deck: "Deck") -> Iterator[str]:
    """What to say about each handle of the routing tables that no model has."""
    from pipelex.pipes.requests import FunctionRequest
    from pipelex.temporal.setting_types import did_you_mean

    for activity, table in settings.worker_config.activity_queues.items():
        # Only workers know the functions.
        if activity == FunctionRequest.activity:
            continue
        for key, names in (("by_handle", table.by_handle), ("handle_options", table.handle_options)):
            for name in names:
                if deck.backends.declares(name):
                    continue
                told = _stands_for(deck, activity, name) or did_you_mean(name, deck.backends.handles())
                # A pattern may send any name to a backend that serves models it has no table of.
                if told or not deck.backends.is_routed(name):
                    yield f"activity_queues.{activity}.{key}.{name}: no model here has the handle {name!r}.{told}"


def _stands_for(deck: "Deck", activity: str, name: str) -> str | None:
    """What to write instead of a name of the deck: calls are routed by the handle that it stands for."""
    from pipelex.errors import ConfigError
    from pipelex.pipes.models import Family, ModelAsk

    families: tuple[Family, ...] = ("llm", "img_gen", "extract", "search")
    family = next(each for each in families if activity.startswith(f"act_{each}_"))
    for sigil in ("@", "$", "~"):
        try:
            handle = deck.setting(ModelAsk(family, sigil + name, "default"), simulate=True).handle
        except ConfigError:
            continue
        return f" {sigil}{name} of the deck stands for {handle!r}: write that"
    return None
