from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipelex import TextContent, WorkingMemory, pipe_func, pipe_run, pipe_run_sync, start_pipe
from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.config.settings import Settings
from pipelex.errors import (
    DocumentError,
    InputError,
    LanguageError,
    LibraryError,
    PipeNotFoundError,
    RunCancelledError,
)

TEA = """
domain = "tea"
main_pipe = "describe"

[concept]
Note = "A tasting note"

[concept.Tin]
description = "A tin of tea"
[concept.Tin.structure]
name = { type = "text", description = "Name", required = true }
grams = { type = "integer", description = "Weight" }

[pipe.describe]
type = "PipeSequence"
description = "Describe a leaf"
inputs = { leaf = "Text" }
output = "Tin"
steps = [{ pipe = "taste", result = "note" }, { pipe = "pack", result = "tin" }]

[pipe.taste]
type = "PipeLLM"
description = "Taste"
inputs = { leaf = "Text" }
output = "Note"
prompt = "Taste $leaf"

[pipe.pack]
type = "PipeLLM"
description = "Pack"
inputs = { note = "Note" }
output = "Tin"
prompt = "Pack $note"

[pipe.shout]
type = "PipeFunc"
description = "Shout"
inputs = { leaf = "Text" }
output = "Text"
function_name = "shout"
"""


class Tin(BaseModel):
    name: str
    grams: int | None = None


@pipe_func
def shout(working_memory: WorkingMemory) -> TextContent:
    return TextContent(text=working_memory.get_stuff_as_str("leaf").upper())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path / "home")}).settings


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with Runtime.open(settings, environ={}) as opened:
        yield opened


async def test_a_run_gives_typed_access_to_its_result(settings: Settings) -> None:
    result = await pipe_run(bundle=TEA, inputs={"leaf": "sencha"}, simulate=True, settings=settings)
    assert result.pipe == "tea.describe"
    assert isinstance(result.main_stuff_as(Tin), Tin)
    assert result.is_simulated
    assert result.usage.calls == 2
    assert result.absence is None
    assert set(result.working_memory.list_keys()) >= {"leaf", "note", "tin"}


async def test_the_main_stuff_keeps_the_name_it_was_stored_under(settings: Settings) -> None:
    result = await pipe_run(bundle=TEA, inputs={"leaf": "sencha"}, simulate=True, settings=settings)
    wire = result.working_memory.to_wire(result.run_id)
    assert wire["aliases"] == {"main_stuff": "tin"}
    assert wire["root"]["tin"]["content"] == result.data


async def test_a_dry_run_calls_nobody(settings: Settings) -> None:
    result = await pipe_run(bundle=TEA, dry_run=True, mock_inputs=True, settings=settings)
    assert isinstance(result.main_stuff_as(Tin), Tin)


async def test_a_function_given_by_the_program_is_called(settings: Settings) -> None:
    result = await pipe_run("shout", bundle=TEA, inputs={"leaf": "assam"}, settings=settings, functions=[shout])
    assert result.main_stuff_as_text.text == "ASSAM"


def test_pipe_run_works_without_a_loop(settings: Settings) -> None:
    result = pipe_run_sync("taste", bundle=TEA, inputs={"leaf": "sencha"}, simulate=True, settings=settings)
    assert result.main_stuff_as(TextContent).text


async def test_a_handle_shows_progress_and_gives_the_result(settings: Settings) -> None:
    handle = await start_pipe(bundle=TEA, inputs={"leaf": "sencha"}, simulate=True, settings=settings)
    result = await handle.result()
    assert (handle.workflow_id, handle.run_id) == (None, result.run_id)
    progress = await handle.progress()
    assert (progress.state, [child.pipe for child in progress.children]) == ("done", ["taste", "pack"])


async def test_a_cancelled_run_says_so(settings: Settings) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @pipe_func(name="shout")
    async def waiting(working_memory: WorkingMemory) -> TextContent:
        started.set()
        await release.wait()
        return TextContent(text="never")

    handle = await start_pipe("shout", bundle=TEA, inputs={"leaf": "x"}, settings=settings, functions=[waiting])
    await started.wait()
    await handle.cancel()
    with pytest.raises(RunCancelledError):
        await handle.result()


async def test_local_files_become_references_to_blobs(runtime: Runtime, tmp_path: Path) -> None:
    method = runtime.load(
        'domain = "d"\nmain_pipe = "show"\n[pipe.show]\ntype = "PipeCompose"\ndescription = "Show"\n'
        'inputs = { scans = "Document[]" }\noutput = "Text"\n'
        'template = "{% for s in scans %} {{ s.url }}{% endfor %}"\n'
    )
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "a b.pdf").write_bytes(b"%PDF-1.4 a")
    given = {"scans": ["a b.pdf", (folder / "a b.pdf").as_uri(), "https://example.org/c.pdf"]}
    result = await runtime.run(None, given, method=method, inputs_dir=folder)
    first, second, third = result.main_stuff_as_text.text.split()
    assert first == second
    assert first.startswith("pipelex-storage://")
    assert third == "https://example.org/c.pdf"
    assert await runtime.blobs.get(first) == b"%PDF-1.4 a"


