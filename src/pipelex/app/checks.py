"""What `pipelex doctor` looks at: each check gives findings, each with a state, a sentence and a fix. Runs anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import TYPE_CHECKING

from pipelex.app.certificates import certificate_findings
from pipelex.app.durable import need_sdk
from pipelex.app.extras import Extras, extras_here, version_findings
from pipelex.app.finding import Finding, refusals
from pipelex.app.keys import key_findings
from pipelex.app.runtime import Runtime
from pipelex.app.sources import source_findings
from pipelex.config.load import Loaded
from pipelex.errors import ConfigError, PipelexError
from pipelex.inference.redaction import shown_url

if TYPE_CHECKING:
    from temporalio.client import Client

    from pipelex.temporal.queues import Need, Polling

_PROBE = b"written by pipelex doctor\n"
_PATIENCE_SECONDS = 30.0
"""How long one look may take: what connects and then does not answer is wrong, too."""


def refused(error: PipelexError) -> list[Finding]:
    """What can be told where the settings do not load: the versions, and every mistake with its place."""
    return [*version_findings(extras_here()), *refusals("configuration", error)]


async def findings(loaded: Loaded, *, process: Collection[str], is_durable: bool) -> list[Finding]:
    """Look at everything that runs with these settings need; of Temporal, when runs are durable.

    `process` names the variables that the environment had before `.env` files were read.
    """
    extras = extras_here()
    found = version_findings(extras)
    found += [_warned(warning) for warning in loaded.warnings]
    found += source_findings(loaded)
    try:
        runtime = Runtime.open(loaded.settings, environ=loaded.environ)
    except PipelexError as error:
        return [*found, *refusals("configuration", error)]
    async with runtime:
        found += await _looked("keys", _keys(process, extras, is_durable=is_durable), runtime)
        found += await _looked("storage", _storage, runtime)
        if is_durable:
            return found + await _durable(runtime)
    off = "Temporal is off ([temporal] is_enabled = false): runs stay in their process; --temporal looks all the same"
    return [*found, Finding(check="temporal", state="ok", message=off)]


def _warned(warning: str) -> Finding:
    fix = "take what the warning names out of the file, or move it to where this version reads it"
    return Finding(check="configuration", state="warning", message=warning, fix=fix)


async def _durable(runtime: Runtime) -> list[Finding]:
    """Everything about Temporal; what needs the server is left out when it does not answer."""
    found: list[Finding] = []
    try:
        need_sdk()
        found += await _looked("workers", _workers, runtime)
        found += await _looked("certificates", certificate_findings, runtime)
        await runtime.temporal.client()
    except PipelexError as error:
        return [*found, Finding.of("temporal", error)]
    for check, look in (
        ("temporal", _server),
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
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return list(await look(runtime))
    except PipelexError as error:
        return [Finding.of(check, error)]
    except TimeoutError:
        fix = f"see whether {check} works outside pipelex: the address, a proxy or a firewall on the way, the load"
        return [Finding(check=check, state="error", message=f"no answer within {_PATIENCE_SECONDS:g} s", fix=fix)]


def _keys(
    process: Collection[str], extras: Extras, *, is_durable: bool
) -> Callable[[Runtime], Awaitable[Iterable[Finding]]]:
    async def look(runtime: Runtime) -> Iterable[Finding]:
        return key_findings(
            runtime.deck,
            runtime.settings,
            runtime.environ,
            process=process,
            absent=extras.absent,
            is_durable=is_durable,
        )

    return look


async def _storage(runtime: Runtime) -> list[Finding]:
    reference = await runtime.blobs.put(_PROBE, mime_type="text/plain")
    if await runtime.blobs.get(reference) != _PROBE:
        raise ConfigError("the storage gives back something else than was put there")
    settings = runtime.settings.storage
    bucket = settings.s3 if settings.method == "s3" else settings.gcp
    place = str(runtime.settings.root / settings.folder) if settings.method == "local" else bucket.bucket_name
    return [Finding(check="storage", state="ok", message=f"a file was written and read back: {place}")]


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


async def _server(runtime: Runtime) -> list[Finding]:
    """What the server tells of itself and of the namespace; that it answers is known by now."""
    client = await runtime.temporal.client()
    address = shown_url(runtime.temporal.profile().target_host)
    answers = f"the server at {address} answers, namespace {client.namespace!r}"
    return [Finding(check="temporal", state="ok", message=answers + await _described(client))]


async def _described(client: Client) -> str:
    """The version of the server and how long the namespace keeps runs, where this connection may know."""
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
    from temporalio.service import RPCError

    service = client.workflow_service
    try:
        system = await service.get_system_info(GetSystemInfoRequest())
        namespace = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError:
        return ""
    kept = namespace.config.workflow_execution_retention_ttl.ToTimedelta()
    return f" (server {system.server_version}, ended runs are kept for {kept.total_seconds() / 86_400:g} days)"


async def _search_attributes(runtime: Runtime) -> list[Finding]:
    from pipelex.temporal.namespace import check_search_attributes

    wanted = runtime.settings.temporal.search_attributes
    if not wanted.enabled:
        return [Finding(check="search attributes", state="ok", message="they are off: runs carry no labels")]
    names = ", ".join(wanted.attributes)
    if not await check_search_attributes(await runtime.temporal.client(), wanted.attributes):
        message = f"the server does not tell whether the namespace has {names}"
        fix = "have somebody who may ask look: temporal operator search-attribute list"
        return [Finding(check="search attributes", state="warning", message=message, fix=fix)]
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
            fix = f"have somebody who may ask look: temporal task-queue describe --task-queue {need.queue}"
            yield Finding(check="task queues", state="warning", message=message, fix=fix)


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
