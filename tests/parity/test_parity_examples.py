"""Every example runs in every host, with the same result."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from parity_hosts import Hosts, ends_of, hosts, runtime
from temporalio.client import Client

from pipelex.language.pipes import Pipe, PipeSignature
from pipelex.library.library import load_library

EXAMPLES = sorted(file.parent for file in (Path(__file__).parents[2] / "examples").glob("*/bundle.mthds"))
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
EVERY_KIND = ("contract_review", "research_brief", "product_sheet", "orders")
"""Examples that have every kind of pipe between them."""


def inputs_of(example: Path) -> dict[str, Any]:
    return json.loads((example / "inputs.json").read_text())


@pytest.fixture(scope="module")
async def simulated(client: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hosts]:
    functions = sorted(file for folder in EXAMPLES for file in folder.glob("functions.py"))
    async with hosts(tmp_path_factory.mktemp("examples"), client, {}, functions) as opened:
        yield opened


def test_there_are_examples() -> None:
    assert {folder.name for folder in EXAMPLES} >= {"hello", "contract_review", "support_triage"}


@each_example
async def test_an_example_is_valid(example: Path, tmp_path: Path) -> None:
    async with runtime(tmp_path, {}) as opened:
        report = await opened.validate([example])
    assert [problem.render() for problem in report.problems] == []


@each_example
async def test_an_example_runs_dry_without_key_or_network(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"a dry run connects to {address}")

    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    async with runtime(tmp_path, {}) as opened:
        options = {"method": opened.load(example), "inputs_dir": example, "durable": False, "dry_run": True}
        result = await opened.run(None, inputs_of(example), **options)
        mocked = await opened.run(None, {}, mock_inputs=True, **options)
    assert result.absence is None
    assert result.data
    assert mocked.data
    assert result.usage.calls == 0


@pytest.mark.server
@each_example
async def test_an_example_gives_the_same_in_every_host(example: Path, simulated: Hosts) -> None:
    ends = await ends_of(simulated, example, inputs_of(example), inputs_dir=example, simulate=True)
    expected = ends.pop("in process")
    assert expected.error is None
    assert expected.usage.calls > 0
    assert expected.memory.root
    assert expected.memory.main in expected.memory.root
    for name, end in ends.items():
        assert end.memory.root == expected.memory.root, name
        assert end == expected, name


def test_few_examples_have_every_kind_of_pipe() -> None:
    files = [folder / "bundle.mthds" for folder in EXAMPLES if folder.name in EVERY_KIND]
    kinds = {type(pipe) for file in files for pipe in load_library([file])[0].crate.pipes.values()}
    assert kinds == {*get_args(get_args(Pipe)[0])} - {PipeSignature}


@pytest.mark.server
@pytest.mark.parametrize(
    "example", [folder for folder in EXAMPLES if folder.name in EVERY_KIND], ids=lambda it: it.name
)
async def test_an_example_runs_dry_on_a_server(example: Path, simulated: Hosts) -> None:
    ends = await ends_of(simulated, example, inputs_of(example), inputs_dir=example, dry_run=True)
    assert ends["in process"].error is None
    assert [end for end in ends.values() if end != ends["in process"]] == []
