from __future__ import annotations

import pytest

from pipelex.errors import PipeNotFoundError
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import library_from_texts
from pipelex.library.slices import needed_concepts, slice_of

SHOP = """
domain = "shop"
description = "A shop"
main_pipe = "all"

[concept]
Order = "An order"
Alone = "Used by nobody"
[concept.Scan]
description = "A scan"
refines = "Document"
[concept.Box]
description = "A box"
[concept.Box.structure]
lid = { type = "concept", concept_ref = "Lid", description = "l" }
tags = { type = "list", item_type = "concept", item_concept_ref = "Tag", description = "t" }
[concept.Lid]
description = "A lid"
refines = "Part"
[concept.Part]
description = "A part"
[concept.Part.structure]
name = "Its name"
[concept.Tag]
description = "A tag"
[concept.Tag.structure]
word = "The word"
[concept.BigBox]
description = "A big box"
refines = "Box"

[pipe.all]
type = "PipeSequence"
description = "d"
inputs = { orders = "Order[]" }
output = "Text"
steps = [
  { pipe = "pack", batch_over = "orders", batch_as = "order", result = "boxes" },
  { pipe = "boxes_in_turn", result = "done" },
  { pipe = "sides", result = "sides" },
  { pipe = "other.end" },
]
[pipe.pack]
type = "PipeFunc"
description = "d"
inputs = { order = "Order" }
output = "Box"
function_name = "f"
[pipe.boxes_in_turn]
type = "PipeBatch"
description = "d"
inputs = { boxes = "Box[]" }
output = "Text[]"
branch_pipe_code = "route"
input_list_name = "boxes"
input_item_name = "box"
[pipe.route]
type = "PipeCondition"
description = "d"
inputs = { box = "Box" }
output = "Text"
expression = "box.tags"
outcomes = { a = "ship", b = "fail" }
default_outcome = "route_again"
[pipe.route_again]
type = "PipeSequence"
description = "d"
inputs = { box = "Box" }
output = "Text"
steps = [{ pipe = "route" }]
[pipe.ship]
type = "PipeFunc"
description = "d"
inputs = { box = "Box" }
output = "Text"
function_name = "f"
[pipe.sides]
type = "PipeParallel"
description = "d"
output = "Composite"
branches = [{ pipe = "aside", result = "x" }]
[pipe.aside]
type = "PipeFunc"
description = "d"
output = "Text"
function_name = "f"
[pipe.read]
type = "PipeExtract"
description = "d"
inputs = { file = "Document" }
output = "Page[]"
"""
OTHER = 'domain = "other"\n[pipe.end]\ntype = "PipeFunc"\ndescription = "d"\noutput = "Text"\nfunction_name = "f"\n'


@pytest.fixture(scope="module")
def crate() -> LibraryCrate:
    return library_from_texts({"other.mthds": OTHER, "shop.mthds": SHOP})[0].crate


def codes(refs: object) -> list[str]:
    assert isinstance(refs, dict)
    return [ref.removeprefix("shop.") for ref in refs]


@pytest.mark.parametrize(
    ("start", "pipes"),
    [
        ("all", ["other.end", "all", "pack", "boxes_in_turn", "route", "route_again", "ship", "sides", "aside"]),
        ("pack", ["pack"]),
        ("boxes_in_turn", ["boxes_in_turn", "route", "route_again", "ship"]),
        ("route_again", ["route", "route_again", "ship"]),
        ("sides", ["sides", "aside"]),
    ],
)
def test_a_slice_holds_the_pipes_that_can_be_reached_in_the_order_of_the_crate(
    crate: LibraryCrate, start: str, pipes: list[str]
) -> None:
    assert codes(slice_of(crate, f"shop.{start}").pipes) == pipes


@pytest.mark.parametrize(
    ("start", "concepts"),
    [
        ("ship", ["Box", "Lid", "Part", "Tag", "BigBox"]),
        ("sides", []),
        ("read", ["Scan"]),
        ("pack", ["Order", "Box", "Lid", "Part", "Tag"]),
    ],
)
def test_a_slice_holds_the_concepts_it_needs_and_those_its_inputs_may_have(
    crate: LibraryCrate, start: str, concepts: list[str]
) -> None:
    assert codes(slice_of(crate, f"shop.{start}").concepts) == concepts


def test_a_slice_tells_only_of_what_it_holds(crate: LibraryCrate) -> None:
    found = slice_of(crate, "shop.sides")
    assert (found.domains, found.main_pipe) == ({"shop": "A shop"}, None)
    assert found.source_map == {"shop.sides": "shop.mthds", "shop.aside": "shop.mthds"}
    assert found.fingerprint == found.sealed().fingerprint != crate.fingerprint


def test_a_slice_of_a_slice_is_the_slice_of_the_whole(crate: LibraryCrate) -> None:
    whole, part = slice_of(crate, "shop.all"), slice_of(crate, "shop.boxes_in_turn")
    assert slice_of(whole, "shop.ship").pipes == slice_of(crate, "shop.ship").pipes
    assert slice_of(part, "shop.boxes_in_turn") == part


def test_a_slice_is_computed_once_for_a_fingerprint(crate: LibraryCrate) -> None:
    copy = LibraryCrate.model_validate_json(crate.model_dump_json(exclude_defaults=True, by_alias=True))
    assert copy == crate
    assert slice_of(copy, "shop.all") is slice_of(crate, "shop.all")


def test_a_slice_of_nothing_is_refused(crate: LibraryCrate) -> None:
    with pytest.raises(PipeNotFoundError, match=r"shop\.gone"):
        slice_of(crate, "shop.gone")


def test_needed_concepts_follow_fields_and_parents(crate: LibraryCrate) -> None:
    assert codes(needed_concepts(["shop.BigBox", "native.Text"], crate.concepts)) == [
        "Box",
        "Lid",
        "Part",
        "Tag",
        "BigBox",
    ]
    assert not needed_concepts(["native.Page"], crate.concepts)
