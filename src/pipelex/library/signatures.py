"""Signatures: which pipe stands for a code declared several times, and whether contracts agree (section 8.2). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipelex.language.pipes import Pipe, PipeSignature
from pipelex.library.scope import Site
from pipelex.values.slots import Slot


def pipe_homes(sites: Iterable[Site]) -> tuple[dict[str, Site], list[tuple[str, Site]]]:
    """The site of each pipe, by absolute reference, and the signatures that repeat it elsewhere.

    A pipe wins over its signatures; a second pipe of the same code is noted (rule 30).
    """
    homes: dict[str, Site] = {}
    others: list[tuple[str, Site]] = []
    for site in sites:
        for code, pipe in site.pipes.items():
            ref = site.ref(code)
            first = homes.setdefault(ref, site)
            if first is site:
                continue
            if isinstance(pipe, PipeSignature):
                others.append((ref, site))
            elif isinstance(first.pipes[code], PipeSignature):
                homes[ref] = site
                others.append((ref, first))
            else:
                message = f"the pipe '{code}' of the domain '{site.bundle.domain}' is declared twice"
                hint = f"the other one is in {first.bundle.source}: rename one, or drop it"
                site.findings.error(site.at(code), "duplicate_pipe", message, hint)
    return homes, others


def check_signature(code: str, signature: Pipe, site: Site, pipe: Pipe, home: Site) -> None:
    """Rule 31: the contract of a signature is that of the pipe (or of the first signature), both linked."""
    for path, message in _differences(signature, pipe, site):
        where = f"the pipe '{code}' declared in {home.bundle.source}"
        hint = f"write the same inputs and output as {home.bundle.source}"
        told = f"the signature of '{code}' {message} {where}"
        site.findings.error(site.at(code, *path), "signature_mismatch", told, hint)


def _differences(signature: Pipe, pipe: Pipe, site: Site) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, slot in signature.inputs.items():
        if name not in pipe.inputs:
            yield ("inputs", name), f"has an input '{name}', unlike"
        elif _differ(slot, pipe.inputs[name], site):
            mine, other = _shown(slot, site), _shown(pipe.inputs[name], site)
            yield ("inputs", name), f"takes '{name}' as {mine} and not {other}, unlike"
    for name in pipe.inputs:
        if name not in signature.inputs:
            yield ("inputs",), f"lacks the input '{name}' of"
    if _differ(signature.output, pipe.output, site):
        mine, other = _shown(signature.output, site), _shown(pipe.output, site)
        yield ("output",), f"gives {mine} and not {other}, unlike"


def _differ(slot: Slot, other: Slot, site: Site) -> bool:
    # A concept that does not resolve is told elsewhere, and stands here as Dynamic.
    is_lost = bool(site.findings.errors) and "native.Dynamic" in (slot.concept, other.concept)
    return slot != other and not is_lost


def _shown(slot: Slot, site: Site) -> str:
    return str(Slot(site.short(slot.concept), slot.is_list, slot.count, slot.presence))
