"""What is built for users: a wheel and a source distribution, and environments in which the wheel is installed."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel and one set of extras, and a folder of its own to work in."""

    bin: Path
    folder: Path

    def run(self, program, *arguments, **environ):
        """Run a program of the environment as a new user would: an empty home, and none of our variables."""
        kept = {key: value for key, value in os.environ.items() if key in ("LANG", "TMPDIR")}
        return subprocess.run(
            [self.bin / program, *map(str, arguments)],
            cwd=self.folder,
            env={**kept, "PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
        )


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def install(dist, tmp_path_factory):
    """Make an environment with the wheel and the extras given."""

    def made(extras):
        folder = tmp_path_factory.mktemp(f"with_{extras or 'nothing'}")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        wanted = f"{dist[0]}[{extras}]" if extras else str(dist[0])
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "-c", ROOT / "constraints.txt", wanted], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (folder / "work").mkdir()
        return Installed(folder / "venv/bin", folder / "work")

    return made
