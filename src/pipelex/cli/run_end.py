"""How a run ends for whoever waited for it: its result on stdout, its files, what it consumed. User's machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelex.errors import PipelexError

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult
    from pipelex.library.library import Library
    from pipelex.storage.blobs import Blobs


@dataclass(frozen=True)
class Kept:
    """Which files of a result are wanted; `memory_path` takes the working memory in place of the results directory."""

    main: bool = True
    memory: bool = True
    memory_path: Path | None = None


@dataclass(frozen=True)
class Ending:
    """What is wanted of a run when it ends. `base` is where its results directory is made."""

    base: Path
    is_json: bool = False
    with_memory: bool = False
    is_quiet: bool = False
    save_csv: Path | None = None
    costs: bool = True
    graph: bool = True
    is_dry: bool = False
    is_rehearsal: bool = False
    kept: Kept = Kept()

    def check_places(self) -> None:
        """Raise InputError or ConfigError when a file that is wanted could not be written: it would cost a paid run."""
        from pipelex.cli import authoring, output

        has_folder = self.kept.main or self._has_memory or self.costs or self.graph or self.is_rehearsal
        if has_folder and (error := output.barrier(self.base / "new")) is not None:
            raise output.unwritten(self.base, error)
        if (file := self.kept.memory_path) is not None and (error := output.barrier(file)) is not None:
            raise authoring.unwritten(file, error)
        if (file := self.save_csv) is not None and (error := output.barrier(file)) is not None:
            raise output.unwritten_rows(file, error)

    @property
    def _has_memory(self) -> bool:
        """Whether working_memory.json is wanted in the results directory."""
        return self.kept.memory and self.kept.memory_path is None

    async def tell(self, result: RunResult, handle: RunHandle, library: Library, blobs: Blobs) -> None:
        """Print the result, then write all files and say where they are.

        A file that cannot be written does not keep the others from being written. Then its error is raised.
        """
        from pipelex.cli import output
        from pipelex.cli.session import say

        output.show(result, as_json=self.is_json, with_memory=self.with_memory, is_quiet=self.is_quiet)
        failed = self._report(result, await self._files(result, handle, library, blobs))
        for error in failed[1:]:
            say(f"warning: {error.message}")
        if failed:
            raise failed[0]

    async def tell_failed(self, handle: RunHandle, library: Library) -> None:
        """Write what the run did until it failed, and say what it consumed."""
        from pipelex.cli import run_files

        if not self.is_dry:
            await run_files.leave_failed(
                handle, library, self.base, graph=self.graph, costs=self.costs, is_rehearsal=self.is_rehearsal
            )

    async def _files(self, result: RunResult, handle: RunHandle, library: Library, blobs: Blobs) -> dict[str, bytes]:
        from pipelex.cli import run_files
        from pipelex.storage.produced import produced_files
        from pipelex.values.value import Absence

        files: dict[str, bytes] = {}
        if not isinstance(result.outcome, Absence) and not self.is_dry:
            files = await produced_files(result.outcome, result.concepts, blobs)
        if self.costs:
            files |= run_files.cost_report(result.usage)
        if (self.graph or self.is_rehearsal) and (record := await run_files.record_of(handle)) is not None:
            if self.graph:
                files |= run_files.pictures(record, library, result.outcome, files=files, is_dry=self.is_dry)
            if self.is_rehearsal:
                files |= run_files.rehearsal_report(record)
        return files

    def _report(self, result: RunResult, files: dict[str, bytes]) -> list[PipelexError]:
        """Write what can be written, say what was done, and return what failed."""
        from pipelex.cli import costs, output, rehearsal, run_files
        from pipelex.cli.session import say

        written, failed = self._write(result, files)
        if result.is_simulated:
            say(output.SIMULATED)
        say(f"{'dry run done' if self.is_dry else 'done'}: {result.pipe}{output.consumed(result)}")
        for file in written:
            say(f"  {file}")
        if self.save_csv is not None and result.absence is not None:
            say("  no CSV file: the result is absent")
        if self.costs:
            costs.show(result.usage)
        if (told := files.get(run_files.REHEARSAL)) is not None:
            say(rehearsal.told(told))
        return failed

    def _write(self, result: RunResult, files: dict[str, bytes]) -> tuple[list[Path], list[PipelexError]]:
        """What was written, and what could not be."""
        from pipelex.cli import authoring, output

        def folder() -> list[Path]:
            made = output.write_files(result, self.base, files, main=self.kept.main, memory=self._has_memory)
            return sorted(made.iterdir()) if made else []

        def memory(file: Path) -> list[Path]:
            authoring.write(file, output.memory_text(result), told=False)
            return [file]

        def rows(file: Path) -> list[Path]:
            return [file] if output.write_rows(result, file) else []

        steps: list[Callable[[], list[Path]]] = [folder]
        if self.kept.memory_path is not None:
            steps.append(partial(memory, self.kept.memory_path))
        if self.save_csv is not None:
            steps.append(partial(rows, self.save_csv))
        written, failed = list[Path](), list[PipelexError]()
        for step in steps:
            try:
                written += step()
            except PipelexError as error:
                failed.append(error)
        return written, failed
