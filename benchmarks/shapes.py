"""The shapes that are measured: the same work as a method and as the plan a hand-written program follows."""

from __future__ import annotations

from dataclasses import dataclass

PROMPT = "Summarise in one line what a careful reader would keep of this note, number {0}: " + "the kettle is on. " * 12

SCHEMA = {
    "title": "Card",
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "score": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "score", "tags"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Shape:
    """One shape: how many calls it makes, its method, and how a hand-written program is laid out (`kind`, sizes)."""

    name: str
    calls: int
    kind: str
    width: int = 1
    depth: int = 1
    is_object: bool = False

    @property
    def inputs(self) -> dict[str, object]:
        """The inputs of the method."""
        return (
            {"notes": [f"note {index}" for index in range(self.width)]}
            if self.kind in ("batch", "nested")
            else {"note": "note 0"}
        )


SHAPES = {
    shape.name: shape
    for shape in [
        Shape("single", 1, "steps"),
        Shape("seq10", 10, "steps", depth=10),
        Shape("par5", 5, "parallel", width=5),
        Shape("batch100", 100, "batch", width=100),
        Shape("nested", 60, "nested", width=20, depth=3),
        Shape("obj", 1, "steps", is_object=True),
    ]
}


def prompt_text(number: int) -> str:
    """The prompt of one call, as both sides send it."""
    return PROMPT.format(number)


def _llm(code: str, output: str = "Text") -> str:
    return f"""
[pipe.{code}]
type = "PipeLLM"
description = "One call"
inputs = {{ note = "Text" }}
output = "{output}"
model = "gpt-4o-mini"
prompt = "{PROMPT.format("$note")}"
"""


def method(shape: Shape) -> str:
    """The shape as a `.mthds` text whose main pipe is `main`."""
    head = f'domain = "bench_{shape.name}"\ndescription = "Benchmark"\nmain_pipe = "main"\n'
    if shape.is_object:
        card = (
            '[concept.Card]\ndescription = "A card"\n[concept.Card.structure]\n'
            'title = { type = "text", description = "Title", required = true }\n'
            'score = { type = "integer", description = "Score", required = true }\n'
            'tags = { type = "list", item_type = "text", description = "Tags", required = true }\n'
        )
        return head + card + _llm("main", "Card")
    if shape.kind == "steps" and shape.depth == 1:
        return head + _llm("main")
    if shape.kind == "steps":
        steps = ", ".join(f'{{ pipe = "call", result = "r{index}" }}' for index in range(shape.depth))
        return head + _sequence("main", '{ note = "Text" }', "Text", steps) + _llm("call")
    if shape.kind == "parallel":
        branches = ", ".join(f'{{ pipe = "call", result = "r{index}" }}' for index in range(shape.width))
        return (
            head + f'[pipe.main]\ntype = "PipeParallel"\ndescription = "Fan out"\ninputs = {{ note = "Text" }}\n'
            f'output = "Composite"\nbranches = [ {branches} ]\n' + _llm("call")
        )
    if shape.kind == "batch":
        return head + _batch("call", "Text[]") + _llm("call")
    steps = ", ".join(f'{{ pipe = "call", result = "r{index}" }}' for index in range(shape.depth))
    return head + _batch("three", "Text[]") + _sequence("three", '{ note = "Text" }', "Text", steps) + _llm("call")


def _sequence(code: str, inputs: str, output: str, steps: str) -> str:
    return (
        f'[pipe.{code}]\ntype = "PipeSequence"\ndescription = "Steps"\ninputs = {inputs}\n'
        f'output = "{output}"\nsteps = [ {steps} ]\n'
    )


def _batch(branch: str, output: str) -> str:
    return (
        f'[pipe.main]\ntype = "PipeBatch"\ndescription = "Fan out"\n'
        f'inputs = {{ notes = "Text[]" }}\noutput = "{output}"\n'
        f'branch_pipe_code = "{branch}"\ninput_list_name = "notes"\ninput_item_name = "note"\n'
    )
