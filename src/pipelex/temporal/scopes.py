"""What a worker of a scope takes: its workflows and activities by name. Worker side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipelex.errors import ConfigError
from pipelex.temporal.setting_types import did_you_mean
from pipelex.temporal.settings import ACTIVITIES, TemporalSettings
from pipelex.temporal.worker_settings import BUILT_IN_SCOPES, WorkerScope
from pipelex.temporal.workflow import WORKFLOW
from pipelex.values.frozen import Frozen

_WORKFLOW_NAMES = (WORKFLOW, "WfPipeRun", "WfPipeRouter", "WfDryValidate")
"""One workflow does what three did: tables written for those mean this one."""
_FORMER_ACTIVITIES = ("act_flush_trace_events", "act_deliver", "act_assemble_tracing", "act_dry_validate")
"""Activities of earlier versions that scopes may still name; nothing calls them."""
_PACKS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "crafting": ((), ACTIVITIES),
    "pipe": ((WORKFLOW,), ()),
}


class Scope(Frozen):
    """A scope that was looked up: whether its workers run workflows, and the activities they perform."""

    name: str
    has_workflows: bool
    activities: tuple[str, ...]

    @property
    def is_full(self) -> bool:
        """Whether a call of a run that this worker holds could always be performed here, too."""
        return set(self.activities) >= set(ACTIVITIES)


def chosen_scope(settings: TemporalSettings, name: str | None = None) -> Scope:
    """The scope of that name, or the default one. Needs no connection.

    ConfigError when a name in it is unknown, or when it leaves nothing to do.
    """
    scopes = settings.worker_scopes.scopes
    wanted = name or settings.worker_scopes.default_scope
    if wanted not in scopes:
        raise ConfigError(
            f"there is no worker scope {wanted!r}.{did_you_mean(wanted, scopes)}",
            hint=f"known scopes: {', '.join(scopes)}; add [temporal.worker_scopes.scopes.{wanted}]",
        )
    return _resolved(wanted, scopes[wanted])


def smallest_scope(activities: Collection[str]) -> str:
    """The built-in scope of runners that performs all of these activities, and little else."""
    runners = (name for name in BUILT_IN_SCOPES if name.startswith("runner-"))
    found = (name for name in runners if set(activities) <= set(BUILT_IN_SCOPES[name].required_activities))
    return next(found, "runner")


def _resolved(name: str, scope: WorkerScope) -> Scope:
    where = f"[temporal.worker_scopes.scopes.{name}]"
    _known(f"{where} required_tasks_packs", "tasks pack", scope.required_tasks_packs, _PACKS)
    for kind in ("required", "excluded"):
        _known(f"{where} {kind}_workflows", "workflow", getattr(scope, f"{kind}_workflows"), _WORKFLOW_NAMES)
        known = (*ACTIVITIES, *_FORMER_ACTIVITIES)
        _known(f"{where} {kind}_activities", "activity", getattr(scope, f"{kind}_activities"), known)
    packs = [_PACKS[pack] for pack in scope.required_tasks_packs]
    workflows = {WORKFLOW for names, _ in packs for _ in names} | {WORKFLOW for _ in scope.required_workflows}
    activities = {activity for _, names in packs for activity in names} | set(scope.required_activities)
    # Who excludes one of the former three keeps the other two, and those are this workflow as well.
    if {"WfPipeRun", "WfPipeRouter"} <= set(scope.excluded_workflows) or WORKFLOW in scope.excluded_workflows:
        workflows = set()
    activities -= set(scope.excluded_activities)
    has_workflows = bool(workflows) and not scope.disable_all_workflows
    taken = () if scope.disable_all_activities else tuple(name for name in ACTIVITIES if name in activities)
    if not has_workflows and not taken:
        raise ConfigError(
            f"the worker scope {name!r} leaves nothing to do: no workflow and no activity",
            where=where,
            hint='required_tasks_packs = ["crafting", "pipe"] takes everything; then exclude or disable what is not'
            " for this worker",
        )
    return Scope(name=name, has_workflows=has_workflows, activities=taken)


def _known(where: str, kind: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no {kind} {name!r}.{did_you_mean(name, known)}",
                where=where,
                hint=f"known: {', '.join(known)}",
            )
