"""What `pipelex doctor` looks at: each check gives findings, each with a state, a sentence and a fix. Runs anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Literal

from pipelex.app.durable import need_sdk
from pipelex.app.runtime import Runtime
from pipelex.config.load import Loaded
from pipelex.errors import ConfigError, PipelexError
from pipelex.values.frozen import Frozen

if TYPE_CHECKING:
    from temporalio.client import Client

    from pipelex.temporal.queues import Need, Polling

_PROBE = b"written by pipelex doctor\n"


class Finding(Frozen):
    """What one look showed. `fix` is what to do about it, when it is not well."""

    check: str
    state: Literal["ok", "warning", "error"]
    message: str
    fix: str | None = None

    @classmethod
    def of(cls, check: str, error: PipelexError) -> Finding:
        """An error that a check met."""
        message = f"{error.message} ({error.where})" if error.where else error.message
        return cls(check=check, state="error", message=message, fix=error.hint)


async def findings(loaded: Loaded, *, is_durable: bool) -> list[Finding]:
    """Look at everything that runs with these settings need; of Temporal, when runs are durable."""
    found = [Finding(check="configuration", state="warning", message=warning) for warning in loaded.warnings]
    places = ", ".join(str(folder) for folder in loaded.settings.config_dirs if folder.is_dir())
    found.append(Finding(check="configuration", state="ok", message=f"it loads: {places or 'the defaults'}"))
    try:
        async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
            found += await _looked("storage", _storage, runtime)
            if is_durable:
                found += await _durable(runtime)
    except PipelexError as error:
        return [*found, Finding.of("configuration", error)]
    if not is_durable:
        off = (
            "Temporal is off ([temporal] is_enabled = false): runs stay in their process; --temporal looks all the same"
        )
        found.append(Finding(check="temporal", state="ok", message=off))
    return found


async def _durable(runtime: Runtime) -> list[Finding]:
    """Everything about Temporal; what needs the server is left out when it does not answer."""
    found: list[Finding] = []
    try:
        need_sdk()
        found += await _looked("workers", _workers, runtime)
        client = await runtime.temporal.client()
    except PipelexError as error:
        return [*found, Finding.of("temporal", error)]
    profile = runtime.temporal.profile()
    answers = f"the server at {profile.target_host} answers, namespace {client.namespace!r}"
    found.append(Finding(check="temporal", state="ok", message=answers))
    for check, look in (
        ("search attributes", _search_attributes),
        ("payloads", _payloads),
        ("task queues", _task_queues),
    ):
        found += await _looked(check, look, runtime)
    return found


async def _looked(
    check: str, look: Callable[[Runtime], Awaitable[Iterable[Finding]]], runtime: Runtime
) -> list[Finding]:
    try:
        return list(await look(runtime))
    except PipelexError as error:
        return [Finding.of(check, error)]


async def _storage(runtime: Runtime) -> list[Finding]:
    reference = await runtime.blobs.put(_PROBE, mime_type="text/plain")
    if await runtime.blobs.get(reference) != _PROBE:
        raise ConfigError("the storage gives back something else than was put there")
    return [Finding(check="storage", state="ok", message="a file was written and read back")]


async def _workers(runtime: Runtime) -> list[Finding]:
    from pipelex.temporal.scopes import chosen_scope

    temporal = runtime.settings.temporal
    found = []
    for name in temporal.worker_scopes.scopes:
        try:
            chosen_scope(temporal, name)
        except ConfigError as error:
            found.append(Finding.of("workers", error))
    profiles = temporal.worker_runtime_profiles.profiles
    told = f"{len(temporal.worker_scopes.scopes)} scopes, {len(profiles)} profile{'s' if len(profiles) > 1 else ''}"
    return found or [Finding(check="workers", state="ok", message=told)]


async def _search_attributes(runtime: Runtime) -> list[Finding]:
    from pipelex.temporal.namespace import check_search_attributes

    wanted = runtime.settings.temporal.search_attributes
    if not wanted.enabled:
        return [Finding(check="search attributes", state="ok", message="they are off: runs carry no labels")]
    names = ", ".join(wanted.attributes)
    if not await check_search_attributes(await runtime.temporal.client(), wanted.attributes):
        message = f"the server does not tell whether the namespace has {names}"
        return [Finding(check="search attributes", state="warning", message=message)]
    return [Finding(check="search attributes", state="ok", message=f"the namespace has {names}")]


async def _payloads(runtime: Runtime) -> list[Finding]:
    from pipelex.temporal.converter import check_store

    await check_store((await runtime.temporal.client()).data_converter)
    method = runtime.settings.temporal.payloads.method
    return [Finding(check="payloads", state="ok", message=f"a large payload can be written and read ({method})")]


async def _task_queues(runtime: Runtime) -> list[Finding]:
    from pipelex.temporal.queues import needs_of_queues

    client = await runtime.temporal.client()
    needs = needs_of_queues(runtime.settings.temporal)
    return [finding async for finding in _of_queues(client, needs)]


async def _of_queues(client: Client, needs: Iterable[Need]) -> AsyncIterator[Finding]:
    from temporalio.service import RPCError

    from pipelex.temporal.queues import polling

    for need in needs:
        try:
            yield _of_queue(need, await polling(client, need.queue, need.work))
        except RPCError as error:
            message = f"the server does not tell who polls {need.queue!r}: {error.status.name}: {error.message}"
            yield Finding(check="task queues", state="warning", message=message)


def _of_queue(need: Need, found: Polling) -> Finding:
    from pipelex.temporal.worker import DEPLOYMENT

    what = _sent(need)
    if found.waiting_builds:
        build = found.waiting_builds[-1]
        return Finding(
            check="task queues",
            state="error",
            message=f"{need.queue!r} is polled by workers with the build id {build}, and no build id is current:"
            f" nobody takes {what}",
            fix=f"temporal worker deployment set-current-version --deployment-name {DEPLOYMENT} --build-id {build}",
        )
    fix = f"pipelex worker --task-queue {need.queue} --scope {_scope(need)}"
    if found.is_left:
        message = (
            f"nobody takes what waits on {need.queue!r}: its workers are gone, or hold as much as they take ({what})"
        )
        return Finding(check="task queues", state="warning", message=message, fix=fix)
    if found.is_polled:
        return Finding(check="task queues", state="ok", message=f"{need.queue!r} is polled for {what}")
    return Finding(
        check="task queues",
        state="error" if need.is_sure else "warning",
        message=f"no worker polls {need.queue!r} for {what}",
        fix=fix,
    )


def _sent(need: Need) -> str:
    if need.work == "workflow":
        return "workflows"
    named = [f"{name} ({', '.join(handles)})" if handles else name for name, handles in need.sent.items()]
    return f"activities: {', '.join(named)}"


def _scope(need: Need) -> str:
    from pipelex.temporal.scopes import smallest_scope

    return "full" if need.work == "workflow" else smallest_scope(need.sent)
