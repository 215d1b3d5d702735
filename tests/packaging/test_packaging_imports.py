"""What each first step loads: a ratchet on the packages, by name, and on how many modules they are."""

import subprocess
import sys
from pathlib import Path

import pytest

CONTRACT = Path(__file__).parents[2] / "examples" / "contract_review"
TELL = (
    "known = {name.partition('.')[0] for name in sys.modules}; "
    "others = known - sys.stdlib_module_names - standing - {'pipelex'}; "
    "ours = sorted(name for name in others if name[0] != '_'); "
    "print('\\n' + ' '.join([str(len(sys.modules) - before), *ours]))"
)
COMMAND = "from pipelex.cli.main import run_command; run_command({})"
TYPER = {"annotated_doc", "shellingham", "typer"}
MODELS = {
    "annotated_types",
    "jinja2",
    "markupsafe",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}


def loaded(code: str, folder: Path) -> tuple[int, set[str]]:
    """How many modules the code loads in a fresh interpreter, and of which packages."""
    start = "import sys; before = len(sys.modules); standing = {n.partition('.')[0] for n in sys.modules}; "
    run = [sys.executable, "-c", f"{start}{code}; {TELL}"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True, env={"HOME": str(folder)})
    count, *names = done.stdout.splitlines()[-1].split()
    return int(count), set(names)


@pytest.mark.parametrize(
    ("code", "most", "packages"),
    [
        ("import pipelex", 35, set()),
        (COMMAND.format(["--help"]), 130, TYPER),
        (COMMAND.format(["validate", "bundle", str(CONTRACT)]), 500, TYPER | MODELS),
        (COMMAND.format(["run", "bundle", str(CONTRACT), "--dry-run", "--mock-inputs"]), 520, TYPER | MODELS),
    ],
    ids=["import", "help", "validate", "dry run"],
)
def test_no_more_is_loaded_than_before(code: str, most: int, packages: set[str], tmp_path: Path) -> None:
    count, names = loaded(code, tmp_path)
    assert names <= packages
    assert 0 < count <= most
