from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import TemplateError
from pipelex.language.pipes import TemplatingStyle
from pipelex.library.library import library_from_texts
from pipelex.pipes.templates import Attachments, render_template
from pipelex.values.value import Memory, Value

LIBRARY, _ = library_from_texts(
    {
        "shop.mthds": """
domain = "shop"
[concept]
Remark = "A remark"
[concept.Photo]
description = "A photo"
refines = "Image"
[concept.Line]
description = "A line of an order"
[concept.Line.structure]
name = { type = "text", description = "what" }
count = { type = "integer", description = "how many" }
price = { type = "number", description = "each" }
[concept.Order]
description = "An order"
[concept.Order.structure]
number = { type = "text", description = "its number", required = true }
placed = { type = "date", description = "when" }
sent = { type = "datetime", description = "when it left" }
items = { type = "list", item_type = "concept", item_concept_ref = "Line", description = "the lines" }
get = { type = "text", description = "a field with the name of a helper" }
is_paid = { type = "boolean", description = "paid" }
tags = { type = "list", item_type = "text", description = "tags" }
photo = { type = "concept", concept_ref = "Photo", description = "a photo" }
remark = { type = "concept", concept_ref = "Remark", description = "a remark" }
extra = { type = "dict", key_type = "text", value_type = "integer", description = "anything" }
"""
    }
)
ORDER: dict[str, Any] = {
    "number": "A-7",
    "placed": "2031-02-03",
    "sent": "2031-02-04T10:30:00",
    "items": [{"name": "cup", "count": 2, "price": 3.5}, {"name": "pot", "count": 1, "price": 20.0}],
    "get": "reachable",
    "is_paid": True,
    "tags": ["a", "b"],
    "photo": {"url": "https://x.test/p.png"},
    "remark": {"text": "Nice"},
    "extra": {"k": 1, "items": 2},
}
MEMORY = Memory(
    root={
        "order": Value(concept="shop.Order", data=ORDER),
        "lines": Value(concept="shop.Line", data=ORDER["items"]),
        "note": Value(concept="shop.Remark", data={"text": "Hello <b>"}),
        "same": Value(concept="native.Text", data={"text": "Hello <b>"}),
        "empty": Value(concept="native.Text", data={"text": ""}),
        "day": Value(concept="native.Date", data={"date": "2031-02-03", "time": None}),
        "yes": Value(concept="native.YesNo", data={"yes_no": True, "probability": None}),
        "no": Value(concept="native.YesNo", data={"yes_no": False, "probability": None}),
        "three": Value(concept="native.Number", data={"number": 3}),
        "bare": Value(concept="shop.Order", data={**dict.fromkeys(ORDER), "number": "B"}),
        "photos": Value(concept="shop.Photo", data=[{"url": "u1"}, {"url": "u2"}]),
        "photo": Value(concept="shop.Photo", data={"url": "u1", "mime_type": "image/png"}),
        "scan": Value(concept="native.Document", data={"url": "d1"}),
        "page": Value(
            concept="native.Page",
            data={
                "text_and_images": {
                    "text": {"text": "words"},
                    "images": [{"url": "i1"}, {"url": "i2"}],
                    "raw_html": None,
                },
                "page_view": {"url": "v1"},
            },
        ),
        "mixed": Value(concept="native.Composite", data={"first": {"text": "one"}, "second": {"number": 2}}),
        "nested": Value(concept="native.Text", data=[[{"text": "a"}], [{"text": "b"}, {"text": "c"}]]),
        "markup": Value(concept="native.Html", data={"inner_html": "<i>x</i>", "css_class": None}),
    }
)


