"""The one frozen Settings, made of the rooms' own slices. Stays in the process that loaded it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from pipelex.inference.secrets import Secrets
from pipelex.inference.settings import InferenceSettings, SecretSettings
from pipelex.inprocess.settings import InProcessSettings
from pipelex.storage.settings import PackageSettings, StorageSettings
from pipelex.temporal.settings import TemporalSettings
from pipelex.values.frozen import Frozen


class LibrarySettings(Frozen):
    """Where methods are looked for. PIPELEXPATH replaces `dirs`; `--library-dir` replaces both.

    `functions` names the Python modules whose `@pipe_func` functions this process may call, and whose structure
    classes concepts may name.
    """

    dirs: tuple[Path, ...] = ()
    """Folders of methods that are always loaded."""
    functions: tuple[str, ...] = ()
    """Modules, by name, or Python files, by path."""


class OutputSettings(Frozen):
    """Where `pipelex run` writes the results."""

    dir: Path = Path("results")
    """The folder; each run makes one of its own in it."""


class Settings(Frozen):
    """All that the operator decides. `root` is the project root, `config_dirs` the directories read, nearest first."""

    temporal: TemporalSettings = TemporalSettings()
    inference: InferenceSettings = InferenceSettings()
    storage: StorageSettings = StorageSettings()
    inprocess: InProcessSettings = InProcessSettings()
    library: LibrarySettings = LibrarySettings()
    output: OutputSettings = OutputSettings()
    packages: PackageSettings = PackageSettings()
    secrets: SecretSettings = SecretSettings()
    root: Path = Field(default_factory=Path.cwd, exclude=True)
    config_dirs: tuple[Path, ...] = Field(default=(), exclude=True)

    def secrets_here(self, environ: Mapping[str, str]) -> Secrets:
        """The secrets of this machine, with that environment before all else."""
        return Secrets.here(environ, self.root / self.secrets.dir if self.secrets.dir else None)


PLACES = frozenset({"root", "config_dirs"})
"""Fields of Settings that say where it was read, not what was written there."""
