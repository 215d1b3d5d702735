"""The wheel works where nothing else is: without extras, with `temporal`, with all of them."""

import email
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUNDLE = ROOT / "examples" / "hello"


@pytest.fixture(scope="session")
def bare(install):
    return install("")


@pytest.fixture(scope="session")
def durable(install):
    return install("temporal")


@pytest.fixture(scope="session")
def full(install):
    return install("all")


def test_the_wheel_holds_the_package_and_nothing_else(dist):
    wheel, _ = dist
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"pipelex", f"pipelex-{PROJECT['version']}.dist-info"}
    here = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    expected = {name for name in here if "__pycache__" not in name}
    assert {name for name in names if name.startswith("pipelex/")} == expected
    assert "pipelex/py.typed" in names


def test_the_wheel_says_what_it_is(dist):
    archive = zipfile.ZipFile(dist[0])
    [path] = [name for name in archive.namelist() if name.endswith("/METADATA")]
    told = email.message_from_bytes(archive.read(path))
    assert (told["Name"], told["Version"]) == ("pipelex", PROJECT["version"])
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert set(told.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert "make demo" in told.get_payload()


def test_the_source_distribution_builds_and_documents_itself(dist):
    with tarfile.open(dist[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "constraints.txt", "Makefile"} <= names
    assert any(name.startswith("tests/") for name in names)
    assert not [name for name in names if name.startswith((".venv", "results", ".pipelex")) or "__pycache__" in name]


def test_without_extras_a_method_is_checked_and_run_here(bare):
    assert bare.run("pipelex", "--version").stdout == f"pipelex {PROJECT['version']}\n"
    checked = bare.run("pipelex", "validate", "bundle", BUNDLE)
    assert (checked.returncode, checked.stderr) == (0, "")
    done = bare.run("pipelex", "run", "bundle", BUNDLE, "--simulate")
    assert done.returncode == 0, done.stderr
    assert "[simulated] Write one sentence in French that welcomes Ada to our team." in done.stdout


def test_without_extras_what_needs_one_is_named(bare):
    refused = bare.run("pipelex", "run", "bundle", BUNDLE, "--simulate", "--temporal")
    assert refused.returncode == 1
    assert 'pip install "pipelex[temporal]"' in refused.stderr
    assert "Traceback" not in refused.stderr
    for command in (["worker"], ["dev"], ["runs", "list"]):
        refused = bare.run("pipelex", *command)
        assert (refused.returncode, "pipelex[temporal" in refused.stderr) == (1, True), (command, refused.stderr)


def test_without_extras_few_packages_are_installed(bare):
    listed = json.loads(bare.run("python", "-m", "pip", "list", "--format", "json").stdout)
    names = {package["name"].lower() for package in listed}
    assert not names & {"temporalio", "openai", "anthropic", "boto3", "pydantic-ai-slim", "fpdf2", "cryptography"}
    # A ratchet: each package more is one more to trust, and to wait for.
    assert len(names - {"pip", "setuptools", "wheel"}) <= 34, sorted(names)


def test_with_temporal_a_run_is_durable(durable, client):
    settings = durable.folder / ".pipelex" / "pipelex.toml"
    settings.parent.mkdir()
    settings.write_text(
        "[temporal.temporal_config]\nselected_server = 'here'\n"
        "[temporal.temporal_config.temporal_server_configs.here]\n"
        f"target_host = '{client.service_client.config.target_host}'\n"
        "[temporal.worker_config]\ndefault_task_queue = 'packaging'\n"
    )
    worker = subprocess.Popen(
        [durable.bin / "pipelex", "worker"],
        cwd=durable.folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(durable.folder)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = durable.run("pipelex", "run", "bundle", BUNDLE, "--simulate", "--temporal")
        assert done.returncode == 0, done.stderr
        assert "[simulated] Write one sentence" in done.stdout
    finally:
        worker.terminate()
        worker.wait(timeout=60)


def test_with_all_nothing_is_missing(full):
    modules = "temporalio, fpdf, openpyxl, mammoth, pytesseract, anthropic, google.genai, boto3, obstore, cryptography"
    done = full.run("python", "-c", f"import {modules}, opentelemetry.sdk")
    assert done.returncode == 0, done.stderr
    printed = full.run("pipelex", "run", "bundle", ROOT / "examples" / "research_brief", "--simulate")
    assert printed.returncode == 0, printed.stderr
    assert full.run("python", "-m", "pip", "check").returncode == 0


def test_the_types_are_seen_by_those_who_use_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n\nimport pipelex\n\n\n"
        "async def main() -> str:\n"
        "    result = await pipelex.pipe_run(bundle='hello', inputs={'name': 'Ada'}, simulate=True)\n"
        "    reveal_type(result)\n"
        "    return result.main_stuff_as_text.text\n\n\n"
        "print(asyncio.run(main()))\n"
        "pipelex.pipe_run_sync(bundle=3)\n"
    )
    # The settings of the project, so that what `make types` has read is not read again.
    mypy = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", program]
    said = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True).stdout
    assert 'Revealed type is "pipelex.pipes.result.RunResult"' in said
    assert "has incompatible type" in said
    assert said.count("error:") == 1, said
