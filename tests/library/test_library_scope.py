"""References between packages, and what they may reach (MTHDS sections 3.2, 3.3 and 17.5)."""

from __future__ import annotations

import pytest
from rule_cases_library import concept, func, run

from pipelex.errors import LibraryError, Problem
from pipelex.language.bundle import Bundle
from pipelex.library.link import Linked, link
from pipelex.library.load import load_texts
from pipelex.library.scope import PackageTable
from pipelex.library.slices import slice_of

KIT = "example.org/Acme/kit"
KIT_TEXT = (
    'domain = "tea"\nmain_pipe = "brew"\n'
    + concept("Leaf")
    + func("brew", 'leaf = "Leaf"', "Leaf")
    + func("hidden", 'leaf = "tea.Leaf"', "Leaf")
)


def use(target: str, slot: str = "kit->tea.Leaf") -> str:
    return 'domain = "d"\nmain_pipe = "p"\n' + run("p", f'leaf = "{slot}"', slot, f'pipe = "{target}"')


def bundles(root: str, **packages: str) -> list[Bundle]:
    found = load_texts({"root.mthds": root})
    for name, text in packages.items():
        address = {"kit": KIT, "pot": "example.org/Acme/pots/small"}.get(name, name)
        found += [
            bundle.model_copy(update={"package": address}) for bundle in load_texts({f"{address}/{name}.mthds": text})
        ]
    return found


def linked(root: str, table: PackageTable | None = None, *, strict: bool = False, **packages: str) -> Linked:
    return link(bundles(root, **packages), packages=table, strict=strict)


def problems(root: str, table: PackageTable | None = None, **packages: str) -> list[Problem]:
    with pytest.raises(LibraryError) as caught:
        linked(root, table, **packages)
    return caught.value.found


ALIAS = PackageTable(aliases={("", "kit"): KIT})


def test_concepts_and_pipes_of_a_package_stand_under_its_address() -> None:
    found = linked(use("kit->tea.brew"), ALIAS, kit=KIT_TEXT, strict=True)
    crate = found.crate
    assert list(crate.concepts) == [f"{KIT}->tea.Leaf"]
    assert list(crate.pipes) == ["d.p", f"{KIT}->tea.brew", f"{KIT}->tea.hidden"]
    assert str(crate.pipes["d.p"].output) == f"{KIT}->tea.Leaf"
    assert str(crate.pipes[f"{KIT}->tea.hidden"].inputs["leaf"]) == f"{KIT}->tea.Leaf"
    assert crate.main_pipe == "d.p"
    assert not found.warnings
    part = slice_of(crate, "d.p")
    assert set(part.pipes) == {"d.p", f"{KIT}->tea.brew"}
    assert set(part.domains) == {"d", f"{KIT}->tea"}


@pytest.mark.parametrize("package", [KIT, KIT.lower(), "EXAMPLE.org/Acme"])
def test_an_address_may_stand_for_itself(package: str) -> None:
    root = use(f"{package}->tea.brew", f"{package}->tea.Leaf")
    assert not linked(root, kit=KIT_TEXT, strict=True).warnings


def test_of_packages_at_one_address_the_one_with_the_domain_is_meant() -> None:
    pot = 'domain = "pot"\n' + func("pour")
    table = PackageTable(aliases={("", "acme"): "example.org/Acme"})
    found = linked(use("acme->tea.brew", "acme->tea.Leaf"), table, kit=KIT_TEXT, pot=pot)
    assert f"{KIT}->tea.brew" in slice_of(found.crate, "d.p").pipes


def test_two_packages_share_no_names() -> None:
    root = use("brew", "Leaf").replace('"d"', '"tea"') + concept("Leaf") + func("brew", 'leaf = "Leaf"', "Leaf")
    crate = linked(root, ALIAS, kit=KIT_TEXT).crate
    assert str(crate.pipes["tea.p"].output) == "tea.Leaf"
    assert f"{KIT}->tea.brew" not in slice_of(crate, "tea.p").pipes


@pytest.mark.parametrize(
    ("target", "slot", "code"),
    [
        ("kitt->tea.brew", "kit->tea.Leaf", "unresolved_package_dependency"),
        ("kit->tea.brw", "kit->tea.Leaf", "unresolved_pipe_dependency"),
        ("kit->coffee.brew", "kit->tea.Leaf", "unresolved_pipe_dependency"),
        ("kit->tea.brew", "kit->tea.Leef", "unresolved_concept"),
        ("kit->tea.hidden", "kit->tea.Leaf", "unexported_pipe_dependency"),
    ],
)
def test_what_a_package_does_not_give_is_told(target: str, slot: str, code: str) -> None:
    table = PackageTable(aliases={("", "kit"): KIT}, exports={KIT: frozenset({"tea.other"})})
    assert {problem.code for problem in problems(use(target, slot), table, kit=KIT_TEXT)} == {code}


@pytest.mark.parametrize("exported", ["tea.hidden", "hidden"])
def test_an_export_may_name_the_pipe_wherever_it_is(exported: str) -> None:
    table = PackageTable(aliases={("", "kit"): KIT}, exports={KIT: frozenset({exported})})
    assert not linked(use("kit->tea.hidden"), table, kit=KIT_TEXT, strict=True).warnings


def test_a_pipe_of_another_domain_of_the_package_should_be_exported() -> None:
    root = use("tea.brew", "tea.Leaf")
    files = {"d.mthds": root, "tea.mthds": KIT_TEXT.replace('main_pipe = "brew"\n', "")}
    table = PackageTable(exports={"": frozenset()})
    found = link(load_texts(files), packages=table)
    assert [warning.code for warning in found.warnings] == ["unexported_pipe_dependency"]
    with pytest.raises(LibraryError) as caught:
        link(load_texts(files), packages=table, strict=True)
    assert [problem.code for problem in caught.value.found] == ["unexported_pipe_dependency"]
    assert not link(load_texts(files), strict=True).warnings


def test_a_name_found_only_in_another_package_is_taken_with_a_warning() -> None:
    found = linked(use("brew", "tea.Leaf"), ALIAS, kit=KIT_TEXT)
    assert {warning.code for warning in found.warnings} == {"nonlocal_reference"}
    near = KIT_TEXT.replace('"tea"', '"cup"')
    files = [*bundles(use("brew", "kit->tea.Leaf"), kit=KIT_TEXT), *load_texts({"near.mthds": near})]
    with pytest.raises(LibraryError) as caught:
        link(files, packages=ALIAS)
    # A pipe of the same package comes first: it takes another Leaf.
    assert {problem.code for problem in caught.value.found} >= {"input_stuff_spec_mismatch"}


def test_the_same_file_twice_counts_once() -> None:
    files = load_texts({"d.mthds": KIT_TEXT})
    assert link([*files, *files]).crate == link(files).crate
