"""Advice on the presence of inputs, which changes nothing (MTHDS rules 84 and 85). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipelex.language.pipes import Pipe
from pipelex.library.held import Lack
from pipelex.library.scope import Site
from pipelex.values.concepts import Concepts


def check_presence(
    pipes: Mapping[str, Pipe],
    homes: Mapping[str, Site],
    concepts: Concepts,
    taken: Mapping[str, Mapping[str, Iterable[Lack]]],
    main_pipe: str | None,
    shorthands: Collection[tuple[str, str]] = (),
) -> None:
    """Note inputs asserted present that always are, and inputs of the main pipe that an empty value satisfies.

    `taken` says, for each input, whether it may lack at each place that calls the pipe.
    """
    for ref, inputs in taken.items():
        for name, lacks in inputs.items():
            if all(lack == "never" for lack in lacks):
                _note_redundant(ref, name, homes[ref])
    if main_pipe is None:
        return
    for name, slot in pipes[main_pipe].inputs.items():
        if slot.presence == "forced" and main_pipe not in taken:
            _note_redundant(main_pipe, name, homes[main_pipe])
        if slot.presence != "optional" and not slot.is_list and _is_vacuous(slot.concept, concepts, shorthands):
            site, code = homes[main_pipe], main_pipe.rpartition(".")[2]
            message = f"'{code}' requires '{name}', and a {site.short(slot.concept)} with nothing in it will do"
            hint = "make a field required, or mark the input with '?'"
            site.findings.warn(site.at(code, "inputs", name), "input_presence_vacuous", message, hint)


def _note_redundant(ref: str, name: str, site: Site) -> None:
    code = ref.rpartition(".")[2]
    message = f"'{code}' asserts that '{name}' is there, and it always is"
    site.findings.warn(site.at(code, "inputs", name), "optional_force_redundant", message, "drop the '!'")


def _is_vacuous(ref: str, concepts: Concepts, shorthands: Collection[tuple[str, str]]) -> bool:
    """Whether every field of a structure may be left out."""
    if concepts.is_open(ref):
        return False
    owner = concepts.ancestry(ref)[-1]
    fields = concepts.structure(ref)
    return not any(field.required or (owner, name) in shorthands for name, field in fields.items())
