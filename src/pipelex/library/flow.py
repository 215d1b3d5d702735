"""Whether what each pipe needs is there when it runs, and fits (MTHDS section 9A, rules 66 and 70 to 82). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pipelex.language.findings import Findings, Path, did_you_mean
from pipelex.language.pipes import (
    OUTCOME_WORDS,
    Binding,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeParallel,
    PipeSequence,
    Step,
)
from pipelex.library.bindings import Underived, derive, is_dotted, slot_of
from pipelex.library.graph import bottom_up
from pipelex.library.held import SHAPELESS, Held, Lack, worst
from pipelex.library.paths import Reached, field_fault
from pipelex.library.scope import Site
from pipelex.values.concepts import Concepts, Field
from pipelex.values.slots import Slot
from pipelex.values.value import MAIN

_LISTED = 8
_COMPOSITE = "native.Composite"
_MISMATCH = "input_stuff_spec_mismatch"


@dataclass(frozen=True)
class Flow:
    """What following every value has found, by pipe.

    `mended` are the outputs that differ from those declared, because an old form of the language is accepted: a
    parallel makes a Composite of its results, a batch gives what its branch gives, and a condition that may do nothing
    has an optional output. `bindings` is what bindings and dotted `batch_over` give, by index of the step. `taken` says
    for each input of a pipe whether it may lack, once for each place that calls the pipe.
    """

    mended: dict[str, Slot] = field(default_factory=dict)
    bindings: dict[str, dict[int, Slot]] = field(default_factory=dict)
    taken: dict[str, dict[str, list[Lack]]] = field(default_factory=dict)


def check_flow(
    pipes: Mapping[str, Pipe],
    homes: Mapping[str, Site],
    concepts: Concepts,
    shorthands: Collection[tuple[str, str]] = (),
) -> Flow:
    """Follow every value through the controllers, and note in `homes` what is missing or does not fit.

    `shorthands` are fields that may be empty although the language requires them.
    """
    flow = _Flow(pipes, homes, concepts, shorthands)
    for ref in bottom_up(pipes):
        flow.follow(ref)
    return flow.found


class _Flow:
    """What is known of the pipes followed so far, which are those that the next ones call."""

    def __init__(
        self,
        pipes: Mapping[str, Pipe],
        homes: Mapping[str, Site],
        concepts: Concepts,
        shorthands: Collection[tuple[str, str]],
    ) -> None:
        self.pipes = pipes
        self.shorthands = shorthands
        self.homes = homes
        self.concepts = concepts
        self.made: dict[str, Held] = {}
        """What each pipe gives to its callers."""
        self.left: dict[str, dict[str, Held]] = {}
        """The names each pipe leaves in the memory of its caller."""
        self.found = Flow()
        self.loose: set[str] = set()
        """The pipes that make a Composite although they declare something else."""

    def output(self, ref: str) -> Held:
        """What a pipe gives; what it declares, when it is reached again through itself."""
        return self.made.get(ref) or Held.declared(self.pipes[ref].output)

    def follow(self, ref: str) -> None:
        pipe = self.pipes[ref]
        caller = _Caller(self, ref, pipe, self.homes[ref])
        match pipe:
            case PipeSequence():
                held = caller.sequence(pipe)
            case PipeParallel():
                held = caller.parallel(pipe)
            case PipeCondition():
                held = caller.condition(pipe)
            case PipeBatch():
                held = caller.batch(pipe)
            case _:
                held = Held.declared(pipe.output)
        self.made[ref] = held
        self.left[ref] = caller.leaves

    def loosen(self, ref: str) -> None:
        """Note that a pipe makes a Composite, whatever it declares."""
        self.loose.add(ref)
        self.found.mended[ref] = Slot(_COMPOSITE)


@dataclass(frozen=True)
class _Called:
    """What one call gives and leaves; `is_known` is False when the called pipe does not exist."""

    held: Held
    leaves: Mapping[str, Held]
    is_known: bool = True


class _Names:
    """What is in a memory at some point. `is_whole` is False once a pipe that does not exist may have added to it.

    `told` are the names already noted as missing: each is told once for one memory.
    """

    def __init__(self, held: Mapping[str, Held], told: set[str] | None = None, *, is_whole: bool = True) -> None:
        self.held = dict(held)
        self.told = set() if told is None else told
        self.is_whole = is_whole

    def with_item(self, name: str, item: Held) -> _Names:
        return _Names({**self.held, name: item}, self.told, is_whole=self.is_whole)


class _Caller:
    """Follows the calls of one controller."""

    def __init__(self, flow: _Flow, ref: str, pipe: Pipe, site: Site) -> None:
        self.flow = flow
        self.ref = ref
        self.code = ref.rpartition(".")[2]
        self.pipe = pipe
        self.site = site
        self.findings: Findings = site.findings
        self.inputs = {name: Held.given(slot, f"an input of '{self.code}'") for name, slot in pipe.inputs.items()}
        self.leaves: dict[str, Held] = {}
        self.later: dict[str, str] = {}
        """Names that a step makes, for the hint when they are wanted too early."""

    def at(self, *path: str | int) -> Path:
        return self.site.at(self.code, *path)

    def shown(self, held: Held) -> str:
        """What is held, as an author would write it."""
        concept = self.site.short(held.concept)
        if not held.depth:
            return concept
        listed = f"{concept}[{held.count or ''}]" if held.depth == 1 else f"{concept}[]"
        return "a list of " * (held.depth - 1) + listed

    # The four controllers. Each gives what the pipe makes for its callers, and fills `leaves`.

    def sequence(self, pipe: PipeSequence) -> Held:
        names = _Names(self.inputs)
        self.later = {step.result: f"step {index}" for index, step in enumerate(pipe.steps, 1) if step.result}
        last: _Called | None = None
        for index, step in enumerate(pipe.steps):
            label = f"step {index + 1} of '{self.code}'"
            if step.result and self.later.get(step.result) == f"step {index + 1}":
                del self.later[step.result]
            path = self.at("steps", index)
            if isinstance(step, Binding):
                last = _Called(self.bound(step.from_, index, names, (*path, "from"), label), {})
            else:
                last = self.step(step, names, path, label, index)
            stored = {**last.leaves, **({step.result: last.held} if step.result else {})}
            self.leaves |= stored
            names.held |= {**stored, MAIN: last.held}
            names.is_whole = names.is_whole and last.is_known
        if last is None:
            return Held.declared(pipe.output)
        return self.ended(last, pipe.steps[-1])

    def ended(self, last: _Called, step: Step | Binding) -> Held:
        """Hold the last output of a sequence against the declared one (rules 74 and 82)."""
        output = self.pipe.output
        if isinstance(step, Step) and step.pipe in self.flow.loose and step.batch_over is None:
            if not self.flow.concepts.accepts(output.concept, _COMPOSITE):
                self.flow.loosen(self.ref)
            return replace(Held.declared(output), parts=last.held.parts)
        if last.is_known:
            what = _code(step.pipe) if isinstance(step, Step) else step.from_
            self.gives(last.held, f"its last step, '{what}',", self.at("output"))
        return self.resolved(last.held)

    def parallel(self, pipe: PipeParallel) -> Held:
        results: dict[str, Held] = {}
        for index, branch in enumerate(pipe.branches):
            label = f"branch {index + 1} of '{self.code}'"
            called = self.step(branch, _Names(self.inputs), self.at("branches", index), label)
            if branch.result is not None:
                results[branch.result] = called.held
        if pipe.add_each_output:
            self.leaves = results
        held = Held.declared(pipe.output)
        if not self.combines(results):
            self.flow.loosen(self.ref)
        elif pipe.output.concept != _COMPOSITE:
            return held
        return replace(held, parts=results)

    def condition(self, pipe: PipeCondition) -> Held:
        alias = pipe.add_alias_from_expression_to
        named = {} if alias is None else {alias: Held("native.Dynamic", None, maker=f"named by '{self.code}'")}
        names = _Names({**self.inputs, **named})
        targets: list[tuple[tuple[str, ...], str]] = [(("outcomes", key), ref) for key, ref in pipe.outcomes.items()]
        targets.append((("default_outcome",), pipe.default_outcome))
        lacks: list[Lack] = []
        left: list[Mapping[str, Held]] = []
        depths: list[int | None] = []
        may_be_empty = False
        for path, target in targets:
            if target in OUTCOME_WORDS:
                if target == "continue":
                    lacks.append("tolerated")
                    left.append({})
                    may_be_empty = True
                continue
            label = f"the outcome '{path[-1]}' of '{self.code}'" if len(path) > 1 else f"the default of '{self.code}'"
            called = self.call(target, names, self.at(*path), label)
            left.append(called.leaves)
            if called.is_known:
                self.gives(called.held, f"{label}, '{_code(target)}',", self.at(*path))
                lacks.append(called.held.lack)
                depths.append(called.held.depth)
                may_be_empty = may_be_empty or called.held.may_be_empty
        self.leaves = {**named, **_common(left)}
        self.note_continue(pipe)
        depth = depths[0] if len(set(depths)) == 1 else None
        return self.resolved(Held(pipe.output.concept, depth, lack=worst(*lacks), may_be_empty=may_be_empty))

    def note_continue(self, pipe: PipeCondition) -> None:
        """Rule 79: a condition that may do nothing has an optional output."""
        if pipe.output.is_list or pipe.output.presence == "optional":
            return
        if "continue" in (*pipe.outcomes.values(), pipe.default_outcome):
            slot = replace(pipe.output, presence="optional", concept=self.site.short(pipe.output.concept))
            message = f"'{self.code}' may do nothing ('continue'), so its output may be absent"
            self.findings.dated(self.at("output"), "optional_output_required", message, f'write output = "{slot}"')

    def batch(self, pipe: PipeBatch) -> Held:
        listed = self.inputs.get(pipe.input_list_name)
        # What is wrong with the list itself is told by the checks of its file.
        if listed is None or not listed.depth:
            return Held.declared(pipe.output)
        item = listed.item(f"an item of '{pipe.input_list_name}'")
        names = _Names(self.inputs).with_item(pipe.input_item_name, item)
        called = self.call(pipe.branch_pipe_code, names, self.at("branch_pipe_code"), f"the branch of '{self.code}'")
        held = called.held.batched(listed)
        branch = f"its branch, '{_code(pipe.branch_pipe_code)}',"
        if called.is_known and not self.gives(held, branch, self.at("output"), is_dated=True):
            # Accepted as it is written in old files: the batch then gives what its branch gives.
            self.flow.found.mended[self.ref] = Slot(held.concept, is_list=True, count=held.count)
            return held
        return self.resolved(held)

    # One call.

    def bound(self, path: str, index: int, names: _Names, where: Path, label: str) -> Held:
        """Rule 66: what stands at a path of something in memory."""
        root = path.partition(".")[0]
        held = names.held.get(root)
        if held is None:
            self.missing(f"{label} takes '{path}'", root, names, where, "…")
            return Held("native.Dynamic", None)
        found = derive(self.flow.concepts, held, path, self.flow.shorthands)
        if isinstance(found, Underived):
            # What does not resolve is told already, and stands here as something of any shape.
            if not (self.findings.errors and self.flow.concepts.is_open(held.concept)):
                self.findings.error(where, "binding_path_unresolved", f"{label}: {found.message}", found.hint)
            return Held("native.Dynamic", None)
        found = replace(found, maker=f"taken from '{path}' by {label}")
        self.flow.found.bindings.setdefault(self.ref, {})[index] = slot_of(found)
        return found

    def step(self, step: Step, names: _Names, path: Path, label: str, index: int = 0) -> _Called:
        """A step or a branch, batched or not. A batch leaves nothing but its list."""
        if step.batch_over is None or step.batch_as is None:
            called = self.call(step.pipe, names, (*path, "pipe"), label, step)
            return replace(called, held=replace(called.held, maker=f"made by {label}"))
        if is_dotted(step):
            listed: Held | None = self.bound(step.batch_over, index, names, (*path, "batch_over"), label)
        else:
            listed = names.held.get(step.batch_over)
        if listed is None:
            self.missing(f"{label} runs over '{step.batch_over}'", step.batch_over, names, (*path, "batch_over"), "…[]")
            listed = Held("native.Dynamic", None)
        elif listed.depth == 0:
            concept = self.site.short(listed.concept)
            message = f"{label} runs over '{step.batch_over}', which is not a list: it is one {concept}"
            hint = f"{listed.maker}: declare it as {concept}[], or drop batch_over"
            self.findings.error((*path, "batch_over"), _MISMATCH, message, hint)
            listed = replace(listed, depth=None)
        item = listed.item(f"an item of '{step.batch_over}'")
        called = self.call(step.pipe, names.with_item(step.batch_as, item), (*path, "pipe"), label, step)
        held = replace(called.held.batched(listed), maker=f"made by {label}")
        return _Called(held, {}, called.is_known)

    def call(self, target: str, names: _Names, path: Path, label: str, step: Step | None = None) -> _Called:
        """A call of a pipe: each of its inputs is there and fits (rules 70 to 73). `step` may ask for a count."""
        callee = self.flow.pipes.get(target)
        if callee is None:
            return _Called(Held("native.Dynamic", None), {}, is_known=False)
        lack: Lack = "never"
        for name, slot in callee.inputs.items():
            held = names.held.get(name)
            if held is None:
                wanted = replace(slot, concept=self.site.short(slot.concept))
                what = f"{label} calls '{_code(target)}', which needs '{name}' ({wanted})"
                self.missing(what, name, names, path, wanted)
                continue
            if slot.presence == "forced":
                self.flow.found.taken.setdefault(target, {}).setdefault(name, []).append(held.lack)
            self.takes(slot, held, f"{label} calls '{_code(target)}', which takes '{name}' as", path)
            if slot.presence == "plain" and not slot.is_list:
                lack = worst(lack, held.lack)
        leaves = {name: held.skippable(lack) for name, held in self.flow.left.get(target, {}).items()}
        given = self.flow.output(target)
        # A pipe that is skipped leaves what it was asked for: an empty list, or an absence.
        return _Called((given.overridden(step) if step else given).skippable(lack), leaves)

    def missing(self, what: str, name: str, names: _Names, path: Path, wanted: Slot | str) -> None:
        """Rule 70: note a name that is not there, with those that are."""
        if not names.is_whole or name in names.told:
            return
        names.told.add(name)
        known = {other: held for other, held in names.held.items() if other != MAIN}
        there = [f"'{other}' ({self.shown(held)})" for other, held in known.items()]
        more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
        listing = f"there is {', '.join(there[:_LISTED])}{more}" if there else "nothing is there"
        hint = f"{self.later[name]} makes it: move that step up" if name in self.later else did_you_mean(name, known)
        if hint is None:
            declaration = f'inputs = {{ {name} = "{wanted}" }}'
            hint = f'give an earlier step result = "{name}", or declare it: {declaration}'
        self.findings.error(path, "missing_input_variable", f"{what}; {listing}", hint)

    def takes(self, slot: Slot, held: Held, what: str, path: Path) -> None:
        """Hold a value against the input it is used for."""
        wanted = replace(slot, concept=self.site.short(slot.concept))
        message = f"{what} {wanted}; what is there is {self.shown(held)} ({held.maker})"
        if not self.flow.concepts.accepts(slot.concept, held.concept):
            if held.concept == "native.Anything":
                self.findings.dated(path, _MISMATCH, f"{message}: checked only when it runs")
                return
            self.findings.error(path, _MISMATCH, message)
        elif held.depth is None or (slot.concept in SHAPELESS and not slot.is_list):
            return
        elif not slot.is_list:
            if held.depth:
                hint = f'write "{wanted.concept}[]", or run the step over the list with batch_over and batch_as'
                self.findings.dated(path, _MISMATCH, f"{message}: the whole list is handed over", hint)
        elif held.depth == 0:
            if held.may_nest:
                self.findings.warn(path, _MISMATCH, f"{message}: it works only if that is a list of lists")
            else:
                hint = f'write "{wanted.concept}" for a single one'
                self.findings.error(path, _MISMATCH, message, hint)
        elif slot.count is not None and held.count is not None and slot.count != held.count:
            self.findings.error(path, _MISMATCH, message)
        elif slot.count is not None and held.may_be_empty:
            what = f"{message}: it is empty, and refused, when the pipe that makes it is skipped"
            self.findings.warn(path, _MISMATCH, what, f'write "{wanted.concept}[]" to take an empty list too')

    # Outputs.

    def gives(self, held: Held, who: str, path: Path, *, is_dated: bool = False) -> bool:
        """Whether what the pipe ends with is what it declares (rules 74, 78, 81 and 82); noted if it is not.

        `is_dated`: only the strict profile refuses another concept or multiplicity.
        """
        note = self.findings.dated if is_dated else self.findings.error
        output = self.pipe.output
        declared = replace(output, concept=self.site.short(output.concept))
        message = f"'{self.code}' declares the output {declared}, and {who} gives {self.shown(held)}"
        if not self.flow.concepts.accepts(output.concept, held.concept):
            if held.concept == "native.Anything":
                warning = f"{message}: checked only when it runs"
                self.findings.dated(path, "inadequate_output_concept", warning)
                return True
            note(path, "inadequate_output_concept", message)
            return False
        if output.concept in SHAPELESS and not output.is_list:
            return True
        is_other_count = output.count is not None and held.count is not None and output.count != held.count
        if held.depth is not None and (output.is_list != (held.depth > 0) or is_other_count):
            hint = f'write output = "{self.shown(held)}"' if held.depth < 2 else None
            note(path, "inadequate_output_multiplicity", message, hint)
            return False
        if held.lack == "maybe" and not output.is_list and output.presence == "plain":
            hint = f'write output = "{replace(declared, presence="optional")}"'
            self.findings.error(path, "optional_not_handled", f"{message}, which may be absent", hint)
        return True

    def resolved(self, held: Held) -> Held:
        """What callers see: the declared concept and presence, with the depth and count that were found."""
        output = self.pipe.output
        declared = replace(Held.declared(output), parts=held.parts if output.concept == _COMPOSITE else None)
        if output.is_list:
            may_be_empty = held.may_be_empty or held.lack != "never"
            count = output.count or held.count
            return replace(declared, depth=held.depth or 1, count=count, may_be_empty=may_be_empty)
        if output.presence == "plain" and held.lack == "tolerated":
            self.flow.found.mended[self.ref] = replace(output, presence="optional")
            return replace(declared, lack="tolerated")
        return declared

    def combines(self, results: Mapping[str, Held]) -> bool:
        """Whether the results of branches make the declared output (rules 75 and 76); noted if they do not."""
        output = self.pipe.output
        if output.concept == _COMPOSITE and not output.is_list:
            return True
        fields: dict[str, Field] = {}
        if not output.is_list and not self.flow.concepts.is_open(output.concept):
            fields = self.flow.concepts.structure(output.concept)
        required = [name for name, field in fields.items() if field.required and field.default is None]
        if not all(name in fields for name in results) or not all(name in results for name in required):
            what = self.site.short(output.concept) + ("[]" if output.is_list else "")
            message = f"the results of '{self.code}' ({', '.join(results)}) are not the fields of {what}"
            hint = 'a Composite of the results is made; write output = "Composite", or name the results as the fields'
            self.findings.dated(self.at("output"), "inadequate_output_concept", message, hint)
            return False
        for name, held in results.items():
            fault = field_fault(self.flow.concepts, fields[name], Reached(held.concept, held.depth))
            where = self.at("branches", list(results).index(name), "result")
            if fault is not None:
                message = f"'{self.code}': the field '{name}' {fault}; its branch gives {self.shown(held)}"
                self.findings.error(where, "inadequate_output_concept", message)
            elif name in required and held.lack == "maybe":
                message = f"'{self.code}': the field '{name}' is required, and its branch may give nothing"
                self.findings.error(where, "optional_branch_required_field", message, "make the field optional")
        return True


def _code(ref: str) -> str:
    return ref.rpartition(".")[2]


def _common(left: list[Mapping[str, Held]]) -> dict[str, Held]:
    """The names that every outcome leaves; one that differs holds anything."""
    if not left:
        return {}
    found: dict[str, Held] = {}
    for name, held in left[0].items():
        if all(name in other for other in left[1:]):
            others = [other[name] for other in left[1:]]
            is_same = all((other.concept, other.depth) == (held.concept, held.depth) for other in others)
            lack = worst(held.lack, *(other.lack for other in others))
            found[name] = replace(held, lack=lack) if is_same else Held("native.Dynamic", None, lack=lack)
    return found
