"""The templates of generated methods: pieces that print what is in memory. Part of `pipelex.testing.methods`."""

from __future__ import annotations

from hypothesis import strategies as st

from pipelex.testing.made_concepts import ConceptWriter, Env, Held


class TemplateWriter(ConceptWriter):
    """Writes templates over what is in memory."""

    def files(self, env: Env) -> list[str]:
        """The names that hold one file."""
        return [
            name for name, held in env.items() if not held.depth and self.root(held.concept) in ("Image", "Document")
        ]

    def texts(self, env: Env) -> list[str]:
        """The names that hold one text."""
        return [name for name, held in env.items() if not held.depth and self.is_text(held.concept)]

    def mark(self, held: Held) -> str:
        """How an operator declares that it reads something: plain, optional, or asserted."""
        return self.pick(("?", "?", "?", "", "", "!")) if held.may_lack else ""

    def some(self, env: Env, *, least: int = 0) -> dict[str, str]:
        """Names to read, with their marks."""
        names = self.draw(st.lists(st.sampled_from([*env]), min_size=least, max_size=3, unique=True)) if env else []
        return {name: self.mark(env[name]) for name in names}

    def told(self, env: Env, *, is_prompt: bool, least: int = 0, files: bool = True) -> tuple[dict[str, str], str]:
        """Names to read with their marks, and a template that reads each."""
        used = self.some({name: env[name] for name in env if files or name not in self.files(env)}, least=least)
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
