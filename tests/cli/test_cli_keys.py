"""What works without any key, and what a run that needs one says: which variable, for which pipe, where it looked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

Cli = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def review(work: Path) -> Path:
    shutil.copytree(EXAMPLES / "contract_review", work / "review")
    return work / "review"


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "bundle", "review", "--dry-run"),
        ("run", "bundle", "review", "--simulate", "--no-pretty-print"),
        ("validate", "bundle", "review"),
        ("show", "pipes", "-L", "review"),
        ("show", "models"),
        ("graph", "review"),
        ("which", "review_contracts", "-L", "review"),
    ],
    ids=" ".join,
)
def test_it_works_without_any_key(cli: Cli, review: Path, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.code == 0, done.err
    assert "API_KEY" not in done.err


def test_a_live_run_says_which_key_for_which_pipe_and_where_it_looked(cli: Cli, review: Path) -> None:
    done = cli("run", "bundle", "review", "--no-temporal", "--no-graph", "--no-costs")
    assert done.code == 1
    assert done.err.splitlines()[-4:] == snapshot(
        [
            "error: the backend 'openai' needs the environment variable OPENAI_API_KEY, which is missing here: it is neither in the environment of this process, nor in .env of its folder, nor in ~/.pipelex/.env [credential-missing]",  # noqa: E501
            "  at: built-in backends",
            "  in: review_contracts > review_each > review_one > note_page",
            "  hint: export OPENAI_API_KEY=...  or put it in .env; or run with --simulate, which needs no key",
        ]
    )


def test_the_same_for_machines(cli: Cli, review: Path) -> None:
    done = cli("run", "bundle", "review", "--no-temporal", "--json")
    report = json.loads(done.err.splitlines()[-1])
    assert (report["code"], report["error_domain"]) == ("credential-missing", "config")
    assert report["pipe_stack"][-1] == "note_page"
    assert "OPENAI_API_KEY" in report["message"]


@pytest.mark.parametrize("place", [".env", "../home/.pipelex/.env"])
def test_it_does_look_there(cli: Cli, work: Path, greet: Path, place: str) -> None:
    file = work / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("OPENAI_API_KEY=k\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    (work / ".pipelex" / "pipelex.toml").write_text("[inprocess]\nattempts = 1\n")
    done = cli("run", "bundle", str(greet), "-i", '{"name": "Ada"}', "--no-temporal")
    assert done.code == 1
    assert "credential-missing" not in done.err
    assert "[provider-down]" in done.err
