"""Settings become a Runtime that loads methods, checks them and runs them. Submitter side."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelex.app.durable import TemporalAccess
from pipelex.app.files import store_files
from pipelex.app.handle import LocalExecution, RunHandle
from pipelex.app.method import Method, ValidationReport, check_documents, link_method, main_bundle, mocked_inputs
from pipelex.app.tracing import open_tracing
from pipelex.config.load import load_settings
from pipelex.config.settings import Settings
from pipelex.errors import (
    ConfigError,
    InputError,
    LanguageError,
    LibraryError,
    PipelexError,
    Problem,
)
from pipelex.inference.deck import Deck
from pipelex.inference.functions import collect_classes, collect_functions
from pipelex.inference.performer import Performer
from pipelex.inference.rehearsal import read_profile, rehearsed
from pipelex.inference.settings import SimulatedSettings
from pipelex.inprocess.host import InProcessHost
from pipelex.library.crate import LibraryCrate
from pipelex.library.load import find_bundles
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting
from pipelex.pipes.result import RunResult as RunResult
from pipelex.pipes.tracing import OFF, OpenSpan
from pipelex.storage.blobs import Blobs
from pipelex.storage.objects import open_blobs
from pipelex.storage.package_loading import load_packages
from pipelex.storage.package_supply import Supply, is_whole_package
from pipelex.storage.rows import read_rows
from pipelex.values.contents import StructuredContent
from pipelex.values.inputs import shape_inputs, with_csv_rows

if TYPE_CHECKING:
    from pipelex.app.otlp import Tracing

FunctionSource = Callable[..., Any] | ModuleType | str | Path
"""A function or a structure class, or where they are: a module, its dotted name, a Python file or a folder of them."""


@dataclass(kw_only=True)
class Runtime:
    """What one process needs to load, check and run methods. Use it as an asynchronous context manager."""

    settings: Settings
    library_dirs: tuple[Path, ...]
    environ: dict[str, str] = field(repr=False)
    deck: Deck
    blobs: Blobs
    temporal: TemporalAccess
    functions: tuple[FunctionSource, ...] = ()
    _performer: Performer | None = field(default=None, repr=False)
    _classes: dict[str, type[StructuredContent]] | None = field(default=None, repr=False)

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
            deck=Deck.load(settings.config_dirs, settings.secrets_here(env)),
            blobs=open_blobs(settings.storage, settings.root, env),
            temporal=TemporalAccess(settings, env),
            functions=tuple(functions),
        )

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of connections and processes."""
        await self.temporal.aclose()
        if self._performer is not None:
            performer, self._performer = self._performer, None
            await performer.aclose()
        if (tracing := self.__dict__.pop("tracing", None)) is not None:
            await asyncio.to_thread(tracing.close)

    @cached_property
    def tracing(self) -> Tracing | None:
        """What sends the spans of this process; None where no OTEL_* variable names a collector."""
        return open_tracing(self.environ, self._provider_of)

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
            loaded = load_packages(supply, [main_bundle(target)], [*dirs, target])
        return link_method(loaded, self._structure_classes(), strict=strict)

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
        simulate: bool | Path = False,
        use_cache: bool | None = None,
        run_id: str | None = None,
        user_id: str = "anonymous",
        session_id: str = "",
        lane: str | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> RunHandle:
        """Check the inputs, read the CSV files and store the other local files among them, and start the run.

        `method` None takes the library directories. `durable` None follows `[temporal] is_enabled`. Relative paths in
        the inputs start from `inputs_dir`, by default the current directory. `lane` says how urgent a durable run is.
        `simulate` may be the file of a profile: how the simulated backend behaves. `use_cache` says whether the reply
        cache may answer; None leaves it to the process that makes the calls.
        """
        self.settings.temporal.priority_key(lane)
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
        largest = self.settings.storage.max_file_bytes
        memory = await store_files(memory, concepts, base, self.blobs, max_bytes=largest, keep=not dry_run)
        run = RunInfo(run_id=run_id or str(uuid.uuid4()), user_id=user_id, session_id=session_id)
        call = PipeCall(pipe=ref, run=run, memory=memory, shares_memory=True)
        is_durable = self.settings.temporal.is_enabled if durable is None else durable
        plan = self._plan(library.slice(ref), is_durable=is_durable, is_dry=dry_run, simulate=simulate)
        if use_cache is not None:
            told = {key: item.model_copy(update={"use_cache": use_cache}) for key, item in plan.models.items()}
            plan = plan.model_copy(update={"models": told})

        def finish(result: PipeResult) -> RunResult:
            return RunResult(pipe=ref, run=run, given=memory, result=result, concepts=library.concepts)

        if not is_durable and not dry_run:
            check_documents(library.slice(ref))
        span = OFF if self.tracing is None else self.tracing.run(ref.rpartition(".")[2], run.run_id)
        if is_durable:
            return await self._start_durable(call, library.slice(ref), plan, finish, lane, span)
        return RunHandle(self._start_here(call, method, plan, span), finish=finish, run_id=run.run_id, span=span)

    async def run(self, pipe: str | None, inputs: Mapping[str, object] | None = None, **options: Any) -> RunResult:
        """Start a run and wait for its result; the options are those of `start`."""
        handle = await self.start(pipe, inputs, **options)
        return await handle.result()

    async def validate(
        self, paths: Sequence[Path], *, strict: bool = False, pipe: str | None = None
    ) -> ValidationReport:
        """Check all that can be checked without calling anyone: language, links, models, a dry run of each pipe.

        That is each pipe of the bundles, without paths each one of the library; or the one of the code `pipe`. Raises
        InputError when a path cannot be read or no pipe answers: that is no verdict.
        """
        find_bundles(paths)
        try:
            loaded = load_packages(self.supply(strict=strict), paths, self.library_dirs)
            method = link_method(loaded, self._structure_classes(), strict=strict)
        except (LanguageError, LibraryError) as error:
            found = error.found or [Problem(code=error.code, message=error.message, file=error.where, hint=error.hint)]
            return ValidationReport(
                problems=tuple(item for item in found if not item.is_warning),
                warnings=tuple(item for item in found if item.is_warning),
            )
        if pipe or not paths:
            method = replace(method, own=(method.pipe(pipe),) if pipe else tuple(method.library.crate.pipes))
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
                self.settings.inference.below(self.settings.root),
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

    def _plan(self, crate: LibraryCrate, *, is_durable: bool, is_dry: bool, simulate: bool | Path) -> Plan:
        # A dry run calls no model, so it must not need a backend that could.
        models = self.deck.settings_for(crate, simulate=bool(simulate) or is_dry)
        if simulate and (behaviour := self.rehearsal(simulate)) is not None:
            models = rehearsed(models, behaviour, started=time.time())
        execution = self.settings.temporal.execution
        chunk = execution.batch_chunk if is_durable else None
        return Plan(models=models, is_dry=is_dry, batch_window=execution.batch_window, batch_chunk=chunk)

    def rehearsal(self, simulate: bool | Path) -> SimulatedSettings | None:
        """How the simulated backend is to behave in a run; None where nothing is said, neither here nor in a file."""
        if isinstance(simulate, Path):
            return read_profile(simulate)
        own = self.settings.inference.simulated
        return own if simulate and own != SimulatedSettings() else None

    def _provider_of(self, model: ModelSetting) -> str | None:
        """The backend that serves a model here, as far as it can be known."""
        try:
            return self.deck.backends.route(model.handle, model.backend).backend.name
        except PipelexError:
            return None

    def _start_here(self, call: PipeCall, method: Method, plan: Plan, span: OpenSpan) -> LocalExecution:
        host = InProcessHost(method.library, plan, self.performer(), self.settings.inprocess, span=span)
        return LocalExecution(host.run_pipe(call), host)

    async def _start_durable(
        self,
        call: PipeCall,
        crate: LibraryCrate,
        plan: Plan,
        finish: Callable[[PipeResult], RunResult],
        lane: str | None,
        span: OpenSpan,
    ) -> RunHandle:
        try:
            client = await self.temporal.client()
            from pipelex.temporal.client import submit
            from pipelex.temporal.routing import lane_of, routes_for

            settings = self.settings.temporal
            routes = routes_for(settings, crate, plan.models, lane_of(settings, lane, call.run.user_id))
            run = await submit(client, call, crate, plan, routes, settings, trace=span.context)
        except BaseException as error:
            span.end(error)
            raise
        ui = self.temporal.ui()
        link = run.ui_url(ui) if ui else None
        return RunHandle(run, finish=finish, run_id=run.run_id, workflow_id=run.workflow_id, ui_url=link, span=span)

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
