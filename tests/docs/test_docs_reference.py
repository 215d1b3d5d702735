"""The pages of docs/reference are what the code gives now."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pipelex

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
PAGES = ("activities.md", "cli.md", "configuration.md", "errors.md", "language.md", "metrics.md", "python.md")


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield importlib.import_module("reference")


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
        ("metrics.md", "| `pipelex_call_failures_total` |"),
        ("python.md", "async def pipe_run(pipe: str | None = None, **options: Unpack[RunOptions]) -> RunResult: ..."),
        ("python.md", "| `get_stuff_as_list` | The list of that name"),
        ("python.md", "class StubProvider(HttpStub):"),
        ("activities.md", "| `output_schema` | `dict[str, JsonValue]` | required |"),
    ],
)
def test_a_page_says_what_the_code_says(generated: dict[str, str], name: str, said: str) -> None:
    assert said in generated[name]


def test_every_public_name_is_told(generated: dict[str, str]) -> None:
    names = [name for name in pipelex.__all__ if name != "__version__"]
    assert [name for name in names if f"\n### {name}\n" not in generated["python.md"]] == []


def test_the_declarations_of_the_python_page_are_python(generated: dict[str, str]) -> None:
    blocks = re.findall(r"^```py\n(.*?)^```$", generated["python.md"], re.MULTILINE | re.DOTALL)
    assert len(blocks) > 30
    for block in blocks:
        assert len(ast.parse(block).body) == 1, block


def test_every_setting_says_what_it_means(generated: dict[str, str]) -> None:
    tables = generated["configuration.md"].split("\n## Models known")[0]
    keys = re.findall(r"^\| `\w+` \|.*$", tables, re.MULTILINE)
    assert len(keys) > 150
    assert [key for key in keys if len(re.split(r"(?<!\\)\|", key)) != 6 or key.endswith("|  |")] == []
