"""What README says this version does not support is refused, or left empty, as it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.errors import DocumentError, ModelNotFoundError
from pipelex.inference.deck import Deck
from pipelex.inference.kinds import kind_of
from pipelex.pipes.models import Family, ModelAsk
from pipelex.pipes.requests import ObjectReply
from pipelex.storage.fetch import FetchedFile

PACKAGE = Path(__file__).parents[2] / "src" / "pipelex"
PRINT = """domain = "sheets"
[pipe.print]
type = "PipeDocGen"
description = "Print"
inputs = { body = "Text" }
output = "Document"
format = "%s"
"""
CLASS = """domain = "people"
[concept.Person]
description = "Somebody"
structure = "PersonClass"
[pipe.greet]
type = "PipeLLM"
description = "Greet"
inputs = { person = "Person" }
output = "Text"
prompt = "Greet $person"
"""


@pytest.mark.parametrize(
    ("family", "handle"),
    [
        ("extract", "docling-extract-text"),
    ],
)
def test_providers_with_an_api_of_their_own_are_refused(family: Family, handle: str) -> None:
    with pytest.raises(ModelNotFoundError, match="not supported by this version"):
        Deck.load((), {}).setting(ModelAsk(family, handle, "for_text" if family == "llm" else "default"))


def test_old_word_files_are_not_read() -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        kind_of(FetchedFile(b"PK\x03\x04", "application/msword", "letter.doc"))


@pytest.mark.parametrize("format", ["docx", "pptx"])
def test_word_and_powerpoint_files_are_refused(format: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.mthds"
    bundle.write_text(PRINT % format + f'template_file = "page.{format}"\n')
    (tmp_path / f"page.{format}").write_bytes(b"PK\x03\x04")

    async def validate() -> list[str]:
        settings = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)}).settings
        async with Runtime.open(settings, environ={}) as runtime:
            return [problem.code for problem in (await runtime.validate([bundle])).problems]

    assert asyncio.run(validate()) == ["pipe_factory"]


@pytest.mark.parametrize("strict", [False, True])
def test_a_structure_that_names_a_class_is_a_text_with_a_warning(strict: bool, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.mthds"
    bundle.write_text(CLASS)

    async def validate() -> tuple[bool, list[str]]:
        settings = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)}).settings
        async with Runtime.open(settings, environ={}) as runtime:
            report = await runtime.validate([bundle], strict=strict)
        return report.is_valid, [problem.code for problem in (*report.problems, *report.warnings)]

    is_valid, codes = asyncio.run(validate())
    assert is_valid is not strict
    assert "structure_class_error" in codes


def test_no_provider_measures_how_sure_a_verdict_is() -> None:
    assert "probabilities" in ObjectReply.model_fields
    assert not [file for file in (PACKAGE / "inference").rglob("*.py") if "probabilities" in file.read_text("utf-8")]
