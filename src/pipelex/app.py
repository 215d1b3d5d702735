"""Composition root: Settings become a Runtime that loads methods, checks them and runs them. Submitter side.

The one module that knows every room. Temporal is imported only where a run is durable.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from pipelex.config.load import load_settings
from pipelex.config.settings import Settings
from pipelex.errors import (
    ConfigError,
    DocumentError,
    InputError,
    LanguageError,
    LibraryError,
    PipelexError,
    PipeNotFoundError,
    Problem,
    RunCancelledError,
)
from pipelex.inference.deck import Deck
from pipelex.inference.functions import collect_classes, collect_functions
from pipelex.inference.performer import Performer
from pipelex.inference.printing import document_formats
from pipelex.inprocess.host import InProcessHost
from pipelex.language.bundle import Bundle
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import Library
from pipelex.library.link import link
from pipelex.library.load import find_bundles
from pipelex.library.packages import ref_of
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.progress import Progress
from pipelex.pipes.result import RunResult as RunResult
from pipelex.storage.fetch import ingest_file
from pipelex.storage.local import LocalBlobs
from pipelex.storage.package_loading import LoadedPackages, load_packages
from pipelex.storage.package_supply import Supply, is_whole_package
from pipelex.storage.rows import read_rows
from pipelex.values.class_fields import ClassFields
from pipelex.values.concepts import Concepts
from pipelex.values.contents import StructuredContent
from pipelex.values.inputs import map_files, shape_inputs, with_csv_rows
from pipelex.values.mock import mock
from pipelex.values.schema import slot_schema
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

if TYPE_CHECKING:
    from temporalio.client import Client

    from pipelex.temporal.client import DurableRun
    from pipelex.temporal.server import ServerRecord
    from pipelex.temporal.settings import ServerProfile

FunctionSource = Callable[..., Any] | ModuleType | str | Path
"""A function or a structure class, or where they are: a module, its dotted name, a Python file or a folder of them."""
EMBEDDED = Path(".pipelex/temporal")
"""Where the server of `pipelex dev` keeps its database and says where it listens, relative to the project root."""
REMOTE = ("http", "https", "data", "pipelex-storage")
"""Schemes of urls that are left as they are; anything else names a file on this machine."""


class RunHandle:
    """A started run: wait for it, watch it, cancel it. `workflow_id` and `ui_url` are those of a durable run."""

    def __init__(
        self,
        execution: LocalExecution | DurableRun,
        *,
        finish: Callable[[PipeResult], RunResult],
        run_id: str,
        workflow_id: str | None = None,
        ui_url: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.ui_url = ui_url
        self._execution = execution
        self._finish = finish
        self._closing: Callable[[], Awaitable[None]] | None = None

    async def result(self) -> RunResult:
        """Wait for the run to end. Raises what the run failed with."""
        try:
            return self._finish(await self._execution.result())
        finally:
            if self._closing is not None:
                await self._closing()

    def on_end(self, closing: Callable[[], Awaitable[None]]) -> None:
        """Call `closing` once the result has been awaited, whatever it is."""
        self._closing = closing

    async def progress(self) -> Progress:
        """How far the run is: a tree of pipes."""
        return await self._execution.progress()

    async def cancel(self) -> None:
        """Ask the run to stop; `result()` then raises RunCancelledError."""
        await self._execution.cancel()

    async def waiting_reason(self) -> str | None:
        """A sentence when a durable run waits for a worker that is not there; None otherwise."""
        return None if isinstance(self._execution, LocalExecution) else await self._execution.waiting_reason()


class LocalExecution:
    """A run in a task of this process."""

    def __init__(self, coroutine: Coroutine[Any, Any, PipeResult], host: InProcessHost) -> None:
        self._task = asyncio.ensure_future(coroutine)
        self._host = host
        self._is_cancelled = False

    async def result(self) -> PipeResult:
        """Wait for the task; cancelling the wait cancels the run, which nothing else could go on with."""
        try:
            return await self._task
        except asyncio.CancelledError:
            if self._is_cancelled:
                raise RunCancelledError("the run was cancelled") from None
            raise

    async def progress(self) -> Progress:
        """What the host has seen so far."""
        return self._host.progress()

    async def cancel(self) -> None:
        """Cancel the task."""
        self._is_cancelled = True
        self._task.cancel()


@dataclass(frozen=True)
class Method:
    """A loaded library. `own` are the pipes of the bundle that was asked for, `main` its main pipe."""

    library: Library
    bundles: tuple[Bundle, ...]
    own: tuple[str, ...] = ()
    main: str | None = None
    warnings: tuple[Problem, ...] = ()

    def pipe(self, code: str | None = None) -> str:
        """The absolute reference of a pipe: the one of that code, else the main pipe, else the only one."""
        mine = [ref for ref in self.own if code in (ref, ref.rpartition(".")[2])]
        if code is not None or not self.own:
            return mine[0] if len(mine) == 1 else self.library.entry(code)
        if self.main is not None:
            return self.main
        if len(self.own) == 1:
            return self.own[0]
        listed = ", ".join(self.own) or "none"
        hint = 'choose one, or set main_pipe = "…" in it'
        raise PipeNotFoundError(f"the bundle names no main pipe; its pipes are: {listed}", hint=hint)

    def problem(
        self, code: str, ref: str, error: PipelexError, *path: str, prefix: str = "", is_warning: bool = False
    ) -> Problem:
        """An error as a problem that points at the declaration of a pipe, or at a key of it."""
        name = ref.rpartition(".")[2]
        message = prefix + error.message
        for bundle in self.bundles:
            if name in bundle.pipes and ref in (name, ref_of(bundle, name)):
                place = ("pipe", name, *path)
                return bundle.problem(code, message, *place, hint=error.hint, is_warning=is_warning)
        return Problem(code, f"{ref}: {message}", hint=error.hint, is_warning=is_warning)


@dataclass(frozen=True)
class ValidationReport:
    """The verdict on a method: every problem found, and the pipes that were dry-run, if it links at all."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    pipes: tuple[tuple[str, Literal["SUCCESS", "FAILURE"]], ...] = ()
    main_pipe: str | None = None
    library: Library | None = None

    @property
    def is_valid(self) -> bool:
        """Whether no problem was found; warnings do not count."""
        return not self.problems