def render(source: str, category: str = "basic", **options: Any) -> str:
    return render_template(source, category, MEMORY, LIBRARY.concepts, **options)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$note.text and $note", "Hello <b> and Hello <b>"),
        ("{{ note }}|{{ note.text }}|{{ note['text'] }}", "Hello <b>|Hello <b>|Hello <b>"),
        ("@note", "<note>\nHello <b>\n</note>"),
        ("@order.remark", "<order.remark>\nNice\n</order.remark>"),
        ("@?missing", ""),
        ("$10 $$x a@b.test", "$10 $x a@b.test"),
        ("{{ order.placed.year }} {{ order.placed }} {{ order.placed.strftime('%d/%m') }}", "2031 2031-02-03 03/02"),
        ("{{ order.sent.hour }}:{{ order.sent.minute }}", "10:30"),
        ("{{ order.placed.fromordinal(order.placed.toordinal() + 1).isoformat() }}", "2031-02-04"),
        ("{{ (order.sent.date() - order.placed).days }}", "1"),
        ("{{ day }} {{ day.date.year }}", "2031-02-03 2031"),
        ("{% for line in order.items %}{{ line.name }};{% endfor %}", "cup;pot;"),
        ("{% for line in lines.items %}{{ line.name }};{% endfor %}{{ lines | length }}", "cup;pot;2"),
        ("{{ lines[0].name }} {{ lines[-1]['name'] }} {{ (lines[1:] | first).name }}", "cup pot pot"),
        ("{{ lines | map(attribute='name') | join(', ') }}", "cup, pot"),
        (
            "{{ lines | sum(attribute='price') }} {{ (lines | sort(attribute='price', reverse=true) | first).name }}",
            "23.5 pot",
        ),
        ("{{ lines | selectattr('count', 'gt', 1) | map(attribute='name') | list }}", "['cup']"),
        ("{{ '%.2f' % (lines[0].count * lines[0].price) }}", "7.00"),
        ("{{ '{:>6.1f}'.format(lines[0].price) }}|{{ '{0.name}'.format(lines[0]) }}", "   3.5|cup"),
        ("{{ order.get }}", "reachable"),
        ("{{ lines[0].get('name', 'd') }} {{ lines[0].get('nope', 'd') }} {{ 'name' in lines[0] }}", "cup d True"),
        ("{% for k in lines[0].iter_keys() %}{{ k }},{% endfor %}", "name,count,price,"),
        ("{% for k, v in lines[0].iter_items() %}{{ k }}={{ v }},{% endfor %}", "name=cup,count=2,price=3.5,"),
        ("{{ order.extra.k }} {{ order.extra['items'] }} {{ order.extra.get('z', 0) }}", "1 2 0"),
        ("{{ order._concept_code }} {{ order._stuff_name }} {{ note._content_class }}", "Order order TextContent"),
        ("{{ note == same }} {{ note != order.remark }} {{ note == 'Hello <b>' }}", "True True True"),
        ("{% if empty %}x{% endif %}{% if no %}y{% endif %}{% if yes and note and order %}z{% endif %}", "z"),
        ("{{ nothing }}|{{ order.nope }}|{{ nothing is defined }}", "||False"),
        ("{{ bare.remark }}|{{ bare.remark | format }}|$bare.placed", "None||"),
        ("{{ order.is_paid }} $order.tags", "True a\nb"),
        ("{{ note | upper }} {{ note ~ '!' }}", "HELLO <B> Hello <b>!"),
        ("{{ three }} {{ three.number + 1 }} {{ yes }}", "3 4 yes"),
        ("{{ mixed.first }} {{ mixed.second }} {{ mixed.first.text }}", "one 2 one"),
        ("{% for group in nested %}[{% for x in group %}{{ x.text }}{% endfor %}]{% endfor %}", "[a][bc]"),
        ("{{ photo }} {{ photos }}", "u1 u1\nu2"),
        (
            "{{ lines | tojson }}",
            '[{"name": "cup", "count": 2, "price": 3.5}, {"name": "pot", "count": 1, "price": 20.0}]',
        ),
        ("{% for p, found in lines | groupby('name') %}{{ p }}{{ found | length }}{% endfor %}", "cup1pot1"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('a') }}{{ m(note.text | length) }}", "<a><9>"),
        ("{% set ns = namespace(n=0) %}{% for x in lines %}{% set ns.n = ns.n + x.count %}{% endfor %}{{ ns.n }}", "3"),
        ("{% for x in lines %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/2 2/2 "),
        ("{% for x in range(10) if x % 2 %}{{ x }}{% endfor %}", "13579"),
        ("{{ note | format('json') }}", '"Hello <b>"'),
        ("{{ 'a-b'.replace('-', '+').upper().split('+') | join('/') }}", "A/B"),
        ("{{ lines | map(attribute='name') | unique | sort | list }}", "['cup', 'pot']"),
    ],
)
def test_renders(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("xml", "<note>\nHello <b>\n</note>"),
        ("square_brackets", "[note]\nHello <b>\n[/note]"),
        ("ticks", "note: ```\nHello <b>\n```"),
        ("no_tag", "Hello <b>"),
    ],
)
def test_tag_styles(style: Any, expected: str) -> None:
    assert render("@note", style=TemplatingStyle(tag_style=style)) == expected
    assert render("{{ note | tag }}", style=TemplatingStyle(tag_style=style)) == expected


