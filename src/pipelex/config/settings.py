"""The one frozen Settings, made of the rooms' own slices. Stays in the process that loaded it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelex.inference.settings import InferenceSettings
from pipelex.inprocess.settings import InProcessSettings
from pipelex.storage.settings import StorageSettings
from pipelex.temporal.settings import TemporalSettings
from pipelex.values.frozen import Frozen


class LibrarySettings(Frozen):
    """Where methods are looked for. PIPELEXPATH replaces `dirs`; `--library-dir` replaces both.

    `functions` names the Python modules whose `@pipe_func` functions this process may call.
    """

    dirs: tuple[Path, ...] = ()
    functions: tuple[str, ...] = ()


class OutputSettings(Frozen):
    """Where `pipelex run` writes the results."""

    dir: Path = Path("results")


class ExecutionSettings(Frozen):
    """What bounds one run, in every host; frozen into its plan when it is submitted."""

    batch_window: int = Field(default=50, gt=0)
    """How many items of a batch run at a time."""
    batch_chunk: int = Field(default=500, gt=1)
    """How many items of a batch one workflow takes on itself before it splits the batch (durable runs only)."""
    depth_limit: int = Field(default=50, gt=0)
    """How deep pipes may call each other."""


class Settings(Frozen):
    """All that the operator decides. `root` is the project root, `config_dirs` the directories read, nearest first."""

    temporal: TemporalSettings = TemporalSettings()
    inference: InferenceSettings = InferenceSettings()
    storage: StorageSettings = StorageSettings()
    inprocess: InProcessSettings = InProcessSettings()
    execution: ExecutionSettings = ExecutionSettings()
    library: LibrarySettings = LibrarySettings()
    output: OutputSettings = OutputSettings()
    root: Path = Field(default_factory=Path.cwd, exclude=True)
    config_dirs: tuple[Path, ...] = Field(default=(), exclude=True)


PLACES = frozenset({"root", "config_dirs"})
"""Fields of Settings that say where it was read, not what was written there."""
