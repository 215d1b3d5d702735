"""The profile of a rehearsal: read from a file, and frozen into the settings of the models. Runs on the submitter."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import ValidationError

from pipelex.errors import ConfigError
from pipelex.inference.backends import SIMULATED
from pipelex.inference.settings import SimulatedSettings
from pipelex.inference.tables import Table, check_keys, check_table, read_table
from pipelex.pipes.rehearsal import Behaviour, Rehearsal
from pipelex.pipes.requests import ModelSetting


def read_profile(file: Path) -> SimulatedSettings:
    """Read a profile: a TOML file with the keys of `[inference.simulated]`. Raises ConfigError naming what is wrong."""
    table = read_table(file)
    table = _table_within(table, file)
    check_keys(table, SimulatedSettings.model_fields, str(file))
    for name, behaviour in check_table(table.get("handles", {}), f"{file}: [handles]").items():
        where = f'{file}: [handles."{name}"]'
        check_keys(check_table(behaviour, where), Behaviour.model_fields, where)
    try:
        return SimulatedSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # A latency is a text or a table: which of the two is no word of the file.
        key = ".".join(str(part) for part in first["loc"] if part not in ("text", "table"))
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}", where=str(file)) from None


def _table_within(table: Table, file: Path) -> Table:
    """The table itself, or what a piece of settings calls `[inference.simulated]`."""
    if set(table) != {"inference"}:
        return table
    inference = check_table(table["inference"], f"{file}: [inference]")
    check_keys(inference, [SIMULATED], f"{file}: [inference]")
    return check_table(inference.get(SIMULATED, {}), f"{file}: [inference.simulated]")


def behaviour_of(settings: SimulatedSettings, handle: str) -> Behaviour:
    """How a model behaves: what is said of its handle, laid over what is said of all."""
    pattern = handle if handle in settings.handles else None
    pattern = pattern or next((name for name in settings.handles if fnmatchcase(handle, name)), None)
    own = settings.handles[pattern] if pattern is not None else Behaviour()
    values = {name: getattr(settings, name) for name in Behaviour.model_fields}
    return Behaviour.model_construct(**values | {name: getattr(own, name) for name in own.model_fields_set})


def rehearsed(
    models: Mapping[str, ModelSetting], settings: SimulatedSettings, *, started: float
) -> dict[str, ModelSetting]:
    """The settings of a run, those of simulated models with how they behave: workers need no profile of their own."""
    return {
        key: setting
        if setting.backend != SIMULATED
        else setting.model_copy(
            update={
                "rehearsal": Rehearsal(
                    seed=settings.seed, started=started, behaviour=behaviour_of(settings, setting.handle)
                )
            }
        )
        for key, setting in models.items()
    }