def test_a_tag_without_a_name() -> None:
    assert render("{{ order.number | tag }}") == "<data>\nA-7\n</data>"
    assert render("{{ order.number | tag }}", style=TemplatingStyle(tag_style="ticks")) == "```\nA-7\n```"


def test_the_text_format_of_the_style_applies() -> None:
    style = TemplatingStyle(tag_style="no_tag", text_format="markdown")
    assert render("$nested", style=style) != ""
    assert render("$order.tags", style=style) == "- a\n- b"


def test_html_escapes_and_trims() -> None:
    source = "<ul>\n  {% for t in order.tags %}\n  <li>{{ t }}</li>\n  {% endfor %}\n</ul>{{ note }}"
    source += "{{ markup.inner_html | safe }}"
    assert render(source, "html") == "<ul>\n  <li>a</li>\n  <li>b</li>\n</ul>Hello &lt;b&gt;<i>x</i>"
    assert render("@note", "html") == "<note>\nHello &lt;b&gt;\n</note>"
    assert render("{{ markup | format('html') }}", "html") == "<i>x</i>"
    assert render("{{ '<br>' ~ note }}", "html") == "&lt;br&gt;Hello &lt;b&gt;"


def test_script_tags_are_neutralised() -> None:
    assert render("{{ '<script>x</SCRIPT>' | escape_script_tag }}", "markdown") == "&lt;script>x&lt;/SCRIPT>"


def test_expressions_have_no_sigils_and_no_filters_of_ours() -> None:
    assert render("{{ order.number }} $note", "expression") == "A-7 $note"
    assert render("{{ order.is_paid }}", "expression") == "True"
    with pytest.raises(TemplateError, match="tag"):
        render("{{ note | tag }}", "expression")


def test_files_are_attached_and_numbered_by_kind() -> None:
    attachments = Attachments()
    text = render("$photo, $photos, $scan, {{ order.photo }}, @page.page_view", "llm_prompt", attachments=attachments)
    assert text == (
        "[Image 1], [Image 1]\n[Image 2], [Document 1], [Image 3], <page.page_view>\n[Image 4]\n</page.page_view>"
    )
    found = [(each.kind, each.url, each.mime_type) for each in attachments.all()]
    assert found == [
        ("image", "u1", "image/png"),
        ("image", "u2", None),
        ("document", "d1", None),
        ("image", "https://x.test/p.png", None),
        ("image", "v1", None),
    ]


def test_nested_images_are_attached_only_by_with_images() -> None:
    attachments = Attachments()
    assert render("@page", "llm_prompt", attachments=attachments) == "<page>\nwords\n</page>"
    assert attachments.all() == ()
    text = render("{{ page | with_images }}", "llm_prompt", attachments=attachments)
    assert text == "text_and_images: text: words\nimages: [Image 1]\n[Image 2]\npage_view: [Image 3]"
    assert [each.url for each in attachments.all()] == ["i1", "i2", "v1"]


@pytest.mark.parametrize(
    "source", ["{{ note | with_images }}", "{{ photo | with_images }}", "{{ nothing | with_images }}"]
)
def test_with_images_refuses(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source, "llm_prompt", attachments=Attachments())