@dataclass(kw_only=True)
class Runtime:
    """What one process needs to load, check and run methods. Use it as an asynchronous context manager."""

    settings: Settings
    library_dirs: tuple[Path, ...]
    environ: dict[str, str] = field(repr=False)
    deck: Deck
    blobs: LocalBlobs
    functions: tuple[FunctionSource, ...] = ()
    _performer: Performer | None = field(default=None, repr=False)
    _classes: dict[str, type[StructuredContent]] | None = field(default=None, repr=False)
    _client: Client | None = None

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        library_dirs: Sequence[Path | str] | None = None,
        environ: Mapping[str, str] | None = None,
        functions: Sequence[FunctionSource] = (),
    ) -> Runtime:
        """Make a runtime; without `settings`, those of the current directory are loaded.

        `library_dirs` replaces the directories of the settings, even when empty. `functions` are those that PipeFunc
        may call in this process and the classes that structures may name, or modules that hold them.
        """
        if settings is None:
            loaded = load_settings(environ=environ)
            settings, environ = loaded.settings, loaded.environ
        env = dict(os.environ if environ is None else environ)
        return cls(
            settings=settings,
            library_dirs=tuple(map(Path, settings.library.dirs if library_dirs is None else library_dirs)),
            environ=env,
            deck=Deck.load(settings.config_dirs, env),
            blobs=LocalBlobs(settings.root / settings.storage.local_storage_path),
            functions=tuple(functions),
        )

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of connections and processes."""
        if self._performer is not None:
            performer, self._performer = self._performer, None
            await performer.aclose()

    def load(self, target: Path | str | None = None, *, fetch: bool = False, strict: bool = False) -> Method:
        """Load a bundle file, a directory that holds one, the text of a bundle, or (None) the library alone.

        The library directories are loaded with it, so that it may refer to their pipes and concepts; so is the
        directory when one is given, and so are the packages that its METHODS.toml depends on. A package that is not on
        this machine is only fetched with `fetch`. Raises LanguageError or LibraryError with every problem found.
        """
        dirs, supply = list(self.library_dirs), self.supply(fetch=fetch, strict=strict)
        if target is None and not dirs:
            hint = "give --library-dir DIR, set PIPELEXPATH, or set dirs under [library] in .pipelex/pipelex.toml"
            raise InputError("no directory of methods is known, so no pipe can be found by its code", hint=hint)
        texts = {"bundle": target} if isinstance(target, str) else None
        if target is None or isinstance(target, str):
            loaded = load_packages(supply, dirs=dirs, texts=texts)
        elif not target.is_dir():
            loaded = load_packages(supply, [target], dirs)
        elif is_whole_package(supply, target):
            loaded = load_packages(supply, dirs=dirs, home=target)
        else:
            loaded = load_packages(supply, [_main_bundle(target)], [*dirs, target])
        return _linked(loaded, self._structure_classes(), strict=strict)

    def supply(self, *, fetch: bool = False, strict: bool = False) -> Supply:
        """Where the packages that methods depend on come from."""
        settings = self.settings
        return Supply.of(settings.packages, settings.root, self.environ, may_fetch=fetch, strict=strict)

    async def start(
        self,
        pipe: str | None,
        inputs: Mapping[str, object] | None = None,
        *,
        method: Method | None = None,
        inputs_dir: Path | None = None,
        durable: bool | None = None,
        dry_run: bool = False,
        mock_inputs: bool = False,
        simulate: bool = False,
        run_id: str | None = None,
        user_id: str = "anonymous",
        session_id: str = "",
        on_warning: Callable[[str], None] | None = None,
    ) -> RunHandle:
        """Check the inputs, read the CSV files and store the other local files among them, and start the run.

        `method` None takes the library directories. `durable` None follows `[temporal] is_enabled`. Relative paths in
        the inputs start from `inputs_dir`, by default the current directory.
        """
        method = method or self.load()
        library, ref = method.library, method.pipe(pipe)
        base = inputs_dir or Path()
        declared, concepts, domain = library.pipe(ref).inputs, library.concepts, ref.rpartition(".")[0]
        given = mocked_inputs(declared, concepts) if mock_inputs else {}
        given |= inputs or {}
        given = with_csv_rows(given, declared, concepts, domain=domain, read=lambda path: read_rows(path, base))
        memory, warnings = shape_inputs(given, declared, concepts, domain=domain)
        for sentence in warnings:
            (on_warning or (lambda _: None))(sentence)
        memory = await self._with_files(memory, concepts, base, keep=not dry_run)
        run = RunInfo(run_id=run_id or str(uuid.uuid4()), user_id=user_id, session_id=session_id)
        call = PipeCall(pipe=ref, run=run, memory=memory, shares_memory=True)
        is_durable = self.settings.temporal.is_enabled if durable is None else durable
        plan = self._plan(library.slice(ref), is_durable=is_durable, is_dry=dry_run, simulate=simulate)

        def finish(result: PipeResult) -> RunResult:
            return RunResult(pipe=ref, run=run, given=memory, result=result, concepts=library.concepts)

        if is_durable:
            return await self._start_durable(call, library.slice(ref), plan, finish)
        return RunHandle(self._start_here(call, method, plan), finish=finish, run_id=run.run_id)

    async def run(self, pipe: str | None, inputs: Mapping[str, object] | None = None, **options: Any) -> RunResult:
        """Start a run and wait for its result; the options are those of `start`."""
        handle = await self.start(pipe, inputs, **options)
        return await handle.result()

    async def validate(
        self, paths: Sequence[Path], *, strict: bool = False, pipe: str | None = None
    ) -> ValidationReport:
        """Check all that can be checked without calling anyone: language, links, models, a dry run of each pipe.

        Without paths, that is each pipe of the library, or the one of the code `pipe`. Raises InputError when a path
        cannot be read or no pipe answers: that is no verdict.
        """
        find_bundles(paths)
        try:
            loaded = load_packages(self.supply(strict=strict), paths, self.library_dirs)
            method = _linked(loaded, self._structure_classes(), strict=strict)
        except (LanguageError, LibraryError) as error:
            found = error.found or [Problem(code=error.code, message=error.message, file=error.where, hint=error.hint)]
            return ValidationReport(
                problems=tuple(item for item in found if not item.is_warning),
                warnings=tuple(item for item in found if item.is_warning),
            )
        if not paths:
            own = [method.library.entry(pipe)] if pipe else method.library.crate.pipes
            method = replace(method, own=tuple(own))
        models = self._check_models(method)
        errors = [(pipe, problem) for pipe, problem in models if not problem.is_warning]
        errors += await self._dry_run_all(method, without={pipe for pipe, _ in errors})
        failed = {pipe for pipe, _ in errors}
        return ValidationReport(
            problems=tuple(dict.fromkeys(problem for _, problem in errors)),
            warnings=(*method.warnings, *(problem for _, problem in models if problem.is_warning)),
            pipes=tuple((ref, "FAILURE" if ref in failed else "SUCCESS") for ref in method.own),
            main_pipe=method.main,
            library=method.library,
        )

    def performer(self) -> Performer:
        """What answers the requests of runs in this process; made once, closed with the runtime.

        Files and modules that hold functions are imported here: only those that the caller or the settings name.
        """
        if self._performer is None:
            named, given = self._sources()
            functions = [item for item in given if not isinstance(item, type)]
            named_by = {str(getattr(function, "__pipe_func__", function.__name__)): function for function in functions}
            self._performer = Performer(
                self.settings.inference,
                self.deck,
                self.blobs,
                storage=self.settings.storage,
                functions=collect_functions(named) | named_by,
                classes=self._structure_classes(),
            )
        return self._performer

    def _sources(self) -> tuple[list[ModuleType | str | Path], list[Callable[..., Any]]]:
        """Where functions and classes are, and those given themselves."""
        named = [source for source in self.functions if isinstance(source, ModuleType | str | Path)]
        return named, [source for source in self.functions if not isinstance(source, ModuleType | str | Path)]

    def _structure_classes(self) -> dict[str, type[StructuredContent]]:
        """The Python classes that concepts may name, collected once; nothing is imported that is not named."""
        if self._classes is None:
            named, given = self._sources()
            self._classes = collect_classes([*named, *(item for item in given if isinstance(item, type))])
        return self._classes

    def _plan(self, crate: LibraryCrate, *, is_durable: bool, is_dry: bool, simulate: bool) -> Plan:
        # A dry run calls no model, so it must not need a backend that could.
        models = self.deck.settings_for(crate, simulate=simulate or is_dry)
        execution = self.settings.temporal.execution
        chunk = execution.batch_chunk if is_durable else None
        return Plan(models=models, is_dry=is_dry, batch_window=execution.batch_window, batch_chunk=chunk)

    def _start_here(self, call: PipeCall, method: Method, plan: Plan) -> LocalExecution:
        host = InProcessHost(method.library, plan, self.performer(), self.settings.inprocess)
        return LocalExecution(host.run_pipe(call), host)

    async def _start_durable(
        self, call: PipeCall, crate: LibraryCrate, plan: Plan, finish: Callable[[PipeResult], RunResult]
    ) -> RunHandle:
        client = await self.temporal_client()
        from pipelex.temporal.client import submit
        from pipelex.temporal.routing import routes_for

        routes = routes_for(self.settings.temporal, crate, plan.models)
        run = await submit(client, call, crate, plan, routes, self.settings.temporal)
        ui = self._ui()
        link = run.ui_url(ui) if ui else None
        return RunHandle(run, finish=finish, run_id=run.run_id, workflow_id=run.workflow_id, ui_url=link)

    async def _with_files(self, memory: Memory, concepts: Concepts, base: Path, *, keep: bool) -> Memory:
        """Store the local files that the inputs name and put their references in place of the paths.

        Every missing file is reported at once. With `keep` false (a dry run) they are only checked.
        """
        local: dict[str, Path] = {}

        def collect(url: str, kind: str) -> str:
            if (path := _local_path(url, base)) is not None:
                local[url] = path
            return url

        map_files(memory, concepts, collect)
        _check_files(local.values(), base)
        if not keep or not local:
            return memory
        largest = self.settings.storage.max_file_bytes
        stored = {url: await ingest_file(path, self.blobs, max_bytes=largest) for url, path in local.items()}
        return map_files(memory, concepts, lambda url, kind: stored.get(url, url))

    def _check_models(self, method: Method) -> list[tuple[str, Problem]]:
        """By pipe: an error for a reference the deck does not know, a warning for a handle that nobody here serves."""
        found: list[tuple[str, Problem]] = []
        asks = {ref: ask for ref, ask in model_asks(method.library.crate).items() if ref in method.own}
        for ref, ask in asks.items():
            is_known = False
            try:
                self.deck.setting(ask, simulate=True)
                is_known = True
                self.deck.setting(ask)
                if (refused := self.deck.refused(ask)) is not None:
                    error = ConfigError(refused, hint="take it out of the setting")
                    found.append((ref, method.problem("llm_setting_refused_by_model", ref, error, "model")))
            except ConfigError as error:
                found.append((ref, method.problem("unknown_model", ref, error, "model", is_warning=is_known)))
        return found

    async def _dry_run_all(self, method: Method, *, without: set[str]) -> list[tuple[str, Problem]]:
        """Dry-run each pipe of the method with made-up inputs: all of them, then without the optional ones."""
        errors: list[tuple[str, Problem]] = []
        for ref in method.own:
            slots = method.library.pipe(ref).inputs
            if ref in without:
                continue
            required = {name: slot for name, slot in slots.items() if slot.presence != "optional"}
            for given in [slots] if len(required) == len(slots) else [slots, required]:
                try:
                    inputs = mocked_inputs(given, method.library.concepts)
                    await self.run(ref, inputs, method=method, durable=False, dry_run=True)
                except PipelexError as error:
                    failing = error.pipe_path[-1] if error.pipe_path else ref
                    errors.append((ref, method.problem("DryRunError", failing, error, prefix="in a dry run: ")))
                    break
        return errors

    def server(self) -> ServerProfile:
        """The Temporal server to use: the selected one; when nobody says where it is, the one `pipelex dev` started."""
        profile = self.settings.temporal.server_profile()
        running = self._embedded()
        return profile.model_copy(update={"target_host": running.address}) if running else profile

    async def temporal_client(self) -> Client:
        """Connect to the Temporal server, once. Fails within 5 seconds, and says what to do about it."""
        if self._client is None:
            need_sdk()
            from pipelex.temporal.connection import connect

            temporal = self.settings.temporal
            payloads = self.settings.root / temporal.payloads.path
            server = self.server()
            self._client = await connect(server, payload_root=payloads, settings=temporal, environment=self.environ)
        return self._client

    def _ui(self) -> str | None:
        """The address of the Web UI, where it can be known."""
        if running := self._embedded():
            return running.ui
        host = self.server().target_host.partition(":")[0]
        return "https://cloud.temporal.io" if host.endswith((".tmprl.cloud", ".api.temporal.io")) else None

    def _embedded(self) -> ServerRecord | None:
        """The running server of `pipelex dev`, unless the settings say where the selected server is."""
        if "target_host" in self.settings.temporal.server_profile().model_fields_set:
            return None
        need_sdk()
        from pipelex.temporal.server import running_server

        return running_server(self.settings.root / EMBEDDED)


def _linked(loaded: LoadedPackages, classes: Mapping[str, type[StructuredContent]], *, strict: bool) -> Method:
    linked = link(
        loaded.bundles,
        strict=strict,
        packages=loaded.table,
        document_formats=document_formats(),
        structure_classes=ClassFields(classes),
    )
    read = [warning for bundle in loaded.bundles for warning in bundle.warnings]
    return Method(
        library=Library.of(linked.crate),
        bundles=loaded.bundles,
        own=tuple(ref_of(bundle, code) for bundle in loaded.own for code in bundle.pipes),
        main=loaded.main,
        warnings=(*loaded.warnings, *read, *linked.warnings),
    )


def need_sdk() -> None:
    """Raise ConfigError when the Temporal SDK is not installed."""
    if importlib.util.find_spec("temporalio") is None:
        hint = 'pip install "pipelex[temporal]", or run in this process with --no-temporal'
        raise ConfigError("durable runs need the Temporal SDK, which is not installed", hint=hint)


def mocked_inputs(slots: Mapping[str, Slot], concepts: Concepts) -> dict[str, object]:
    """Made-up values for those inputs, always the same."""
    return {name: Value(concept=slot.concept, data=mock(slot_schema(slot, concepts))) for name, slot in slots.items()}


def _main_bundle(directory: Path) -> Path:
    """The bundle that a directory stands for: `bundle.mthds`, or the only one."""
    found = sorted(directory.glob("*.mthds"))
    preferred = [file for file in found if file.name == "bundle.mthds"] or found
    if len(preferred) == 1:
        return preferred[0]
    if not found:
        raise InputError(f"there is no .mthds file in {directory}", hint="give the path of a .mthds file")
    names = ", ".join(file.name for file in found)
    hint = "give the path of one of them, or name the main one bundle.mthds"
    raise InputError(f"{directory} holds several bundles: {names}", hint=hint)


def _check_files(paths: Iterable[Path], base: Path) -> None:
    """Raise one DocumentError that names every file that is not there."""
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        count = "a file given as input does" if len(missing) == 1 else f"{len(missing)} files given as inputs do"
        hint = f"relative paths start from {base.resolve()}"
        raise DocumentError(f"{count} not exist: {', '.join(missing)}", hint=hint)


def _local_path(url: str, base: Path) -> Path | None:
    """The file of this machine that a url names; None when it names something else."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme in REMOTE:
        return None
    return base / Path(url).expanduser()
