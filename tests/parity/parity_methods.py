"""Small methods, one per kind of pipe and per way of failing, that must end the same in every host."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelex import NumberContent, TextContent, WorkingMemory, pipe_func
from pipelex.testing.provider_stub import StubAnswer, prompt_of

HEAD = 'domain = "d"\nmain_pipe = "main"\n'
CARD = """
[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "Title", required = true }
score = { type = "integer", description = "Score", required = true }
due = { type = "date", description = "Due" }
"""


def pipe(code: str, kind: str, inputs: str, output: str, *lines: str) -> str:
    """The declaration of one pipe; `inputs` as `name = "Concept", …`."""
    body = "\n".join(lines)
    head = f'[pipe.{code}]\ntype = "{kind}"\ndescription = "{code}"\ninputs = {{ {inputs} }}\noutput = "{output}"\n'
    return head + body + "\n"


def ask(code: str, inputs: str, output: str, prompt: str) -> str:
    return pipe(code, "PipeLLM", inputs, output, f'prompt = "{prompt}"', 'model = "gpt-4o-mini"')


def steps(code: str, inputs: str, output: str, *each: str) -> str:
    return pipe(code, "PipeSequence", inputs, output, f"steps = [ {', '.join(each)} ]")


def step(code: str, result: str = "", **more: str) -> str:
    pairs = {"pipe": code, **({"result": result} if result else {}), **more}
    return "{ " + ", ".join(f'{key} = "{value}"' for key, value in pairs.items()) + " }"


def call(code: str, function: str, inputs: str, output: str) -> str:
    return pipe(code, "PipeFunc", inputs, output, f'function_name = "{function}"')


def template(code: str, inputs: str, output: str, text: str) -> str:
    return pipe(code, "PipeCompose", inputs, output, f"template = '{text}'")


def choose(code: str, inputs: str, output: str, expression: str, outcomes: str, default: str) -> str:
    return pipe(
        code,
        "PipeCondition",
        inputs,
        output,
        f'expression = "{expression}"\noutcomes = {{ {outcomes} }}\ndefault_outcome = "{default}"',
    )


def each_of(code: str, inputs: str, output: str, branch: str, over: str, item: str) -> str:
    return pipe(
        code,
        "PipeBatch",
        inputs,
        output,
        f'branch_pipe_code = "{branch}"\ninput_list_name = "{over}"\ninput_item_name = "{item}"',
    )


def read(code: str) -> str:
    return pipe(code, "PipeExtract", 'doc = "Document"', "Page[]", 'model = "@default-text-from-pdf"')


@pipe_func
def shout(working_memory: WorkingMemory) -> TextContent:
    return TextContent(text=working_memory.get_stuff_as_str("note").upper())


@pipe_func
async def split(working_memory: WorkingMemory) -> list[TextContent]:
    return [TextContent(text=word) for word in working_memory.get_stuff_as_str("note").split()]


@pipe_func
def shapeless(working_memory: WorkingMemory) -> dict[str, Any]:
    return {"title": "no score", "score": "many"}


@pipe_func
def fails(working_memory: WorkingMemory) -> TextContent:
    raise ValueError("the note is unreadable")


@pipe_func
def half(working_memory: WorkingMemory) -> TextContent:
    return TextContent(text="cut in a character \ud83d")


@pipe_func
def no_number(working_memory: WorkingMemory) -> NumberContent:
    return NumberContent(number=float("nan"))


FUNCTIONS = (shout, split, shapeless, fails, half, no_number)


def answer(asked: dict[str, Any], before: int) -> StubAnswer | None:
    """The prompt in brackets for a text; a fault where the prompt asks for one; a mock of the schema otherwise."""
    prompt = prompt_of(asked)
    for word, fault in FAULTS.items():
        if word in prompt:
            return fault
    return None if "response_format" in asked else StubAnswer(text=f"<{prompt}>")


FAULTS = {
    "REFUSE": StubAnswer(status=400, text="refused"),
    "LOCKED": StubAnswer(status=401, text="wrong key"),
    "DOWN": StubAnswer(status=503),
    "DROP": StubAnswer(drop=True),
    "CUT": StubAnswer(text="half a", finish_reason="length"),
    "HALF A CARD": StubAnswer(text='{"title": "cut \\ud83d", "score": 1, "due": null}'),
    "HALF": StubAnswer(text="cut \ud83d"),
    "NONSENSE": StubAnswer(text="{ not json"),
}


@dataclass(frozen=True)
class Case:
    """A method, its inputs, how many calls the provider gets, and the class of the error it ends with, if it does."""

    text: str
    inputs: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    error: str | None = None
    path: tuple[str, ...] = ()


CONTRACT = Path(__file__).parents[2] / "examples" / "contract_review" / "documents" / "design_services.pdf"
NOTE, NOTES = 'note = "Text"', 'notes = "Text[]"'
ONE = {"note": "one two three"}
SEVEN = {"notes": [f"n{number}" for number in range(7)]}
TELL = ask("tell", NOTE, "Text", "Tell $note")

WORKS: dict[str, Case] = {
    "llm text": Case(ask("main", NOTE, "Text", "Tell $note"), ONE, 1),
    "llm object": Case(CARD + ask("main", NOTE, "Card", "Make a card of $note"), ONE, 1),
    "reply cut in a character": Case(ask("main", NOTE, "Text", "HALF $note"), ONE, 1),
    "object cut in a character": Case(CARD + ask("main", NOTE, "Card", "HALF A CARD $note"), ONE, 1),
    "llm list": Case(CARD + ask("main", NOTE, "Card[]", "Make cards of $note"), ONE, 1),
    "llm counted list": Case(CARD + ask("main", NOTE, "Card[3]", "Make 3 cards of $note"), ONE, 1),
    "compose template": Case(template("main", NOTE, "Text", "Hello {{ note.text }}"), ONE),
    "compose construct": Case(
        CARD
        + pipe("main", "PipeCompose", NOTE, "Card")
        + '[pipe.main.construct]\ntitle = { from = "note" }\nscore = { template = "{{ 6 * 7 }}" }\ndue = 2031-02-03\n',
        ONE,
    ),
    "extract": Case(
        steps("main", 'doc = "Document"', "Text", step("pages", "read"), step("count", "number"))
        + read("pages")
        + template("count", 'read = "Page[]"', "Text", "{{ read | length }} {{ read[0].text_and_images.text.text }}"),
        {"doc": {"url": str(CONTRACT)}},
    ),
    "function": Case(call("main", "shout", NOTE, "Text"), ONE),
    "function list": Case(call("main", "split", NOTE, "Text[]"), ONE),
    "sequence": Case(
        steps("main", NOTE, "Text", step("inner", "x"), step("last", "y"))
        + steps("inner", NOTE, "Text", step("tell", "inside"), step("tell"))
        + TELL
        + ask("last", 'x = "Text", inside = "Text"', "Text", "$x and $inside"),
        ONE,
        3,
    ),
    "parallel": Case(
        pipe("main", "PipeParallel", NOTE, "Composite", f"branches = [ {step('tell', 'a')}, {step('card', 'b')} ]")
        + CARD
        + ask("card", NOTE, "Card", "Make a card of $note")
        + TELL,
        ONE,
        2,
    ),
    "parallel adds each output": Case(
        steps("main", NOTE, "Text", step("both", "pair"), step("join", "joined"))
        + pipe(
            "both",
            "PipeParallel",
            NOTE,
            "Composite",
            f"add_each_output = true\nbranches = [ {step('tell', 'a')}, {step('louder', 'b')} ]",
        )
        + TELL
        + call("louder", "shout", NOTE, "Text")
        + template("join", 'a = "Text", b = "Text"', "Text", "{{ a.text }} {{ b.text }}"),
        ONE,
        1,
    ),
    "parallel with a batched branch": Case(
        pipe(
            "main",
            "PipeParallel",
            NOTES,
            "Composite",
            f"branches = [ {step('tell', 'told', batch_over='notes', batch_as='note')}, {step('count', 'number')} ]",
        )
        + TELL
        + template("count", NOTES, "Text", "{{ notes | length }}"),
        SEVEN,
        7,
    ),
    "condition": Case(
        choose("main", NOTE, "Text", "note.text[:3]", 'one = "tell"', "fail") + TELL,
        ONE,
        1,
    ),
    "condition default": Case(
        choose("main", NOTE, "Text", "note.text | length > 100", 'True = "tell"', "louder")
        + TELL
        + call("louder", "shout", NOTE, "Text"),
        ONE,
    ),
    "condition continue": Case(
        steps("main", NOTE, "Text", step("maybe", "told"), step("last", "end"))
        + choose("maybe", NOTE, "Text?", "note.text[:3]", 'two = "tell"', "continue")
        + TELL
        + template("last", 'told = "Text?", note = "Text"', "Text", "{% if told %}told{% else %}silent{% endif %}"),
        ONE,
    ),
    "batch": Case(each_of("main", NOTES, "Text[]", "tell", "notes", "note") + TELL, SEVEN, 7),
    "batch of nothing": Case(each_of("main", NOTES, "Text[]", "tell", "notes", "note") + TELL, {"notes": []}),
    "batch that leaves items out": Case(
        each_of("main", NOTES, "Text[]", "maybe", "notes", "note")
        + choose("maybe", NOTE, "Text?", "note.text in ['n2', 'n6']", 'True = "tell"', "continue")
        + TELL,
        SEVEN,
        2,
    ),
    "batched steps": Case(
        steps(
            "main",
            NOTES,
            "Text",
            step("tell", "told", batch_over="notes", batch_as="note"),
            step("again", "twice", batch_over="told", batch_as="one"),
            step("join", "joined"),
        )
        + TELL
        + ask("again", 'one = "Text"', "Text", "Again $one")
        + template("join", 'twice = "Text[]"', "Text", "{% for one in twice %}{{ one.text }};{% endfor %}"),
        SEVEN,
        14,
    ),
    "nested lists": Case(
        steps(
            "main",
            NOTES,
            "Text",
            step("words", "lists", batch_over="notes", batch_as="note"),
            step("join", "joined", batch_over="lists", batch_as="list"),
            step("all", "end"),
        )
        + call("words", "split", NOTE, "Text[]")
        + template("join", 'list = "Text[]"', "Text", "{% for one in list %}{{ one.text }}+{% endfor %}")
        + template("all", 'lists = "Text[]", joined = "Text[]"', "Text", "{{ joined | length }} {{ lists | length }}"),
        {"notes": ["a b", "", "c", "d e f"]},
    ),
    "batch in a batch": Case(
        each_of("main", NOTES, "Text[]", "inner", "notes", "note")
        + steps(
            "inner", NOTE, "Text[]", step("words", "list"), step("louder", "told", batch_over="list", batch_as="word")
        )
        + call("words", "split", NOTE, "Text[]")
        + ask("louder", 'word = "Text", note = "Text"', "Text", "$word of $note"),
        {"notes": ["a b", "c", "d e f g"]},
        7,
    ),
    "absent optional input": Case(
        steps("main", 'note = "Text?"', "Text?", step("tell", "told"), step("again", "twice"))
        + TELL
        + ask("again", 'told = "Text"', "Text", "Again $told")
    ),
    "absence handled": Case(
        steps("main", 'note = "Text?"', "Text", step("tell", "told"), step("end", "last"))
        + TELL
        + template("end", 'told = "Text?"', "Text", "{% if told %}{{ told.text }}{% else %}none{% endif %}")
    ),
}

FAILS: dict[str, Case] = {
    "condition reaches fail": Case(
        steps("main", NOTE, "Text", step("pick", "x"))
        + choose("pick", NOTE, "Text", "note.text", 'two = "tell"', "fail")
        + TELL,
        ONE,
        error="RoutingError",
        path=("main", "pick"),
    ),
    "condition gives nothing": Case(
        choose("main", NOTE, "Text", "note.text.strip()", 'two = "tell"', "tell") + TELL,
        {"note": "  "},
        error="RoutingError",
        path=("main",),
    ),
    "asserted value is absent": Case(
        steps("main", 'note = "Text?"', "Text", step("tell", "told"), step("need", "end"))
        + TELL
        + template("need", 'told = "Text!"', "Text", "{{ told.text }}"),
        error="AbsentValueError",
        path=("main", "need"),
    ),
    "template error": Case(
        steps("main", 'size = "Number"', "Text", step("show", "x"))
        + template("show", 'size = "Number"', "Text", "{{ 1 // size.number }}"),
        {"size": 0},
        error="TemplateError",
        path=("main", "show"),
    ),
    "output error": Case(
        CARD + steps("main", NOTE, "Card", step("card", "x")) + call("card", "shapeless", NOTE, "Card"),
        ONE,
        error="OutputError",
        path=("main", "card"),
    ),
    "function gives half a character": Case(
        call("main", "half", NOTE, "Text"), ONE, error="FunctionError", path=("main",)
    ),
    "function gives no number": Case(
        call("main", "no_number", NOTE, "Number"), ONE, error="OutputError", path=("main",)
    ),
    "input with half a character": Case(TELL.replace("tell", "main"), {"note": "cut \ud83d"}, error="InputError"),
    "function raises": Case(
        each_of("main", NOTES, "Text[]", "call", "notes", "note") + call("call", "fails", NOTE, "Text"),
        SEVEN,
        error="FunctionError",
        path=("main", "call"),
    ),
    "not a document": Case(
        steps("main", 'doc = "Document"', "Page[]", step("pages", "read")) + read("pages"),
        {"doc": {"url": __file__}},
        error="DocumentError",
        path=("main", "pages"),
    ),
    "function unknown": Case(call("main", "shuot", NOTE, "Text"), ONE, error="FunctionError", path=("main",)),
    "provider refuses": Case(
        steps("main", NOTE, "Text", step("tell", "x"), step("ask", "y"))
        + TELL
        + ask("ask", NOTE, "Text", "REFUSE $note"),
        ONE,
        2,
        error="RequestRefusedError",
        path=("main", "ask"),
    ),
    "key refused": Case(
        steps("main", NOTE, "Text", step("ask", "x"), step("tell", "y"))
        + TELL
        + ask("ask", NOTE, "Text", "LOCKED $note"),
        ONE,
        1,
        error="AuthenticationError",
        path=("main", "ask"),
    ),
    "provider down": Case(ask("main", NOTE, "Text", "DOWN $note"), ONE, 3, error="ProviderDownError", path=("main",)),
    "connection dropped": Case(
        ask("main", NOTE, "Text", "DROP $note"), ONE, 3, error="ProviderDownError", path=("main",)
    ),
    "reply cut": Case(ask("main", NOTE, "Text", "CUT $note"), ONE, 1, error="ReplyError", path=("main",)),
    "reply that fits no schema": Case(
        CARD + ask("main", NOTE, "Card", "NONSENSE $note"), ONE, 3, error="ReplyError", path=("main",)
    ),
    "unknown backend": Case(
        ask("main", NOTE, "Text", "x $note").replace("gpt-4o-mini", "no-such-model"), ONE, error="ModelNotFoundError"
    ),
    "missing input": Case(ask("main", NOTE, "Text", "x $note"), error="InputError"),
    "endless calls": Case(
        choose("main", NOTE, "Text", "note.text", 'one = "main"', "main"),
        {"note": "one"},
        error="PipeError",
        path=("main",) * 51,
    ),
}
