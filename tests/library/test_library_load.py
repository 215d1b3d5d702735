from __future__ import annotations

from pathlib import Path

import pytest

from pipelex.errors import InputError, LanguageError
from pipelex.library.load import find_bundles, load_bundles, load_texts

GOOD = 'domain = "tea"\n[concept]\nCup = "A cup"\n'


def write(path: Path, text: str = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_directories_are_searched_below_and_sorted(tmp_path: Path) -> None:
    wanted = [write(tmp_path / name) for name in ("a.mthds", "b/c.mthds", "b/d/e.mthds", "z.mthds")]
    write(tmp_path / "notes.txt")
    assert find_bundles([tmp_path]) == wanted


@pytest.mark.parametrize("skipped", [".git", "venv", "node_modules", "results", "__pycache__"])
def test_directories_that_hold_no_sources_are_skipped(tmp_path: Path, skipped: str) -> None:
    write(tmp_path / skipped / "x.mthds")
    kept = write(tmp_path / "kept.mthds")
    assert find_bundles([tmp_path]) == [kept]


def test_virtual_environments_of_any_name_are_skipped(tmp_path: Path) -> None:
    write(tmp_path / "py311" / "pyvenv.cfg", "home = x")
    write(tmp_path / "py311" / "x.mthds")
    kept = write(tmp_path / "kept.mthds")
    assert find_bundles([tmp_path]) == [kept]


def test_a_skipped_directory_named_by_the_caller_is_searched(tmp_path: Path) -> None:
    inside = write(tmp_path / ".hidden" / "x.mthds")
    assert find_bundles([tmp_path / ".hidden"]) == [inside]


def test_a_file_given_twice_is_one_bundle(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mthds")
    assert find_bundles([file, tmp_path, tmp_path / "." / "a.mthds"]) == [file]


def test_a_link_back_up_does_not_loop(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "a.mthds")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert find_bundles([tmp_path]) == [file]


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.mthds", "no such file"), ("notes.txt", "is not a bundle"), ("empty", "no bundle in")],
)
def test_paths_that_give_no_bundle_are_refused(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        find_bundles([tmp_path / name])
    assert name in caught.value.message
    assert caught.value.hint


def test_bundles_are_parsed_with_their_path_as_source(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mthds")
    (bundle,) = load_bundles([tmp_path])
    assert (bundle.source, bundle.domain, list(bundle.concepts)) == (str(file), "tea", ["Cup"])


def test_the_mistakes_of_every_file_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.mthds", "domain = \n")
    write(tmp_path / "b.mthds")
    (tmp_path / "c.mthds").write_bytes(b'domain = "tea"\n\ndescription = "caf\xe9"\n')
    write(tmp_path / "d.mthds", 'domain = "tea"\nmystery = 1\n')
    with pytest.raises(LanguageError) as caught:
        load_bundles([tmp_path])
    found = [(Path(problem.file or "").name, problem.code, problem.line) for problem in caught.value.found]
    assert found == [
        ("a.mthds", "toml_parse_error", 1),
        ("c.mthds", "toml_parse_error", 3),
        ("d.mthds", "unknown_key", 2),
    ]
    assert "3 problems" in caught.value.message


def test_texts_are_parsed_by_name() -> None:
    assert [bundle.source for bundle in load_texts({"one": GOOD, "two": 'domain = "x"'})] == ["one", "two"]
    with pytest.raises(LanguageError) as caught:
        load_texts({"one": GOOD, "two": "domain = 3"})
    assert [problem.file for problem in caught.value.found] == ["two"]
