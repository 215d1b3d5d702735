"""The operators of generated methods, and their templates. Part of `pipelex.testing.methods`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from pipelex.testing.made_concepts import BOUND, ConceptWriter, Env, FieldSpec, Held, Made, table, toml

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


class OperatorWriter(ConceptWriter):
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
        if root in ("Image", "Page"):
            return (self.img_gen if root == "Image" else self.extract)(env, aim)
        if aim.depth == 0 and (self.is_text(root) or root == "Html"):
            writers += [self.template]
        if aim.depth == 0 and root in self.structures:
            writers += [self.construct, self.construct]
        if root == "SearchResult" and aim.depth == 0 and "PipeSearch" in self.operators:
            writers += [self.search, self.search]
        if root in ("YesNo", "Choice", "Rating") and aim.depth == 0 and "PipeJudge" in self.operators:
            writers += [self.judge, self.judge]
        if not self.is_text(root) and self._texts(env) and "PipeStructure" in self.operators:
            writers += [self.structure, self.structure]
        return self.pick(writers)(env, aim)

    def _special(self, env: Env, limit: int) -> Held | None:
        """What only some operators give."""
        found: list[Held] = []
        if "PipeExtract" in self.operators and limit and self._files(env):
            found += [Held("Page", 1)] * 2
        if "PipeImgGen" in self.operators:
            found += [Held("Image"), *([Held("Image", 1, count=2)] if limit else [])]
        if "PipeJudge" in self.operators:
            found += [Held("Choice"), Held("Rating"), Held("YesNo")]
        return self.pick(found) if found and self.chance(1, 4) else None

    def _files(self, env: Env) -> list[str]:
        return [
            name for name, held in env.items() if not held.depth and self.root(held.concept) in ("Image", "Document")
        ]

    def _texts(self, env: Env) -> list[str]:
        return [name for name, held in env.items() if not held.depth and self.is_text(held.concept)]

    def finish(
        self, kind: str, code: str, env: Env, used: Mapping[str, str], gives: Held, lines: Sequence[str]
    ) -> Made:
        """Declare an operator that reads names with these marks of presence; without a plain one it is skipped."""
        is_lifted = any(env[name].may_lack and not mark for name, mark in used.items())
        gives = replace(gives, may_lack=is_lifted and not gives.depth)
        made = Made(code, {name: env[name] for name in used}, gives)
        return self.declare(made, kind, lines, {name: env[name].slot(mark) for name, mark in used.items()})

    def mark(self, held: Held) -> str:
        """How an operator declares that it reads something: plain, optional, or asserted."""
        return self.pick(("?", "?", "?", "", "", "!")) if held.may_lack else ""

    def told(self, env: Env, *, is_prompt: bool, least: int = 0, files: bool = True) -> tuple[dict[str, str], str]:
        """Names to read with their marks, and a template that reads each."""
        names = [name for name in env if files or name not in self._files(env)]
        chosen = self.draw(st.lists(st.sampled_from(names), min_size=least, max_size=3, unique=True)) if names else []
        used = {name: self.mark(env[name]) for name in chosen}
        return used, " / ".join(
            ["Do it", *(self.shown(name, env[name], mark, is_prompt) for name, mark in used.items())]
        )

    def shown(self, name: str, held: Held, mark: str, is_prompt: bool) -> str:
        """A piece of template that prints a value."""
        if mark == "?":
            inside = self.pick(self._prints(name, held, is_prompt))
            return self.pick((f"@?{name}", f"{{% if {name} %}}{inside}{{% else %}}none{{% endif %}}"))
        return self.pick(self._prints(name, held, is_prompt))

    def _prints(self, name: str, held: Held, is_prompt: bool) -> list[str]:
        found = [f"${name}.", f"@{name}", f"{{{{ {name} }}}}"]
        if held.depth:
            inner = "each" if held.depth == 1 else "each | length"
            found += [
                f"{{% for each in {name} %}}{{{{ loop.index }}}}={{{{ {inner} }}}};{{% endfor %}}",
                f"{{{{ {name} | length }}}} {{{{ {name}.items | length }}}}",
            ]
            return found
        if self.is_text(held.concept):
            found += [f"{{{{ {name}.text | upper }}}}", f"{{{{ {name}.text[:5] }}}}"]
        if self.root(held.concept) == "Number":
            found += [f"{{{{ {name}.number + 1 }}}}", f"{{{{ 10 // {name}.number }}}}"]
        if self.root(held.concept) == "Page" and is_prompt:
            found.append(f"{{{{ {name}.text_and_images.text }}}}")
        for code, each in self.fields(held.concept).items():
            read = f"{name}.{code}"
            if each.type in ("date", "datetime", "time"):
                found.append(f"{{{{ {read}.isoformat() if {read} else '-' }}}}")
            elif each.type == "list":
                found.append(f"{{% for each in {read} or [] %}}[{{{{ each }}}}]{{% endfor %}}")
            elif self.root(held.concept) not in ("Image", "Document"):
                found += [f"${read}", f"@?{read}"]
        return found

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
        name = self.pick(self._texts(env))
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
        name = self.pick(self._files(env))
        views = f"page_views = {toml(self.chance(1, 2))}"
        return self.finish("PipeExtract", self.fresh("read"), env, {name: ""}, gives, [views])

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