async def test_every_missing_file_is_named(runtime: Runtime) -> None:
    method = runtime.load(
        'domain = "d"\nmain_pipe = "show"\n[pipe.show]\ntype = "PipeCompose"\ndescription = "Show"\n'
        'inputs = { scans = "Document[]" }\noutput = "Text"\ntemplate = "{% for s in scans %}{{ s.url }}{% endfor %}"\n'
    )
    with pytest.raises(DocumentError, match=r"2 files .*a\.pdf.*b\.pdf"):
        await runtime.run(None, {"scans": ["a.pdf", "b.pdf"]}, method=method)


def test_the_entry_pipe_is_the_main_pipe_else_the_only_one_else_an_error(runtime: Runtime) -> None:
    assert runtime.load(TEA).pipe() == "tea.describe"
    assert runtime.load(TEA).pipe("pack") == "tea.pack"
    assert runtime.load(TEA).pipe("tea.pack") == "tea.pack"
    with pytest.raises(PipeNotFoundError, match="no main pipe"):
        runtime.load(TEA.replace('main_pipe = "describe"', "")).pipe()
    with pytest.raises(PipeNotFoundError):
        runtime.load(TEA).pipe("pakc")


def test_a_bundle_may_use_the_library_directories(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "tea.mthds").write_text(TEA)
    text = (
        'domain = "shop"\nmain_pipe = "sell"\n[pipe.sell]\ntype = "PipeSequence"\ndescription = "Sell"\n'
        'inputs = { leaf = "Text" }\noutput = "tea.Tin"\nsteps = [{ pipe = "tea.describe", result = "tin" }]\n'
    )
    with pytest.raises(LibraryError):
        Runtime.open(settings).load(text)
    method = Runtime.open(settings, library_dirs=[tmp_path / "lib"]).load(text)
    assert method.pipe() == "shop.sell"
    assert method.own == ("shop.sell",)


def test_the_same_file_given_twice_is_loaded_once(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "tea.mthds").write_text(TEA)
    method = Runtime.open(settings, library_dirs=[tmp_path]).load(tmp_path / "tea.mthds")
    assert len(method.bundles) == 1


def test_mistakes_of_the_text_and_of_the_links_are_told_apart(runtime: Runtime) -> None:
    with pytest.raises(LanguageError):
        runtime.load("domain = \n")
    with pytest.raises(LibraryError):
        runtime.load(TEA.replace('pipe = "pack"', 'pipe = "nowhere"'))


async def test_inputs_are_checked_before_anything_runs(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="leaf"):
        await runtime.start(None, {}, method=runtime.load(TEA), simulate=True)


async def test_validation_finds_nothing_wrong_in_a_sound_method(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "tea.mthds").write_text(TEA)
    report = await runtime.validate([tmp_path / "tea.mthds"])
    assert [problem.render() for problem in report.problems] == []
    assert report.main_pipe == "tea.describe"
    assert dict(report.pipes) == dict.fromkeys(("tea.describe", "tea.taste", "tea.pack", "tea.shout"), "SUCCESS")


async def test_validation_tells_what_fails_in_a_dry_run_once_with_its_place(runtime: Runtime, tmp_path: Path) -> None:
    text = (
        'domain = "d"\nmain_pipe = "outer"\n'
        '[pipe.outer]\ntype = "PipeSequence"\ndescription = "Outer"\ninputs = { n = "Number" }\noutput = "Text"\n'
        'steps = [{ pipe = "inner", result = "r" }]\n'
        '[pipe.inner]\ntype = "PipeCompose"\ndescription = "Inner"\ninputs = { n = "Number" }\noutput = "Text"\n'
        'template = "{{ n.number // 0 }}"\n'
    )
    (tmp_path / "d.mthds").write_text(text)
    report = await runtime.validate([tmp_path / "d.mthds"])
    assert len(report.problems) == 1
    assert report.problems[0].message.startswith("in a dry run: ")
    assert (report.problems[0].line, report.is_valid) == (9, False)


async def test_temporal_is_not_loaded_for_a_run_in_this_process(settings: Settings) -> None:
    durable = settings.model_copy(update={"temporal": settings.temporal.model_copy(update={"is_enabled": True})})
    result = await pipe_run("taste", bundle=TEA, inputs={"leaf": "x"}, simulate=True, durable=False, settings=durable)
    assert result.pipe == "tea.taste"
