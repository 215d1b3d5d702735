from __future__ import annotations

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.values.concepts import Concepts
from pipelex.values.decode import decode
from pipelex.values.render import render, render_markdown_report, render_value
from pipelex.values.slots import Slot
from pipelex.values.value import Value

TASTING: Any = {
    "title": "First <flush>",
    "day": "2031-02-03",
    "stars": 3,
    "tags": ["spring", "high"],
    "notes": [{"aroma": "hay", "score": 12}, {"aroma": "rain"}],
    "cup": "green\nand clear",
    "leaf": "leaf.png",
    "weights": {"dry": 4.0},
}


def write(ref: str, data: Any, concepts: Concepts, style: str = "plain") -> str:
    slot = Slot(ref, is_list=isinstance(data, list))
    return render(decode(data, slot, concepts), ref, concepts, style)


@pytest.mark.parametrize(
    ("ref", "data", "plain", "html"),
    [
        ("native.Text", "a < b", "a < b", "<p>a &lt; b</p>"),
        ("tea.Cup", "one\ntwo\n\nthree", "one\ntwo\n\nthree", "<p>one<br>\ntwo</p>\n<p>three</p>"),
        ("native.Number", 4.0, "4", "4"),
        ("native.Number", 4.5, "4.5", "4.5"),
        ("native.YesNo", False, "no", "no"),
        ("native.Date", "2031-02-03", "2031-02-03", "2031-02-03"),
        ("native.Date", "2031-02-03T14:30", "2031-02-03T14:30", "2031-02-03T14:30"),
        ("native.Time", "14:30:05", "14:30:05", "14:30:05"),
        ("native.Html", "<b>x</b>", "<b>x</b>", "<b>x</b>"),
        ("native.Image", "https://x.test/a.png", "https://x.test/a.png", '<img src="https://x.test/a.png" alt="">'),
        ("native.Document", {"url": "a.pdf", "title": "A"}, "a.pdf", '<a href="a.pdf">A</a>'),
        ("native.Document", "javascript:alert(1)", "javascript:alert(1)", "javascript:alert(1)"),
        ("native.JSON", {"a": 1}, '{\n  "a": 1\n}', "<pre>{\n  &quot;a&quot;: 1\n}</pre>"),
        ("native.Page", {"text_and_images": {"text": "page one"}}, "page one", "<p>page one</p>"),
        ("native.Page", {"text_and_images": {"raw_html": "<i>x</i>"}}, "", "<i>x</i>"),
        ("native.Anything", "free", "free", "<p>free</p>"),
        ("native.Choice", {"choice": "a<b", "confidence": 0.5}, "a<b", "a&lt;b"),
        ("native.Rating", 3, "3", "3"),
        ("native.Rating", {"level": 3, "label": "good"}, "good", "good"),
        ("native.Markdown", "# Tea <b>", "# Tea <b>", "<h1>Tea &lt;b&gt;</h1>"),
        ("native.SearchResult", {"answer": "Yes.", "sources": []}, "Yes.", "<p>Yes.</p>"),
    ],
)
def test_contents_of_one_text(concepts: Concepts, ref: str, data: Any, plain: str, html: str) -> None:
    assert write(ref, data, concepts) == write(ref, data, concepts, "markdown") == plain
    assert write(ref, data, concepts, "html") == html


def test_a_structure_in_lines(concepts: Concepts) -> None:
    assert write("tea.Tasting", TASTING, concepts) == snapshot("""\
title: First <flush>
day: 2031-02-03
stars: 3
tags:
- spring
- high
notes:
- aroma: hay
  score: 12
- aroma: rain
cup:
  green
  and clear
leaf: leaf.png
weights:
{
  "dry": 4.0
}\
""")


def test_a_structure_in_html(concepts: Concepts) -> None:
    assert write("tea.Tasting", {**TASTING, "weights": None}, concepts, "html") == snapshot("""\
<dl>
<dt>title</dt><dd>First &lt;flush&gt;</dd>
<dt>day</dt><dd>2031-02-03</dd>
<dt>stars</dt><dd>3</dd>
<dt>tags</dt><dd><ul>
<li>spring</li>
<li>high</li>
</ul></dd>
<dt>notes</dt><dd><ul>
<li><dl>
<dt>aroma</dt><dd>hay</dd>
<dt>score</dt><dd>12</dd>
</dl></li>
<li><dl>
<dt>aroma</dt><dd>rain</dd>
</dl></li>
</ul></dd>
<dt>cup</dt><dd><p>green<br>
and clear</p></dd>
<dt>leaf</dt><dd><img src="leaf.png" alt=""></dd>
</dl>\
""")


def test_lists(concepts: Concepts) -> None:
    assert write("tea.Cup", ["a", "b"], concepts) == "a\nb"
    assert write("tea.Cup", ["a", "b"], concepts, "markdown") == "- a\n- b"
    assert write("tea.Cup", ["a", "b"], concepts, "html") == "<ul>\n<li><p>a</p></li>\n<li><p>b</p></li>\n</ul>"
    notes = [{"aroma": "hay", "score": 1}, {"aroma": "rain"}]
    assert write("tea.Note", notes, concepts) == "aroma: hay\nscore: 1\n\naroma: rain"
    assert write("tea.Cup", [["a"], ["b", "c"]], concepts) == "a\n\nb\nc"
    assert write("tea.Cup", [], concepts) == ""


