"""Hypothesis strategies of valid methods: every shape the language can give them, with inputs. For tests of hosts.

A method is written as an author would, pipe by pipe, by somebody who always knows which names are in memory and what
they hold; so it links by construction, and what it does is decided by the draws alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import JsonValue

from pipelex.testing.made_concepts import CHOICES, Env, FieldSpec, Held, Made, table, toml
from pipelex.testing.made_operators import OperatorWriter

OPERATORS: Final = (
    "PipeLLM",
    "PipeStructure",
    "PipeFunc",
    "PipeImgGen",
    "PipeExtract",
    "PipeSearch",
    "PipeJudge",
    "PipeCompose",
    "PipeDocGen",
)
"""The operators that `methods` may use. A PipeFunc calls functions of `pipelex.testing.made_functions`."""
DOMAIN: Final = "made"
_LEVELS: Final = 3


@dataclass(frozen=True)
class Method:
    """The text of one bundle, inputs for its main pipe as a caller would write them, and the code of that pipe."""

    text: str
    inputs: dict[str, JsonValue]
    main_pipe: str

    def __str__(self) -> str:
        return f"{self.text}\n# inputs: {json.dumps(self.inputs, ensure_ascii=False)}"


def methods(*, pipes: int = 7, operators: Sequence[str] = OPERATORS) -> SearchStrategy[Method]:
    """Methods of at most `pipes` pipes or so; operators are of these kinds, and always PipeLLM and PipeCompose.

    A method is valid, which does not mean that it ends well: conditions may reach `fail`, asserted values may be
    absent, and divisions by zero happen.
    """
    return _methods(pipes, tuple(operators))


@st.composite
def _methods(draw: DrawFn, pipes: int, operators: tuple[str, ...]) -> Method:
    writer = _Writer(draw, pipes, operators)
    writer.declare_concepts()
    given = writer.given()
    main = writer.controller(given, None, 2, 0) if writer.chance(9, 10) else writer.operator(given, None, 1)
    inputs = {
        name: draw(writer.light(given[name])) for name in main.reads if not (name in main.free and writer.chance(1, 2))
    }
    head = [f'domain = "{DOMAIN}"', f'main_pipe = "{main.code}"']
    if writer.chance(1, 4):
        head.append('system_prompt = "Be exact."')
    return Method("\n".join([*head, "", *writer.concept_lines(), *writer.blocks]), inputs, main.code)


class _Writer(OperatorWriter):
    """Writes one method."""

    def __init__(self, draw: DrawFn, pipes: int, operators: tuple[str, ...]) -> None:
        super().__init__(draw, operators)
        self.left = pipes

    def pipe(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """A pipe that can be called where memory holds `env`: one there is, or a new one.

        It gives what is wanted (which may be absent all the same), or anything of at most `limit` levels of lists.
        """
        known = [made for made in self.made if self._fits(made, env, want, limit)]
        if known and self.chance(1, 6):
            return self.pick(known)
        may_control = self.left > 0 and level < _LEVELS
        must_control = want is not None and want.depth > 1
        if must_control or (may_control and self.chance(3 if level < 2 else 2, 5)):
            return self.controller(env, want, limit, level)
        return self.operator(env, want, limit)

    @staticmethod
    def _fits(made: Made, env: Env, want: Held | None, limit: int) -> bool:
        if made.gives.depth > limit or any(env.get(name) != held for name, held in made.reads.items()):
            return False
        return want is None or (made.gives.concept, made.gives.depth) == (want.concept, want.depth)

    def controller(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """A new controller."""
        self.left -= 1
        lists = [name for name, held in env.items() if held.depth]
        shapes: list[Callable[..., Made]] = [self.sequence, self.sequence]
        if (want.depth if want else limit) >= 1 and lists:
            shapes.append(self.batch)
        if want is None:
            shapes.append(self.parallel)
        if self._questions(env):
            shapes.append(self.condition)
        if want is not None and want.depth > 1:
            shapes = [self.batch] if lists else [self.sequence]
        return self.pick(shapes)(env, want, limit, level + 1)

    def lifted(self, env: Env) -> dict[str, Held]:
        """What a controller sees that will not run without some of what may be absent."""
        return {
            name: replace(held, may_lack=False) if held.may_lack and self.chance(1, 3) else held
            for name, held in env.items()
        }

    def close(self, code: str, env: Env, inner: Env, reads: Iterable[str], gives: Held, leaves: Env) -> Made:
        """A controller once its steps are written: without what it insists on it is skipped, and gives nothing."""
        kept = {name: inner[name] for name in dict.fromkeys(reads)}
        if any(env[name].may_lack and not held.may_lack for name, held in kept.items()):
            return Made(code, kept, replace(gives, may_lack=not gives.depth))
        return Made(code, kept, gives, dict(leaves))

    def step(
        self, env: Env, want: Held | None, limit: int, level: int, *, may_bind: bool
    ) -> tuple[dict[str, str], Made]:
        """A call of a pipe, perhaps once per item of a list; what is made is what the caller sees of it."""
        wanted = want.depth if want else limit
        lists = [(name, held.depth, held.concept) for name, held in env.items() if held.depth]
        if may_bind:
            lists += [(path, 1, found.concept) for path, found in self.paths(env) if found.depth == 1]
        must = want is not None and want.depth > 1 and level >= _LEVELS
        if lists and wanted >= 1 and (must or self.chance(2, 5)):
            over, depth, concept = self.pick(lists)
            item = self.fresh("item")
            inside = {**env, item: Held(concept, depth - 1)}
            aim = replace(want, depth=want.depth - 1, may_lack=False, count=None) if want else None
            made = self.pipe(inside, aim, wanted - 1, level)
            reads = {over.partition(".")[0]: env[over.partition(".")[0]]}
            reads |= {name: held for name, held in made.reads.items() if name != item}
            pairs = {"pipe": toml(made.code), "batch_over": toml(over), "batch_as": toml(item)}
            return pairs, Made(made.code, reads, Held(made.gives.concept, made.gives.depth + 1))
        made = self.pipe(env, want, limit, level)
        pairs = {"pipe": toml(made.code)}
        if made.kind == "PipeLLM" and made.gives.depth == 1 and self.chance(1, 4):
            pairs["nb_output"] = "3"
            made = replace(made, gives=replace(made.gives, count=None))
        elif (
            made.kind == "PipeLLM"
            and want is None
            and limit
            and not made.gives.depth
            and not made.gives.may_lack
            and self.chance(1, 6)
        ):
            pairs["multiple_output"] = "true"
            made = replace(made, gives=Held(made.gives.concept, 1))
        return pairs, made

    def sequence(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """Steps in one memory; names that they store stay there."""
        seen = self.lifted(env)
        inner = dict(seen)
        own: dict[str, Held] = {}
        reads: list[str] = []
        steps: list[str] = []
        gives: Held | None = None
        for left in reversed(range(self.draw(st.integers(1, 3)))):
            if left and (bindings := [*self.paths(inner)]) and self.chance(1, 3):
                path, found = self.pick(bindings)
                pairs, made = {"from": toml(path)}, Made("", {path.partition(".")[0]: found}, found)
            else:
                pairs, made = self.step(inner, None if left else want, limit, level, may_bind=True)
            reads += [name for name in made.reads if name not in own]
            stored = {name: replace(held, count=None) for name, held in made.leaves.items()}
            if left or self.chance(3, 4) or "from" in pairs:
                name = self.pick(own) if own and self.chance(1, 8) else self.fresh("step")
                pairs["result"] = toml(name)
                stored[name] = replace(made.gives, count=None)
            inner |= stored
            own |= stored
            steps.append(table(pairs))
            gives = made.gives
        assert gives is not None
        made = self.close(self.fresh("sequence"), env, seen, reads, gives, own)
        return self.declare(
            made, "PipeSequence", [f"steps = [\n  {','.join(f'{chr(10)}  {each}' for each in steps)[3:]}\n]"]
        )

    def parallel(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """Branches side by side, put together in a Composite or in a structure made for them."""
        seen = self.lifted(env)
        results: dict[str, Held] = {}
        reads: list[str] = []
        branches: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            pairs, made = self.step(seen, None, 1, level, may_bind=False)
            name = self.fresh("branch")
            results[name] = replace(made.gives, count=None)
            reads += made.reads
            branches.append(table({**pairs, "result": toml(name)}))
        concept = "Composite"
        if want is None and self.chance(1, 2) and not any(held.concept == "Composite" for held in results.values()):
            concept = self.fresh("Pair")
            self.structures[concept] = {name: self._holding(held) for name, held in results.items()}
        adds = self.chance(1, 2)
        made = self.close(self.fresh("parallel"), env, seen, reads, Held(concept), results if adds else {})
        lines = [f"add_each_output = {toml(adds)}", f"branches = [ {', '.join(branches)} ]"]
        return self.declare(made, "PipeParallel", lines)

    def _holding(self, held: Held) -> FieldSpec:
        """A field that can take such a value."""
        scalar = {"Text": "text", "Number": "number", "YesNo": "boolean", "Date": "text"}.get(held.concept)
        if held.concept == "Date" or not scalar or self.chance(1, 2):
            item = FieldSpec("concept", concept=held.concept)
        else:
            item = FieldSpec(scalar)
        if held.depth:
            item = replace(item, type="list", item=item.type)
        return replace(item, required=not held.may_lack and self.chance(1, 2))

    def condition(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """A choice between pipes that give the same."""
        seen = self.lifted(env)
        name, expression, keys = self.pick(self._questions(seen))
        aim = want or self.aim(min(limit, 1))
        reads, outcomes = [name], {}
        may_lack = False
        targets = [
            self.pipe(seen, replace(aim, may_lack=False), limit, level) for _ in range(self.draw(st.integers(1, 2)))
        ]
        for key, made in zip(keys, targets, strict=False):
            outcomes[toml(key)] = toml(made.code)
        words = ["fail"] if aim.depth else ["fail", "continue", "continue"]
        default = self.pick((*(made.code for made in targets), *(made.code for made in targets), *words))
        for made in targets:
            reads += made.reads
            may_lack |= made.gives.may_lack
        gives = Held(aim.concept, aim.depth, may_lack=may_lack or default == "continue")
        made = self.close(self.fresh("condition"), env, seen, reads, gives, {})
        key = "expression"
        if self.chance(1, 4):
            key, expression = "expression_template", f"{{{{ {expression} }}}}"
        lines = [
            f"{key} = {toml(expression)}",
            f"outcomes = {table(outcomes)}",
            f'default_outcome = "{default}"',
        ]
        return self.declare(made, "PipeCondition", lines)

    def _questions(self, env: Env) -> list[tuple[str, str, tuple[str, ...]]]:
        """Expressions over what is in memory, with answers they may have."""
        found: list[tuple[str, str, tuple[str, ...]]] = []
        for name, held in env.items():
            if held.depth:
                found.append((name, f"{name} | length > 1", ("True", "False")))
                continue
            guard = f" if {name} else 'none'" if held.may_lack else ""
            if self.is_text(held.concept):
                found.append((name, f"{name}.text | length % 2{guard}", ("0", "1")))
            for code, each in self.fields(held.concept).items():
                read = f"{name}.{code}"
                if each.choices:
                    found.append((name, read + guard, CHOICES[:2]))
                elif each.type == "boolean":
                    found.append((name, read + guard, ("True", "False")))
                elif each.type in ("integer", "number"):
                    found.append((name, f"({read} or 0) > 2{guard}", ("True", "False")))
        return found

    def batch(self, env: Env, want: Held | None, limit: int, level: int) -> Made:
        """A pipe once per item."""
        seen = self.lifted(env)
        over = self.pick(name for name, held in seen.items() if held.depth)
        item = self.fresh("item")
        aim = replace(want, depth=want.depth - 1, may_lack=False, count=None) if want else None
        inside = {**seen, item: Held(seen[over].concept, seen[over].depth - 1)}
        made = self.pipe(inside, aim, (want.depth if want else limit) - 1, level)
        gives = Held(made.gives.concept, made.gives.depth + 1)
        reads = [over, *(name for name in made.reads if name != item)]
        lines = [f'branch_pipe_code = "{made.code}"', f'input_list_name = "{over}"', f'input_item_name = "{item}"']
        if self.chance(1, 4):
            lines.append("max_concurrency = 2")
        return self.declare(self.close(self.fresh("batch"), env, seen, reads, gives, {}), "PipeBatch", lines)
