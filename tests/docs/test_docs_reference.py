"""The pages of docs/reference are what the code gives now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
PAGES = ("activities.md", "cli.md", "configuration.md", "errors.md", "language.md")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated(reference: ModuleType) -> dict[str, str]:
    found: dict[str, str] = reference.pages()
    return found


def test_the_committed_pages_are_the_generated_ones(generated: dict[str, str]) -> None:
    assert sorted(generated) == sorted(file.name for file in FOLDER.glob("*.md")) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(generated: dict[str, str], reference: ModuleType, name: str) -> None:
    committed = (FOLDER / name).read_text("utf-8")
    assert committed.startswith(reference.NOTE)
    assert generated[name] == committed, "the code has changed: run `make docs` and commit docs/reference"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cli.md", "`--inputs FILE\\|JSON\\|-`, `-i FILE\\|JSON\\|-`"),
        ("cli.md", "## pipelex pkg add"),
        ("language.md", "| 88 | nothing is spelled as only older versions do |"),
        ("cli.md", "## pipelex setup-temporal-namespace"),
        ("configuration.md", '| `initial_interval` | duration, > 0s | `"3s"` |'),
        ("configuration.md", "## `[temporal.temporal_config.temporal_server_configs.<server>]`"),
        ("configuration.md", "How many times a reply that does not fit its schema is asked again"),
        ("errors.md", "| `CredentialError` | `credential-missing` |"),
        ("activities.md", "| `output_schema` | `dict[str, JsonValue]` | required |"),
    ],
)
def test_a_page_says_what_the_code_says(generated: dict[str, str], name: str, said: str) -> None:
    assert said in generated[name]
