"""The laws of ARCHITECTURE.md that a reader of the code alone could break, checked on the syntax tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "pipelex").rglob("*.py"))
MODULES = [path for path in SOURCES if path.read_text().strip()]
FORBIDDEN_NAMES = re.compile(r"(Manager|Factory|Helper|Util|Abstract|Hub|Registry|Misc|Tools)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="session", params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> tuple[Path, ast.Module]:
    return request.param, ast.parse(request.param.read_text())


def calls(tree: ast.AST) -> list[str]:
    return [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def test_every_module_says_what_it_is(module: tuple[Path, ast.Module]) -> None:
    docstring = ast.get_docstring(module[1])
    assert docstring, "open the module with what is here and on which side of the wire it runs"


def test_nothing_received_is_executed(module: tuple[Path, ast.Module]) -> None:
    assert not {"exec", "eval", "__import__"} & set(calls(module[1]))
    assert not [name for name in imports(module[1]) if name.split(".")[0] in {"pickle", "marshal", "shelve", "dill"}]


def test_nothing_is_global(module: tuple[Path, ast.Module]) -> None:
    assert not [node for node in ast.walk(module[1]) if isinstance(node, ast.Global)]
    assert "ContextVar" not in calls(module[1])


def test_sizes(module: tuple[Path, ast.Module]) -> None:
    path, tree = module
    assert len(path.read_text().splitlines()) <= 600
    long = {
        node.name: length
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert not long


def test_names(module: tuple[Path, ast.Module]) -> None:
    classes = [node.name for node in ast.walk(module[1]) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if FORBIDDEN_NAMES.search(name)]


def test_public_functions_are_documented(module: tuple[Path, ast.Module]) -> None:
    silent = [
        node.name
        for node in module[1].body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)
    ]
    assert not silent


def loaded_by(code: str) -> set[str]:
    """The top-level names in sys.modules after `code` ran in a fresh interpreter."""
    names = "sorted({name.split('.')[0] for name in sys.modules})"
    script = f"{code}\nimport sys\nprint(*{names}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


HEAVY = {"temporalio", "httpx2", "openai", "jsonschema_rs", "pypdfium2", "PIL", "jinja2"}


def test_importing_pipelex_is_light() -> None:
    assert not loaded_by("import pipelex") & HEAVY


def test_help_is_light() -> None:
    code = "from pipelex.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & (HEAVY | {"rich"})


def test_the_public_surface_is_small() -> None:
    import pipelex

    assert len(pipelex.__all__) <= 20
    assert all(getattr(pipelex, name) is not None for name in pipelex.__all__)


def test_error_codes_are_unique_and_documented() -> None:
    from pipelex import errors

    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    public = [found for found in classes if not found.__name__.startswith("_")]
    codes = [found.code for found in public]
    assert len(codes) == len(set(codes)) <= 26
    assert errors.__doc__ is not None
    assert all(found.__name__ in errors.__doc__ for found in public)


def test_the_contracts_name_every_room() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = next(contract for contract in contracts if contract["id"] == "rooms")
    named = {room.strip() for layer in rooms["layers"] for room in layer.split("|")}
    there = {path.stem for path in (ROOT / "src" / "pipelex").iterdir() if not path.name.startswith(("_", "py."))}
    assert named == there


def test_tracked_files_name_no_registry_and_no_private_path() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    private = re.compile(r"://[a-z0-9.-]*(py.?p|npm)[a-z0-9.-]*\.(org|com)|/(home|root|Users)/\w+/")
    found = []
    for name in filter(None, tracked.split("\0")):
        path = ROOT / name
        if path.suffix in {".pdf", ".png", ".gz"} or path == Path(__file__) or not path.is_file():
            continue
        found += [
            f"{name}:{number}" for number, line in enumerate(path.read_text().splitlines(), 1) if private.search(line)
        ]
    assert not found
