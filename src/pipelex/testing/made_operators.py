"""The operators of generated methods, and their templates. Part of `pipelex.testing.methods`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hypothesis.strategies import DrawFn

from pipelex.testing.made_concepts import BOUND, Env, FieldSpec, Held, Made, table, toml
from pipelex.testing.made_functions import TALLY, TALLY_FIELDS
from pipelex.testing.made_templates import TemplateWriter

_ASKED: Final = ("Text", "Text", "Number", "YesNo", "Date", "Time", "Html", "JSON", "Markdown", "SearchResult")
"""Natives that a language model may be asked for."""
_LITERALS: Final[dict[str, tuple[str, ...]]] = {
    "text": ('"plain"', '""', '"{{ not a template }}"', '"$no @sigil"'),
    "integer": ("7", "-1", "0"),
    "number": ("2.5", "4", "1e3"),
    "boolean": ("true", "false"),
    "date": ("2031-02-03", '"2031-02-03"'),
    "datetime": ("2031-02-03T04:05:06Z", '"2031-02-03T04:05:06"'),
    "time": ("04:05:06", '"04:05:06"'),
}
_SPELLED: Final = {
    "Date": "{ date = 2031-02-03 }",
    "Time": '{ time = "04:05:06" }',
    "JSON": "{ json_obj = { a = 1 } }",
    "Image": '{ url = "https://example.org/c.png" }',
    "Document": '{ url = "https://example.org/c.pdf" }',
    "Page": '{ text_and_images = { text = { text = "page" } } }',
    "SearchResult": '{ answer = "42", sources = [] }',
    "Choice": '{ choice = "low" }',
    "Rating": "{ level = 1 }",
    "Composite": '{ a = "b" }',
}
"""Contents as a construct writes them."""
_COMPUTED: Final = {
    "text": "{{ 1 + 1 }} times",
    "integer": " {{ 6 * 7 }} ",
    "number": "{{ '%.2f' % 2.345 }}",
    "boolean": "true",
    "date": "2031-0{{ 1 + 1 }}-03",
    "datetime": "2031-02-03T04:05:06Z",
    "time": "04:05:06",
}


class OperatorWriter(TemplateWriter):
    """Writes operators; `blocks` are the pipes so far, callees first."""

    def __init__(self, draw: DrawFn, operators: tuple[str, ...]) -> None:
        super().__init__(draw)
        self.operators = operators
        self.blocks: list[str] = []
        self.made: list[Made] = []

    def declare(self, made: Made, kind: str, lines: Iterable[str], inputs: Mapping[str, str] | None = None) -> Made:
        """Write the declaration of a pipe down."""
        if inputs is None:
            inputs = {name: held.slot() for name, held in made.reads.items()}
        made.free = frozenset(name for name, slot in inputs.items() if slot.endswith("?"))
        head = [f"[pipe.{made.code}]", f'type = "{kind}"', f'description = "{made.code}"']
        slots = f"inputs = {table({name: toml(slot) for name, slot in inputs.items()})}" if inputs else ""
        output = f"output = {toml(made.gives.slot())}"
        self.blocks.append("\n".join([*head, *([slots] if slots else []), output, *lines, ""]))
        made.kind = kind
        self.made.append(made)
        return made

    def aim(self, limit: int) -> Held:
        """Draw what to ask for."""
        concept = self.pick((*self.structures, *self.parents, *_ASKED))
        if limit and self.chance(1, 3):
            return Held(concept, 1, count=self.pick((None, None, 2)))
        return Held(concept)

    def operator(self, env: Env, want: Held | None, limit: int) -> Made:
        """A new operator that gives what is wanted, or anything."""
        writers: list[Callable[[Env, Held], Made]] = [self.llm, self.llm]
        aim = want or self._special(env, limit) or self.aim(min(limit, 1))
        root = self.root(aim.concept)
        if (only := {"Image": self.img_gen, "Page": self.extract, "Document": self.doc_gen}.get(root)) is not None:
            return only(env, aim)
        if aim.depth == 0 and (self.is_text(root) or root == "Html"):
            writers += [self.template]
        if aim.depth == 0 and root in self.structures:
            writers += [self.construct, self.construct]
        if root == "SearchResult" and aim.depth == 0 and "PipeSearch" in self.operators:
            writers += [self.search, self.search]
        if root in ("YesNo", "Choice", "Rating") and aim.depth == 0 and "PipeJudge" in self.operators:
            writers += [self.judge, self.judge]
        if not self.is_text(root) and self.texts(env) and "PipeStructure" in self.operators:
            writers += [self.structure, self.structure]
        if "PipeFunc" in self.operators and self._function(aim):
            writers += [self.function, self.function]
        return self.pick(writers)(env, aim)

    def _special(self, env: Env, limit: int) -> Held | None:
        """What only some operators give."""
        found: list[Held] = []
        if "PipeExtract" in self.operators and limit and self.files(env):
            found += [Held("Page", 1)] * 4
        if "PipeImgGen" in self.operators:
            found += [Held("Image"), *([Held("Image", 1, count=2)] if limit else [])]
        if "PipeJudge" in self.operators:
            found += [Held("Choice"), Held("Rating"), Held("YesNo")]
        if "PipeSearch" in self.operators:
            found.append(Held("SearchResult"))
        if "PipeDocGen" in self.operators:
            found += [Held("Document")] * 3
        if "PipeFunc" in self.operators:
            found += [Held(TALLY), *([Held("Text", 1)] if limit else [])]
        if not found or not self.chance(1, 3):
            return None
        aim = self.pick(found)
        if aim.concept == TALLY:
            self.structures.setdefault(TALLY, dict(TALLY_FIELDS))
        return aim

    def finish(
        self, kind: str, code: str, env: Env, used: Mapping[str, str], gives: Held, lines: Sequence[str]
    ) -> Made:
        """Declare an operator that reads names with these marks of presence; without a plain one it is skipped."""
        is_lifted = any(env[name].may_lack and not mark for name, mark in used.items())
        gives = replace(gives, may_lack=(gives.may_lack or is_lifted) and not gives.depth)
        made = Made(code, {name: env[name] for name in used}, gives)
        return self.declare(made, kind, lines, {name: env[name].slot(mark) for name, mark in used.items()})

    def llm(self, env: Env, gives: Held) -> Made:
        """Ask a language model."""
        used, prompt = self.told(env, is_prompt=True)
        lines = [f"prompt = {toml(prompt)}"]
        if gives.depth and self.chance(1, 3):
            lines = [f"prompt = {toml(prompt + ' {{ _nb_output }}')}"]
        if self.chance(1, 4):
            lines.append('system_prompt = "Be brief."')
        if self.chance(1, 4):
            style = self.pick(("ticks", "square_brackets", "no_tag", "xml"))
            lines.append(
                f'templating_style = {{ tag_style = "{style}", text_format = "{self.pick(("plain", "json"))}" }}'
            )
        if not self.is_text(gives.concept) and "PipeStructure" in self.operators and self.chance(1, 6):
            lines.append('structuring_method = "preliminary_text"')
        made = self.finish("PipeLLM", self.fresh("ask"), env, used, gives, lines)
        if "preliminary_text" in lines[-1]:
            made.kind = "drafted"
        return made

    def structure(self, env: Env, gives: Held) -> Made:
        """Fill a structure from one text."""
        name = self.pick(self.texts(env))
        return self.finish("PipeStructure", self.fresh("fill"), env, {name: ""}, gives, [])

    def search(self, env: Env, gives: Held) -> Made:
        """Search the web."""
        used, prompt = self.told(env, is_prompt=True, files=False)
        lines = [f"prompt = {toml(prompt)}"]
        if self.chance(1, 3):
            lines += ["max_results = 3", 'from_date = "2030-01-01"']
        return self.finish("PipeSearch", self.fresh("search"), env, used, gives, lines)

    def img_gen(self, env: Env, gives: Held) -> Made:
        """Generate an image, or several."""
        if gives.depth and gives.count is None:
            gives = replace(gives, count=2)
        used, prompt = self.told(env, is_prompt=True, files=False)
        return self.finish("PipeImgGen", self.fresh("paint"), env, used, gives, [f"prompt = {toml(prompt)}"])

    def extract(self, env: Env, gives: Held) -> Made:
        """Read the pages of a file."""
        name = self.pick(self.files(env))
        views = f"page_views = {toml(self.chance(1, 2))}"
        return self.finish("PipeExtract", self.fresh("read"), env, {name: ""}, gives, [views])

    def doc_gen(self, env: Env, gives: Held) -> Made:
        """Make a file: a workbook, or now and then a page printed from its inputs or from a template."""
        printed = {name: held for name, held in env.items() if not self.may_show(held.concept)}
        lines = ['format = "xlsx"']
        if not self.chance(1, 3):
            used = self.some(env)
        elif self.chance(1, 2):
            used, lines = self.some(printed), ['format = "pdf"']
        else:
            used, template = self.told(printed, is_prompt=False)
            lines = ['format = "pdf"', f"template = {toml(f'<h1>Made</h1><p>{template}</p>')}"]
        told = [name for name in used if self.is_text(env[name].concept) and not env[name].depth and used[name] != "?"]
        if self.chance(1, 3):
            lines.append(f"filename = {toml(f'made ${self.pick(told)}' if told else 'made / file')}")
        return self.finish("PipeDocGen", self.fresh("print"), env, used, gives, lines)

    def function(self, env: Env, gives: Held) -> Made:
        """Call a function."""
        name = self.pick(self._function(gives))
        gives = replace(gives, may_lack=name == "made_perhaps")
        return self.finish("PipeFunc", self.fresh("call"), env, self.some(env), gives, [f'function_name = "{name}"'])

    def _function(self, aim: Held) -> tuple[str, ...]:
        """The functions of `made_functions` that give that."""
        if aim.concept == TALLY and not aim.depth:
            return ("made_tally",)
        if not self.is_text(aim.concept) or aim.count is not None:
            return ()
        return ("made_parts",) if aim.depth else ("made_told", "made_perhaps")

    def judge(self, env: Env, gives: Held) -> Made:
        """Ask a typed question."""
        used, prompt = self.told(env, is_prompt=True, least=1)
        lines = [f"prompt = {toml(prompt)}", 'question = "Is it?"']
        match self.root(gives.concept):
            case "Choice":
                lines.append('options = { low = "Little", high = "" }')
            case "Rating":
                lines.append('levels = ["bad", "fair", "good"]')
            case _:
                lines.append(f"threshold = {self.pick(('0.5', '0.9'))}")
        return self.finish("PipeJudge", self.fresh("judge"), env, used, gives, lines)

    def template(self, env: Env, gives: Held) -> Made:
        """Write a text, or Html."""
        used, template = self.told(env, is_prompt=False)
        category = "html" if self.root(gives.concept) == "Html" else self.pick((None, "basic", "markdown"))
        table = f'{{ template = {toml(template)}, category = "{category}" }}'
        lines = [f"template = {table if category else toml(template)}"]
        return self.finish("PipeCompose", self.fresh("compose"), env, used, gives, lines)

    def construct(self, env: Env, gives: Held) -> Made:
        """Put a structure together."""
        used: dict[str, str] = {}
        pairs = self._values(self.fields(gives.concept), env, used)
        code = self.fresh("build")
        return self.finish("PipeCompose", code, env, used, gives, [f"construct = {table(pairs)}"])

    def _values(self, fields: Mapping[str, FieldSpec], env: Env, used: dict[str, str]) -> dict[str, str]:
        found = {
            code: self._value(each, env, used) for code, each in fields.items() if each.required or self.chance(2, 3)
        }
        code = next(iter(fields))
        return found or {code: self._value(fields[code], env, used)}

    def _value(self, found: FieldSpec, env: Env, used: dict[str, str]) -> str:
        """One value of a construct: from a name, from a template, or as written."""
        concept = found.concept if "concept" in (found.type, found.item) else BOUND.get(found.item or found.type)
        if found.choices or (found.item or found.type) in ("integer", "date", "datetime", "time", "dict"):
            concept = None
        depth = int(found.type == "list")
        sources = [name for name, held in env.items() if (held.concept, held.depth) == (concept, depth)]
        if sources and self.chance(3, 4):
            name = self.pick(sources)
            used[name] = ""
            return f'{{ from = "{name}" }}'
        if found.choices:
            return toml(self.pick(found.choices))
        match found.type:
            case "concept":
                return self._nested(found.concept or "Text", env, used)
            case "list" if found.item == "concept":
                return "[]"
            case "list":
                return f"[{', '.join(_LITERALS[found.item or 'text'])}]"
            case "dict":
                return '{ a = "one", b = "two" }'
            case kind:
                return self.pick((*_LITERALS[kind], f"{{ template = {toml(_COMPUTED[kind])} }}"))

    def _nested(self, concept: str, env: Env, used: dict[str, str]) -> str:
        root = self.root(concept)
        return _SPELLED.get(root) or table(self._values(self.fields(root), env, used))