def test_json(concepts: Concepts) -> None:
    assert write("tea.Cup", "é", concepts, "json") == '"é"'
    assert json.loads(write("tea.Cup", ["a", "b"], concepts, "json")) == ["a", "b"]
    assert json.loads(write("native.Number", 4, concepts, "json")) == {"number": 4}
    assert json.loads(write("tea.Note", {"aroma": "hay"}, concepts, "json"))["score"] is None


def test_open_contents(concepts: Concepts) -> None:
    parts = {"lead": {"text": "hello"}, "rows": [{"a": 1}, {"a": 2}], "note": {"aroma": "hay", "at": {"deep": True}}}
    assert write("native.Composite", parts, concepts) == snapshot("""\
lead: hello

rows:
- a: 1
- a: 2

note:
  aroma: hay
  at:
    deep: true\
""")
    assert write("native.Composite", {"lead": {"text": "<x>"}}, concepts, "html") == snapshot("""\
<section>
<h2>Lead</h2>
<p>&lt;x&gt;</p>
</section>\
""")


def test_reports(concepts: Concepts) -> None:
    def report(ref: str, data: Any) -> str:
        slot = Slot(ref, is_list=isinstance(data, list))
        return render_markdown_report(Value(concept=ref, data=decode(data, slot, concepts)), concepts)

    assert report("tea.Cup", "# Ready\n\ntext") == "# Ready\n\ntext"
    assert report("native.Html", "<p>x</p>") == "<p>x</p>"
    assert report("tea.Cup", ["a", "b"]) == "# Cup\n\n- a\n- b\n"
    assert report("tea.Cup", []) == "# Cup\n\n*(empty)*\n"
    assert report("tea.Tasting", TASTING) == snapshot("""\
# Tasting

- **Title**: First <flush>
- **Day**: 2031-02-03
- **Stars**: 3
- **Tags**:
  - spring
  - high
- **Cup**:

  green
  and clear
- **Leaf**: leaf.png
- **Weights**:

  ```json
  {
    "dry": 4.0
  }
  ```

## Notes

### Note 1

- **Aroma**: hay
- **Score**: 12

### Note 2

- **Aroma**: rain
""")


FOUND: Any = {
    "answer": "Two <cups>.",
    "sources": [
        {"url": "https://x.test/a", "title": "A", "snippet": "One cup\nand another"},
        {"url": "https://x.test/b"},
    ],
}


def test_an_answer_is_followed_by_its_sources(concepts: Concepts) -> None:
    text = "Two <cups>.\n\n- A: https://x.test/a\n  One cup\n  and another\n- https://x.test/b"
    assert write("native.SearchResult", FOUND, concepts) == text
    assert write("native.SearchResult", FOUND, concepts, "markdown") == text
    assert write("native.SearchResult", [FOUND, FOUND], concepts) == f"{text}\n\n{text}"
    assert json.loads(write("native.SearchResult", FOUND, concepts, "json"))["sources"][1]["title"] is None
    assert write("native.SearchResult", FOUND, concepts, "html") == snapshot("""\
<p>Two &lt;cups&gt;.</p>
<ul>
<li><a href="https://x.test/a">A</a>
<p>One cup<br>
and another</p></li>
<li><a href="https://x.test/b">https://x.test/b</a></li>
</ul>\
""")


def test_verdicts_in_a_structure_and_in_json(concepts: Concepts) -> None:
    assert json.loads(write("native.Rating", 2, concepts, "json"))["level"] == 2
    parts = {
        "is_good": {"yes_no": True, "probability": 0.75},
        "colour": {"choice": "red", "confidence": None, "probabilities": None},
        "stars": {"level": 2, "label": "fine", "confidence": None, "probabilities": None, "position": None},
    }
    assert write("native.Composite", parts, concepts) == "is_good: yes\n\ncolour: red\n\nstars: fine"


def test_the_components_of_a_composite_are_written_as_what_they_are(concepts: Concepts) -> None:
    data: Any = {"day": {"date": "2031-02-03", "time": None}, "free": {"a": 1}}
    value = Value(concept="native.Composite", data=data, components={"day": "native.Date"})
    assert render_value(value, concepts) == "day: 2031-02-03\n\nfree:\n  a: 1"
    assert "<p>" not in render_value(value, concepts, "html")
    assert render_markdown_report(value, concepts) == "# Composite\n\n- **Day**: 2031-02-03\n\n## Free\n\n- **A**: 1\n"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", " JavaScript:x"])
def test_no_url_runs_anything(concepts: Concepts, url: str) -> None:
    for ref in ("native.Image", "native.Document"):
        assert "<" not in write(ref, {"url": url}, concepts, "html")
