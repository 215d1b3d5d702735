from __future__ import annotations

import tomllib

import pytest

from pipelex.errors import LanguageError
from pipelex.library.lock import Locked, parse_lock, render_lock, tree_hash
from pipelex.library.manifest import Dependency, name_for, new_manifest, parse_manifest, with_dependency

TEA = """\
[package]
name = "tea"
address = "example.org/acme/tea"
version = "1.0.0"
description = "Methods about tea"
"""


def test_everything_is_read() -> None:
    text = """\
[package]
name = "tea"
display_name = "Tea, at last"
address = "example.org/acme/tea"
version = "1.2.3-beta.1"
description = "Methods about tea"
authors = ["Ann", "Bob"]
license = "MIT"
mthds_version = ">=1.0.0"
main_pipe = "rate_cup"

[dependencies]
kit = { address = "example.org/acme/kit", version = "^1.0", path = "../kit" }

[exports.tea]
pipes = ["rate_cup"]

[exports.tea.tasting]
pipes = ["sip", "spit"]
"""
    found = parse_manifest(text, "METHODS.toml")
    assert found.main_pipe == "rate_cup"
    assert found.dependencies == (
        Dependency(alias="kit", address="example.org/acme/kit", version="^1.0", path="../kit"),
    )
    assert found.exports == {"tea": ("rate_cup",), "tea.tasting": ("sip", "spit")}
    assert found.authors == ("Ann", "Bob")
    assert found.warnings == ()


def test_a_name_is_derived_with_a_warning() -> None:
    found = parse_manifest(TEA.replace('name = "tea"\n', ""), "METHODS.toml", directory="Green-Tea")
    assert found.name == "green_tea"
    assert [warning.code for warning in found.warnings] == ["missing_key"]


def test_every_problem_is_told_where_it_stands() -> None:
    text = (
        TEA.replace("1.0.0", "1").replace("example.org/acme/tea", "tea") + '[dependencies]\nMy-kit = { version = "" }\n'
    )
    with pytest.raises(LanguageError) as caught:
        parse_manifest(text, "METHODS.toml")
    assert [(problem.code, problem.line) for problem in caught.value.found] == [
        ("manifest_field_invalid", 3),
        ("manifest_field_invalid", 4),
        ("dependency_alias_invalid", 7),
        ("missing_key", 7),
        ("version_constraint_invalid", 7),
    ]


def test_an_unknown_key_names_the_closest() -> None:
    found = parse_manifest(TEA + 'licence = "MIT"\n', "METHODS.toml")
    assert [(warning.code, warning.hint) for warning in found.warnings] == [("unknown_key", "did you mean 'license'?")]


@pytest.mark.parametrize(
    ("address", "name", "identity"),
    [
        ("example.org/acme/tea", "tea", "example.org/acme/tea"),
        ("example.org/acme/green-tea", "green_tea", "example.org/acme/green-tea"),
        ("example.org/acme/kit", "texts", "example.org/acme/kit/texts"),
    ],
)
def test_identity(address: str, name: str, identity: str) -> None:
    text = TEA.replace('"tea"', f'"{name}"').replace("example.org/acme/tea", address)
    found = parse_manifest(text, "METHODS.toml")
    assert found.identity == identity
    assert found.answers_to(address)
    assert found.answers_to(f"{address}/{name}")
    assert not found.answers_to("example.org/acme/other")


def test_a_new_manifest_can_be_read() -> None:
    found = parse_manifest(new_manifest("tea", "example.org/acme/tea", {"tea": ["rate"]}, "rate"), "METHODS.toml")
    assert found.warnings == ()
    assert found.exports == {"tea": ("rate",)}
    assert found.main_pipe == "rate"


@pytest.mark.parametrize(
    ("directory", "name"), [("Green Tea", "green_tea"), ("3-cups", "cups"), ("_", "methods"), ("x" * 40, "x" * 25)]
)
def test_names_for_directories(directory: str, name: str) -> None:
    assert name_for(directory) == name


@pytest.mark.parametrize(
    "text",
    [
        TEA,
        TEA + "[dependencies]\n",
        TEA + "[dependencies]",
        TEA + "[dependencies] # what we use\n# kept\n[exports.tea]\npipes = []\n",
        "[dependencies]\nbox = { address = 'a.org/b', version = '*' }\n" + TEA,
    ],
)
def test_a_dependency_is_added_and_the_rest_left_alone(text: str) -> None:
    added = Dependency(alias="kit", address="example.org/acme/kit", version="^1.0")
    changed = with_dependency(text, added)
    before, after = tomllib.loads(text), tomllib.loads(changed)
    assert after["dependencies"].pop("kit") == {"address": "example.org/acme/kit", "version": "^1.0"}
    assert after == before | {"dependencies": before.get("dependencies", {})}
    assert ("# kept" in changed) == ("# kept" in text)


def test_a_lock_is_read_as_written() -> None:
    kit = Locked(version="1.0.0", hash=f"sha256:{'a' * 64}", source="https://example.org/acme/kit.git", commit="b" * 40)
    box = Locked(version="2.0.0-rc.1", hash=f"sha256:{'c' * 64}", source="https://example.org/acme/box.git")
    text = render_lock({"example.org/acme/kit": kit, "example.org/acme/box": box})
    assert text.index("acme/box") < text.index("acme/kit")
    assert parse_lock(text, "methods.lock").packages == {"example.org/acme/box": box, "example.org/acme/kit": kit}
    assert render_lock(parse_lock(text, "methods.lock").packages) == text


def test_the_hash_of_a_tree() -> None:
    files = [("b/c.mthds", b"two"), ("METHODS.toml", b"one"), ("a", b"")]
    expected = "sha256:" + sha256_of(b"METHODS.toml" + b"one" + b"a" + b"" + b"b/c.mthds" + b"two")
    assert tree_hash(files) == tree_hash(reversed(files)) == expected
    assert tree_hash([*files, (".git/HEAD", b"x"), ("sub/.git", b"x")]) == expected
    assert tree_hash([*files, (".gitignore", b"x")]) != expected


def sha256_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_package_for_a_newer_language_is_refused_with_its_place() -> None:
    text = TEA + 'mthds_version = "^6.0"\n'
    with pytest.raises(LanguageError) as caught:
        parse_manifest(text, "METHODS.toml")
    (problem,) = caught.value.found
    assert (problem.place, problem.message, problem.hint) == (
        "METHODS.toml:6:1",
        "the package wants MTHDS ^6.0, and this is MTHDS 5.0.0",
        "install a newer pipelex, or an older version of the package",
    )


def test_a_package_for_an_older_language_is_read_with_a_warning() -> None:
    (warning,) = parse_manifest(TEA + 'mthds_version = "^1.0"\n', "METHODS.toml").warnings
    assert (warning.code, warning.message, warning.hint) == (
        "mthds_version_unsatisfied",
        "the package wants MTHDS ^1.0, and this is MTHDS 5.0.0, which reads older methods too",
        'if its methods are still right, write mthds_version = ">=5.0"',
    )
