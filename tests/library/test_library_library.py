from __future__ import annotations

from pathlib import Path

import pytest

from pipelex.errors import InputError, LanguageError, LibraryError, PipeNotFoundError
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import Library, library_from_texts, load_library
from pipelex.values.slots import Slot

EXAMPLES = Path(__file__).parents[2] / "examples"


def bundle(domain: str, *codes: str, main: str | None = None, calls: str | None = None) -> str:
    """A bundle of pipes that call nothing, except the first, which may call another."""
    text = f'domain = "{domain}"\n' + (f'main_pipe = "{main}"\n' if main else "")
    for code in codes:
        text += f'[pipe.{code}]\ndescription = "d"\noutput = "Text[2]"\n'
        if calls and code == codes[0]:
            text += f'type = "PipeSequence"\nsteps = [{{ pipe = "{calls}" }}]\n'
        else:
            text += 'type = "PipeFunc"\nfunction_name = "f"\n'
    return text


def library(*texts: str) -> Library:
    return library_from_texts({f"{index}.mthds": text for index, text in enumerate(texts)})[0]


def test_a_library_answers_for_its_pipes() -> None:
    found = library(bundle("tea", "pour", "drink"))
    assert found.pipe("tea.pour").type == "PipeFunc"
    assert found.produced("tea.pour") == Slot("native.Text", is_list=True, count=2)
    assert list(found.slice("tea.pour").pipes) == ["tea.pour"]
    assert "native.Text" in found.concepts


@pytest.mark.parametrize(
    ("texts", "code", "entry"),
    [
        ([bundle("tea", "pour", "drink")], "pour", "tea.pour"),
        ([bundle("tea", "pour", "drink")], "tea.pour", "tea.pour"),
        ([bundle("tea", "pour", "drink", main="drink")], None, "tea.drink"),
        ([bundle("tea", "pour")], None, "tea.pour"),
        ([bundle("tea", "pour"), bundle("pot", "pour", main="pour")], None, "pot.pour"),
        ([bundle("tea", "pour"), bundle("pot", "pour")], "pot.pour", "pot.pour"),
    ],
)
def test_an_entry_pipe_is_found(texts: list[str], code: str | None, entry: str) -> None:
    assert library(*texts).entry(code) == entry


@pytest.mark.parametrize(
    ("texts", "code", "hint"),
    [
        ([bundle("tea", "pour", "drink")], "por", "did you mean 'pour'?"),
        ([bundle("tea", "pour", "drink")], "pot.pour", "did you mean 'tea.pour'?"),
        ([bundle("tea", "pour", "drink")], "xyzzy", "the pipes are: tea.pour, tea.drink"),
        ([bundle("tea", "pour"), bundle("pot", "pour")], "pour", "write the domain too: tea.pour, pot.pour"),
        (
            [bundle("tea", "pour", "drink", calls="drink"), bundle("pot", "pour")],
            None,
            "name the pipe to start: tea.pour, pot.pour",
        ),
        (
            [bundle("tea", "pour", main="pour"), bundle("pot", "fill", main="fill")],
            None,
            "name the pipe to start: tea.pour, pot.fill",
        ),
        (['domain = "tea"'], "pour", "this library has no pipe"),
        (['domain = "tea"'], None, None),
    ],
)
def test_an_entry_pipe_that_is_not_told_apart_is_refused(texts: list[str], code: str | None, hint: str | None) -> None:
    with pytest.raises(PipeNotFoundError) as caught:
        library(*texts).entry(code)
    assert caught.value.hint == hint


def test_a_pipe_that_is_not_there_is_refused() -> None:
    with pytest.raises(PipeNotFoundError, match=r"tea\.por"):
        library(bundle("tea", "pour")).pipe("tea.por")


def test_the_library_of_a_crate_is_made_once_for_a_fingerprint() -> None:
    crate = library(bundle("tea", "pour")).crate
    copy = LibraryCrate.model_validate(crate.model_dump())
    assert Library.of(copy) is Library.of(crate)
    other = library(bundle("tea", "pour", "drink")).crate
    assert Library.of(other) is not Library.of(crate)


def test_crates_that_differ_by_their_main_pipe_have_their_own_libraries() -> None:
    plain, main = library(bundle("tea", "a", "b")), library(bundle("tea", "a", "b", main="b"))
    assert plain.crate.fingerprint == main.crate.fingerprint
    assert main.entry(None) == "tea.b"
    with pytest.raises(PipeNotFoundError):
        plain.entry(None)


def test_crates_without_fingerprint_are_not_taken_for_each_other() -> None:
    one, two = (library(bundle("tea", code)).crate.model_copy(update={"fingerprint": ""}) for code in ("a", "b"))
    assert list(Library.of(one).crate.pipes) == ["tea.a"]
    assert list(Library.of(two).crate.pipes) == ["tea.b"]
    assert Library.of(two).crate.fingerprint


def test_libraries_are_loaded_from_paths(tmp_path: Path) -> None:
    (tmp_path / "one.mthds").write_text(bundle("tea", "pour", main="pour"))
    (tmp_path / "two.mthds").write_text(bundle("pot", "fill", calls="pour"))
    found, warnings = load_library([tmp_path])
    assert found.entry(None) == "tea.pour"
    assert [warning.code for warning in warnings] == ["nonlocal_reference"]
    with pytest.raises(InputError):
        load_library([tmp_path / "three.mthds"])


def test_warnings_of_reading_and_of_linking_are_given_together() -> None:
    old = bundle("tea", "pour", calls="fill").replace("steps", 'inputs = { "a.b" = "Text" }\nsteps')
    _, warnings = library_from_texts({"a.mthds": old, "b.mthds": bundle("pot", "fill")})
    assert [warning.code for warning in warnings] == ["invalid_input_name", "nonlocal_reference"]


def test_mistakes_stop_at_their_stage() -> None:
    with pytest.raises(LanguageError):
        library_from_texts({"a.mthds": "domain ="})
    with pytest.raises(LibraryError) as caught:
        library_from_texts({"a.mthds": bundle("tea", "pour", calls="drink")})
    assert caught.value.where == "a.mthds:6:12"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/bundle.mthds")), ids=lambda path: path.parent.name)
def test_the_examples_load_without_a_warning(path: Path) -> None:
    found, warnings = load_library([path])
    assert found.entry(None) == found.crate.main_pipe
    assert not warnings


def test_the_same_method_in_another_folder_has_files_of_its_own(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tea.mthds").write_text(bundle("tea", "a"))
    first, again, second = (load_library([tmp_path / name])[0] for name in ("first", "first", "second"))
    assert first is again
    assert first.crate.fingerprint == second.crate.fingerprint
    file = str(tmp_path / "second" / "tea.mthds")
    assert set(second.crate.source_map.values()) == set(second.slice("tea.a").source_map.values()) == {file}