@pytest.mark.parametrize(
    "source",
    [
        "{{ note.data }}{{ note.printer.concepts }}{{ note.concept.x }}",
        "{{ note.__class__ }}",
        "{{ note._data }}",
        "{{ note | attr('__class__') }}",
        "{{ lines | map(attribute='__class__') | list }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 'x'.encode() }}",
        "{{ 'x'.format_map({}) }}",
        "{{ '{0.__class__}'.format(note) }}",
        "{{ '{0.printer}'.format(lines).x }}",
        "{{ lines.append(1) }}",
        "{{ order.extra.update({}) }}",
        "{{ order.tags.sort() }}",
        "{{ order.placed.today() }}",
        "{{ order.sent.timestamp() }}",
        "{{ (1).to_bytes(2, 'big') }}",
        "{{ lines.printer }}",
        "{{ range.__init__ }}",
        "{{ order.tags.append }}",
        "{{ self.__init__ }}",
        "{% include 'x' %}",
        "{{ order.tags | random }}",
        "{{ lipsum() }}",
    ],
)
def test_refused_with_an_error_never_rendered_as_empty(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


def growing(start: str, step: str) -> str:
    """A template in which `ns.s` grows 60 times."""
    return "{% set ns = namespace(s=" + start + ") %}{% for i in range(60) %}" + step + "{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 100000000 }}",
        "{{ ['x'] * 100000000 }}",
        "{{ 10 ** 100000 }}",
        "{{ 9999999999 * 9999999999 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%.1000000000f' % 1.0 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=1000000000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ 'x'.center(1000000000) }}{{ 'x'.ljust(1000000000) }}",
        "{{ 'x' | indent(1000000000, true) }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ [1] | slice(1000000000) | list }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ range(1000000000) | list }}",
        "{{ {'a': 1} | tojson(indent=1000000000) }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        growing("'xxxxxxxx'", "{% set ns.s = ns.s ~ ns.s %}"),
        growing("'xxxxxxxx'", "{% set ns.s = ns.s + ns.s %}"),
        growing("'xxxxxxxx'", "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"),
        growing("'xx'", "{% set ns.s = ns.s.replace('x', ns.s) %}"),
        growing("'xx'", "{% set ns.s = ns.s | replace('x', ns.s) %}"),
        growing("'xx'", "{% set ns.s = [ns.s, ns.s] | join(ns.s) %}"),
        growing("'xx'", "{% set ns.s = ns.s.join([ns.s, ns.s]) %}"),
        growing("'xx'", "{% set ns.s = '%s%s' % (ns.s, ns.s) %}"),
        growing("'xx'", "{% set ns.s = '{0}{0}'.format(ns.s) %}"),
        growing("['x']", "{% set ns.s = [ns.s, ns.s] %}") + "{{ ns.s }}",
        growing("['x']", "{% set ns.s = [ns.s, ns.s] %}") + "{{ ns.s | string }}",
        "{% set x %}{% for i in range(100000) %}" + "x" * 5000 + "{% endfor %}{% endset %}",
    ],
)
def test_bombs_are_refused_before_they_grow(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a'.upper }}",
        "{{ 'a' ~ cycler('a').next }}",
        "{{ lines | map(attribute='name') }}",
        "{{ [lines | map(attribute='name')] }}",
        "{{ lines | map(attribute='name') | upper }}",
        "{{ '%s' % range }}",
        "{{ '{}'.format(dict) }}",
        "{{ joiner | string }}",
        "{% for line in lines %}{{ loop }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ [m] | join }}",
    ],
)
def test_what_is_no_data_is_not_printed(source: str) -> None:
    with pytest.raises(TemplateError, match="cannot be printed"):
        render(source)


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("one\ntwo {{ order.nope.x }}", 2, "no 'nope'"),
        ("a\n\n{{ nothing | tag('x') }}", 3, "nothing"),
        ("a\n{{ 1 / 0 }}", 2, "division"),
        ("a\n{% if %}", 2, "Expected"),
        ("a\n{% for x in lines %}\n{{ x.name + 1 }}\n{% endfor %}", 3, "concatenate"),
    ],
)
def test_an_error_tells_the_line_of_the_template(source: str, line: int, says: str) -> None:
    with pytest.raises(TemplateError, match=says) as caught:
        render(source, what="the prompt")
    assert caught.value.message.startswith(f"the prompt, line {line}: ")


def test_an_error_does_not_quote_the_data() -> None:
    memory = Memory(root={"note": Value(concept="native.Text", data={"text": "SECRET"})})
    with pytest.raises(TemplateError) as caught:
        render_template("{{ '{:d}'.format(note.text) }}", "basic", memory, LIBRARY.concepts)
    assert "SECRET" not in caught.value.message
