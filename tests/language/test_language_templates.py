"""Sigils, and what a template reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError, meta

from pipelex.language.pipes import PipeCondition
from pipelex.language.templates import (
    FILTERS_BY_CATEGORY,
    analyse,
    check_template,
    condition_template,
    expand_sigils,
    guards_missing,
    parse,
    unguarded_line,
)


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("$p", "{{ p | format() }}"),
        ("@p", '{{ p | tag("p") }}'),
        ("@?p", '{% if p %}{{ p | tag("p") }}{% endif %}'),
        ("@page.text_and_images", '{{ page.text_and_images | tag("page.text_and_images") }}'),
        ("Pay $fee. Or $5.", "Pay {{ fee | format() }}. Or $5."),
        ("$a.b.", "{{ a.b | format() }}."),
        ("$a.b..c", "{{ a.b | format() }}..c"),
        ("@@media, $$x", "@media, $x"),
        ("$$$x", "${{ x | format() }}"),
        ("$_nb_output", "{{ _nb_output | format() }}"),
        ("bob@example.org costs a$b", "bob@example.org costs a$b"),
        ("@2.0 $ 5 @ ? @? $", "@2.0 $ 5 @ ? @? $"),
        ('($x)"$y"\n@z', '({{ x | format() }})"{{ y | format() }}"\n{{ z | tag("z") }}'),
        ("{{ '$x' }}{% if '@y' %}{# $z #}{% endif %}", "{{ '$x' }}{% if '@y' %}{# $z #}{% endif %}"),
        ("{{ '}}' ~ '$x' }}$y", "{{ '}}' ~ '$x' }}{{ y | format() }}"),
        ("{% raw %}$x{% endraw %}$y", "{% raw %}$x{% endraw %}{{ y | format() }}"),
        ("{% for n in ns %}$n.a{% endfor %}", "{% for n in ns %}{{ n.a | format() }}{% endfor %}"),
        ("{{ open $x", "{{ open $x"),
        ("{$x} {@?y}", "{{ '{' }}{{ x | format() }}} {{ '{' }}{% if y %}{{ y | tag(\"y\") }}{% endif %}}"),
    ],
)
def test_sigils(written: str, expanded: str) -> None:
    assert expand_sigils(written) == expanded


@given(st.text(alphabet=st.sampled_from("ab_.$@?{}%# \n\"'5é")))
def test_expanding_never_raises_and_adds_no_line(text: str) -> None:
    assert expand_sigils(text).count("\n") == text.count("\n")


@given(st.text(alphabet=st.sampled_from("ab_.$@?{ \n5éi"), max_size=30), st.sampled_from(["llm_prompt", "mermaid"]))
def test_sigils_alone_are_read_as_jinja_reads_them(text: str, category: str) -> None:
    # A comment makes Jinja read the template; without one, the sigils tell everything.
    text = re.sub(r"\{+", "{", text)
    slow = text + " {##}"
    assert check_template(text, category) == check_template(slow, category)
    if check_template(text, category) is None:
        assert analyse(text, category) == analyse(slow, category)
        names = analyse(text, category).roots
        assert guards_missing(text, category, names) == guards_missing(slow, category, names)


@pytest.mark.parametrize(
    "text", ["$if", "$a.if", "@a._b", "$loop", "@?dict", "$é", "$a²", "$a\r\n$b", "@?a $a", "$true"]
)
def test_names_that_jinja_knows_are_left_to_it(text: str) -> None:
    slow = text + " {##}"
    assert check_template(text, "basic") == check_template(slow, "basic")
    if check_template(text, "basic") is None:
        assert analyse(text, "basic") == analyse(slow, "basic")


@given(st.text())
def test_a_text_without_sigils_is_left_alone(text: str) -> None:
    plain = text.replace("$", "").replace("@", "")
    assert expand_sigils(plain) == plain


@pytest.mark.parametrize(
    ("text", "roots", "paths"),
    [
        ("$b $a @b.c", ("b", "a"), ("b", "a", "b.c")),
        ("{{ b }}{{ a['x'].y }}{{ a[0].z }}", ("b", "a"), ("b", "a.x.y", "a")),
        ("{% for n in notes %}$n.aroma {{ loop.index }}{% endfor %}", ("notes",), ("notes",)),
        ("{% for n in page.notes %}{% endfor %}{{ n }}", ("page", "n"), ("page.notes", "n")),
        ("{% set t = a.b %}{{ t.c }}", ("a",), ("a.b",)),
        ("{{ t }}{% set t = 1 %}{{ t }}", ("t",), ("t",)),
        ("{% set t = t or u %}{{ t }}", ("t", "u"), ("t", "u")),
        ("{% if c %}{% set x = 1 %}{% endif %}{{ x }}", ("c", "x"), ("c", "x")),
        ("{% if c %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}", ("c",), ("c",)),
        ("{% if c %}{% set x = 1 %}{{ x }}{% endif %}", ("c",), ("c",)),
        ("{% macro m(a, b=q) %}{{ a }}{{ b }}{{ z }}{% endmacro %}{{ m(1) }}", ("q", "z"), ("q", "z")),
        ("{% with a = b %}{{ a }}{% endwith %}{{ a }}", ("b", "a"), ("b", "a")),
        ("{% set ns = namespace(n=0) %}{% set ns.n = k %}{{ ns.n }}", ("k",), ("k",)),
        ("{% for i in range(3) %}{% endfor %}{{ dict(a=x) }}", ("x",), ("x",)),
        ("$_nb_output {{ preliminary_text }} {{ place_holder }}", (), ()),
        ("{{ a.day.isoformat() }} {{ b.get('k', c) }}", ("a", "b", "c"), ("a.day", "b", "c")),
        ("{{ a if c else b }}", ("a", "c", "b"), ("a", "c", "b")),
        ("{{ xs | selectattr('ok') | map(attribute='n') | join(sep) }}", ("xs", "sep"), ("xs", "sep")),
        ("{{ '%.2f' % (a.n * 1.2) }}", ("a",), ("a.n",)),
        ("{% filter upper %}{{ x }}{% endfilter %}{% set t %}{{ v }}{% endset %}{{ t }}", ("x", "v"), ("x", "v")),
        ("nothing", (), ()),
        ("{{ 10 ** 10 ** 10 }}{{ 'x' * 10 ** 12 }}", (), ()),
    ],
)
def test_what_a_template_reads(text: str, roots: tuple[str, ...], paths: tuple[str, ...]) -> None:
    use = analyse(text, "llm_prompt")
    assert use.roots == roots
    assert use.paths == paths


@given(
    st.lists(
        st.sampled_from(
            [
                "{{ a }}",
                "{{ b.c }}",
                "{% set a = b %}",
                "{% set b = c %}",
                "{% if a %}",
                "{% elif c %}",
                "{% else %}",
                "{% endif %}",
                "{% for b in a %}",
                "{% for c in b if c %}",
                "{% endfor %}",
                "{% macro a(b) %}",
                "{% endmacro %}",
                "{% with c = a %}",
                "{% endwith %}",
                "{% set c %}",
                "{% endset %}",
            ]
        ),
        max_size=8,
    )
)
def test_the_roots_are_those_jinja_finds(parts: list[str]) -> None:
    text = "".join(parts)
    environment = Environment()
    try:
        expected = meta.find_undeclared_variables(environment.parse(text))
    except TemplateSyntaxError:
        assert check_template(text, "basic") is not None
        return
    roots = set(analyse(text, "basic").roots)
    assert roots <= expected
    if "{% if" not in text:
        # Jinja also lists names that one branch assigns and nobody reads; they are not inputs.
        assert roots == expected


def test_private_names_globals_and_lines() -> None:
    use = analyse("{{ a }}\n{{ a._secret }}{{ a._concept_code }}{{ a['_key'] }}\n{{ b }}{{ dict }}", "basic")
    assert use.private == ("_secret",)
    assert use.globals == ("dict",)
    assert [use.line_of(name) for name in ("a", "_secret", "b")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "category", "message"),
    [
        ("{% if a %}", "basic", "line 1 of the template: unexpected end of template"),
        ("ok\n{{ a b }}", "basic", "line 2 of the template: expected token 'end of print statement', got 'b'"),
        ("{{ a | uper }}", "basic", "did you mean 'upper'?"),
        ("{{ a is definde }}", "basic", "did you mean 'defined'?"),
        ("{{ a | with_images }}", "basic", "there is no filter called 'with_images' here"),
        ("{{ a | tag }}", "expression", "there is no filter called 'tag' here"),
        ("{{ a | random }}", "html", "cannot be replayed"),
        ("{% include 'x' %}", "basic", "{% include %} is refused"),
        ("{% from 'x' import y %}", "basic", "{% from %} is refused"),
        ("{% autoescape a %}{% endautoescape %}", "html", "takes true or false only"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "basic", "nested too deeply"),
        ("{{ " + "1" * 9000 + " }}", "basic", "a number cannot be read"),
    ],
)
def test_faults_are_told_in_a_sentence(text: str, category: str, message: str) -> None:
    found = check_template(text, category)
    assert found is not None
    assert message in found
    with pytest.raises(TemplateSyntaxError):
        analyse(text, category)


@pytest.mark.parametrize("category", list(FILTERS_BY_CATEGORY))
def test_each_category_knows_its_filters_and_those_of_jinja(category: str) -> None:
    for name in (*FILTERS_BY_CATEGORY[category], "upper", "default"):
        assert check_template(f"{{{{ a | {name} }}}}", category) is None
    assert parse("{{ a }}", category).body


def test_expressions_have_no_sigils() -> None:
    assert analyse("$x {{ y }}", "expression").roots == ("y",)


@pytest.mark.parametrize(
    ("key", "template"), [("expression", "{{ a.b }}"), ("expression_template", "a.b")], ids=["bare", "template"]
)
def test_both_spellings_of_a_condition_are_one_template(key: str, template: str) -> None:
    pipe = PipeCondition.model_validate(
        {"type": "PipeCondition", "description": "d", "output": "Text", "outcomes": {}, "default_outcome": "fail"}
        | {key: "a.b"}
    )
    assert condition_template(pipe) == template


@pytest.mark.parametrize(
    "text",
    [
        "@?x",
        "{% if x %}$x{% endif %}",
        "{% if x is defined %}$x.a{% endif %}",
        "{% if x and x.a %}$x{% endif %}",
        "{% if not x %}none{% else %}$x{% endif %}",
        "{% if x is undefined %}none{% elif x.a %}$x.b{% endif %}",
        "{% if not x or not y %}none{% else %}$x{% endif %}",
        "{% if a %}{% elif x %}$x{% endif %}",
        "{{ x.text if x else 'none' }}",
        "{{ x.text if x is defined else 'none' }}",
        "{{ 'none' if not x else x.text }}",
        "{{ x | default('none') }}",
        "{{ x | d('none') | upper }}",
        "{{ x or 'none' }}",
        "{{ x and x.text }}",
        "{% for i in is if x %}$x{% endfor %}",
        "{% for x in xs %}$x{% endfor %}",
        "{% set x = x | default('') %}$x",
        "{% if x %}{% for i in x.items %}$i{% endfor %}{% macro m() %}$x{% endmacro %}{% endif %}",
        "nothing",
    ],
)
def test_guarded_readings(text: str) -> None:
    assert guards_missing(text, "llm_prompt", {"x"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "$x",
        "@x",
        "@?x.a",
        "{% if y %}$x{% endif %}",
        "{% if x or y %}$x{% endif %}",
        "{% if x %}{% else %}$x{% endif %}",
        "{% if x %}{% endif %}$x",
        "{% if not (x and y) %}{% else %}ok{% endif %}{% if x.a is defined %}{% endif %}",
        "{{ x.text | default('none') }}",
        "{{ x | upper | default('none') }}",
        "{{ y or x }}",
        "{{ x == 'a' }}",
        "{% for i in x %}{% endfor %}",
        "{{ 'none' if x else x.text }}",
    ],
)
def test_unguarded_readings(text: str) -> None:
    assert guards_missing(text, "llm_prompt", {"x"}) == ["x"]


def test_the_line_of_the_unguarded_reading() -> None:
    assert unguarded_line("{% if x %}ok{% endif %}\n$x", "llm_prompt", "x") == 2
