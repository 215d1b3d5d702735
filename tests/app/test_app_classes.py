"""What a program gives a runtime besides a method: structure classes, files of rows, engines of documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipelex import StructuredContent, WorkingMemory, pipe_func, pipe_run
from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.config.settings import Settings
from pipelex.errors import ConfigError, InputError, LibraryError

SHELF = """
domain = "shelf"
main_pipe = "fill"

[concept.Shelf]
description = "A shelf"

[concept.Cup]
description = "A cup"
structure = "CupContent"

[pipe.fill]
type = "PipeLLM"
description = "Fill"
inputs = { wish = "Text" }
output = "Shelf"
prompt = "Fill a shelf with $wish"

[pipe.label]
type = "PipeFunc"
description = "Label"
inputs = { shelf = "Shelf" }
output = "Text"
function_name = "label"

[pipe.first]
type = "PipeCompose"
description = "First"
inputs = { cups = "Cup[]" }
output = "Text"
template = "{% for cup in cups %}{{ cup.name }}: {{ cup.size + 1 }};{% endfor %}"
"""

MODULE = """
from pipelex import StructuredContent, pipe_func

class CupContent(StructuredContent):
    name: str
    size: int = 1

class Shelf(StructuredContent):
    title: str
    cups: list[CupContent]

    @property
    def shown(self):
        return f"{self.title}: {', '.join(cup.name for cup in self.cups)}"

@pipe_func
def label(working_memory):
    return working_memory.get_stuff("shelf").content.shown
"""

FULL = {"title": "Top", "cups": [{"name": "blue", "size": 2}, {"name": "red"}]}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path / "home")}).settings


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "shelf_classes.py"
    file.write_text(MODULE)
    return file


@pytest.fixture
async def runtime(settings: Settings, module: Path) -> AsyncIterator[Runtime]:
    async with Runtime.open(settings, environ={}, functions=[module]) as opened:
        yield opened


async def test_concepts_have_the_structure_of_the_classes_named(runtime: Runtime) -> None:
    method = runtime.load(SHELF)
    assert [problem.message for problem in method.warnings] == []
    concepts = method.library.concepts
    assert list(concepts.structure("shelf.Shelf")) == ["title", "cups"]
    assert concepts.structure("shelf.Shelf")["cups"].concept == "shelf.CupContent"
    assert list(concepts.structure("shelf.Cup")) == ["name", "size"]
    assert not concepts.is_text("shelf.Cup")
    result = await runtime.run(None, {"wish": "cups"}, method=method, simulate=True)
    assert isinstance(result.data, dict)
    assert list(result.data) == ["title", "cups"]


async def test_a_function_gets_objects_of_the_class(runtime: Runtime) -> None:
    result = await runtime.run("label", {"shelf": FULL}, method=runtime.load(SHELF))
    assert result.main_stuff_as_text.text == "Top: blue, red"


class Shelf(StructuredContent):
    wood: str


@pipe_func
def label(working_memory: WorkingMemory) -> str:
    shelf = working_memory.get_stuff("shelf").content
    assert isinstance(shelf, Shelf)
    return shelf.wood


async def test_classes_are_given_like_functions(settings: Settings) -> None:
    inputs = {"shelf": Shelf(wood="oak")}
    result = await pipe_run("label", bundle=SHELF, inputs=inputs, settings=settings, functions=[label, Shelf])
    assert result.main_stuff_as_text.text == "oak"


async def test_nothing_is_imported_that_is_not_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "shelf.mthds").write_text(SHELF)
    (tmp_path / "shelf_classes.py").write_text("raise SystemExit('imported')")
    async with Runtime.open(settings, environ={}, library_dirs=[tmp_path]) as runtime:
        method = runtime.load()
        assert method.library.concepts.is_text("shelf.Shelf")
        report = await runtime.validate([tmp_path / "shelf.mthds"])
    assert "structure_class_error" in [problem.code for problem in report.warnings]


async def test_validation_knows_the_classes(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "shelf.mthds").write_text(SHELF)
    report = await runtime.validate([tmp_path / "shelf.mthds"], strict=True)
    assert [problem.render() for problem in (*report.problems, *report.warnings)] == []


def test_a_class_that_no_concept_can_be_is_told_where_one_names_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(MODULE.replace("size: int = 1", "size: bytes"))
    runtime = Runtime.open(settings, environ={}, functions=[tmp_path / "odd.py"])
    assert runtime.load(SHELF.partition("[concept.Shelf]")[0] + '[pipe.fill]\ntype = "PipeLLM"\n' + PLAIN).own
    with pytest.raises(ConfigError, match=r"CupContent\.size has no counterpart in a structure: bytes"):
        runtime.load(SHELF)


PLAIN = 'description = "Fill"\ninputs = { wish = "Text" }\noutput = "Text"\nprompt = "Fill $wish"\n'


# Files of rows

ROWS = {"concept": "Cup", "content": {"url": "cups.csv"}}


@pytest.mark.parametrize("given", ["cups.csv", Path("cups.csv"), {"url": "cups.csv"}, ROWS])
async def test_rows_are_read_from_the_folder_of_the_inputs(runtime: Runtime, tmp_path: Path, given: Any) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "cups.csv").write_text("size,name\n2,blue\n,red\n")
    result = await runtime.run("first", {"cups": given}, method=runtime.load(SHELF), inputs_dir=folder)
    assert result.main_stuff_as_text.text == "blue: 3;red: 2;"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("none.csv", "the file of rows none.csv does not exist"),
        ("bad.csv", "read from bad.csv: row 2, column size: expected a whole number"),
        ("https://x.test/cups.csv", "rows are read from local files only"),
    ],
)
async def test_rows_that_cannot_be_read_stop_the_run(runtime: Runtime, tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "bad.csv").write_text("name,size\nblue,large\n")
    with pytest.raises(InputError, match=said):
        await runtime.start("first", {"cups": given}, method=runtime.load(SHELF))


# Documents

PRINT = """
domain = "d"
[pipe.print]
type = "PipeDocGen"
description = "Print"
inputs = { body = "Text" }
output = "Document"
format = "pdf"
"""


def test_a_format_that_has_no_engine_is_refused_with_those_that_have(runtime: Runtime) -> None:
    with pytest.raises(LibraryError) as caught:
        runtime.load(PRINT.replace("pdf", "docx"))
    assert caught.value.found[0].hint == "the formats that can be made are pdf, xlsx"
