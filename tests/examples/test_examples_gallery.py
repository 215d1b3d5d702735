"""The gallery: examples are strictly valid; drawings, simulated results and the table are what the code gives.

tests/parity runs each example dry, in process and on a real server; tests/docs runs the commands of each README.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pypdfium2
import pytest

from pipelex.app import Runtime
from pipelex.config.load import load_settings

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(file.parent for file in (ROOT / "examples").glob("*/bundle.mthds"))
TEXTS = sorted((ROOT / "scripts" / "example_documents").glob("*/*.txt"))
MADE = re.compile(rb"pipelex-storage://[0-9a-f]{64}")
AGAIN = "run scripts/record_examples.py and look at what changes"
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes what is compared here."""
    spec = importlib.util.spec_from_file_location("record_examples", ROOT / "scripts" / "record_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_shows_every_example(script: ModuleType) -> None:
    assert sorted([*script.REAL_WORK, *script.TO_LEARN]) == [folder.name for folder in EXAMPLES]
    assert len(script.REAL_WORK) >= 10
    assert (ROOT / "examples" / "README.md").read_text("utf-8") == script.gallery(), AGAIN


@each_example
async def test_an_example_is_strictly_valid(example: Path, tmp_path: Path) -> None:
    settings = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)}).settings
    async with Runtime.open(settings, environ={}) as runtime:
        report = await runtime.validate([example], strict=True)
    assert [problem.render() for problem in report.problems] == []


@each_example
def test_the_drawing_is_what_the_bundle_says(example: Path, script: ModuleType) -> None:
    assert (example / "graph.svg").read_text("utf-8") == script.picture(example), AGAIN


@each_example
async def test_the_simulated_result_is_what_a_run_gives(example: Path, script: ModuleType, tmp_path: Path) -> None:
    recorded = {file.name: file.read_bytes() for file in (example / "simulated").iterdir()}
    given = await script.simulated(example, tmp_path)
    assert sorted(given) == sorted(recorded), AGAIN
    for name, data in given.items():
        if name.endswith((".json", ".md", ".txt")):
            # The digest of a picture or a PDF depends on the version of the library that compresses it.
            assert MADE.sub(b"made", data) == MADE.sub(b"made", recorded[name]), AGAIN
        else:
            assert data[:4] == recorded[name][:4]


@each_example
def test_the_readme_shows_the_drawing_and_says_how_to_run_it(example: Path) -> None:
    text = (example / "README.md").read_text("utf-8")
    command = f"pipelex run bundle examples/{example.name}"
    assert "](graph.svg)" in text
    assert f"$ {command} --simulate" in text
    assert f"$ {command} --temporal" in text
    functions = f"--functions examples/{example.name}/functions.py"
    for line in re.findall(rf"^\$ {command}.*", text, re.MULTILINE):
        assert (functions in line) is (example / "functions.py").exists(), line
    for told in re.findall(r"`(\w+)`", text):
        known = "".join(file.read_text("utf-8") for file in example.glob("*.*") if file.suffix != ".md")
        assert told in known or told in OTHER_WORDS, f"nothing in {example.name} is called {told}"


OTHER_WORDS = {"working_memory", "documents", "ocr", "include_domains", "from_date", "max_results"}
"""What the READMEs name beside the pipes, concepts and fields of their own example."""


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.stem)
def test_a_document_says_what_its_text_says(file: Path) -> None:
    document = pypdfium2.PdfDocument(ROOT / "examples" / file.parent.name / "documents" / f"{file.stem}.pdf")
    shown = " ".join(page.get_textpage().get_text_bounded() for page in document)
    written = file.read_text("utf-8")
    missing = [word for word in re.findall(r"[\w.,]*\w", written) if word not in shown]
    assert not missing, "run scripts/make_example_documents.py"
