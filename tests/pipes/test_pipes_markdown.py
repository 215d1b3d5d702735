from __future__ import annotations

import pytest

from pipelex.pipes.markdown import formatted
from pipelex.pipes.templates import render_template
from pipelex.values.concepts import Concepts
from pipelex.values.value import Memory, Value


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# T\n\n**b** *i*", "<h1>T</h1>\n<p><strong>b</strong> <em>i</em></p>"),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("[a](https://x.y)", '<p><a href="https://x.y">a</a></p>'),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("[a](page.html)", "<p>[a](page.html)</p>"),
        ("![a](data:text/html;base64,x)", "<p>![a](data:text/html;base64,x)</p>"),
        ("https://x.y", "<p>https://x.y</p>"),
    ],
)
def test_markdown_is_formatted_safely(source: str, html: str) -> None:
    assert formatted(source) == html


def test_tables_are_known() -> None:
    assert "<td>1</td>" in formatted("| a |\n|---|\n| 1 |")


def test_the_filter_takes_contents_and_strings() -> None:
    note = Value(concept="native.Text", data={"text": "*x* & <b>"})
    memory = Memory(root={"note": note})
    template = "{{ note | markdown }}{{ note.text | markdown }}{{ note }}"
    printed = render_template(template, "html", memory, Concepts({}))
    paragraph = "<p><em>x</em> &amp; &lt;b&gt;</p>"
    assert printed == f"{paragraph}{paragraph}*x* &amp; &lt;b&gt;"
