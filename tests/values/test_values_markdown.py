from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pipelex.values.markdown import to_html

DOCUMENT = """\
# Tea & more #

A *light* **dark *and* green** `<cup>` snake_case_name
on two lines\\
and a third.

- one
- two
  - nested
1. first

2. second

> quoted
> - item

```python
a < b
```
| kind | cups |
|---|--:|
| green | 2 | x |
| black |
---
"""


def test_a_document() -> None:
    assert to_html(DOCUMENT) == snapshot("""\
<h1>Tea &amp; more</h1>
<p>A <em>light</em> <strong>dark <em>and</em> green</strong> <code>&lt;cup&gt;</code> snake_case_name
on two lines<br>
and a third.</p>
<ul>
<li>one</li>
<li>two
<ul>
<li>nested</li>
</ul></li>
</ul>
<ol>
<li>first</li>
<li>second</li>
</ol>
<blockquote>
<p>quoted</p>
<ul>
<li>item</li>
</ul>
</blockquote>
<pre><code class="language-python">a &lt; b</code></pre>
<table>
<tr><th>kind</th><th>cups</th></tr>
<tr><td>green</td><td>2</td></tr>
<tr><td>black</td><td></td></tr>
</table>
<hr>\
""")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("#hashtag", "<p>#hashtag</p>"),
        ("C# #", "<p>C# #</p>"),
        ("## C#", "<h2>C#</h2>"),
        ("\\*plain\\* 2 * 3 * 4", "<p>*plain* 2 * 3 * 4</p>"),
        ("[tea](https://x.test/?a=1&b)", '<p><a href="https://x.test/?a=1&amp;b">tea</a></p>'),
        ("<https://x.test>", '<p><a href="https://x.test">https://x.test</a></p>'),
        ("![cup](https://x.test/c.png)", '<p><img src="https://x.test/c.png" alt="cup"></p>'),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("[a](/relative)", "<p>[a](/relative)</p>"),
        ('[a](https://x"onclick="y)', '<p><a href="https://x&quot;onclick=&quot;y">a</a></p>'),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("```\nnever closed <b>", "<pre><code>never closed &lt;b&gt;</code></pre>"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>'),
        ("``a`b``", "<p><code>a`b</code></p>"),
        ("~~old~~ __new__", "<p><s>old</s> <strong>new</strong></p>"),
    ],
)
def test_small_texts(text: str, html: str) -> None:
    assert to_html(text) == html


TAG = re.compile(r"<(/?)([a-z0-9]+)((?: [a-z]+=\"[^\"<>]*\")*)>")
KNOWN = re.compile("h[1-6]|p|ul|ol|li|blockquote|pre|code|table|tr|th|td|hr|br|em|strong|s|a|img")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="*_`[]()<>#-+>|:!\\~ \n12.ab", max_size=80))
def test_nothing_but_known_tags_comes_out_and_all_are_closed(text: str) -> None:
    opened: list[str] = []
    html = to_html(text)
    rest = TAG.sub("", html)
    assert "<" not in rest
    assert ">" not in rest
    for tag in TAG.finditer(html):
        assert KNOWN.fullmatch(tag[2])
        if tag[1]:
            assert opened.pop() == tag[2]
        elif tag[2] not in ("hr", "br", "img"):
            opened.append(tag[2])
    assert opened == []


@pytest.mark.parametrize("text", ["> " * 5000 + "x", "- " * 5000 + "x", "*a " * 5000, "`" * 20000, "[" * 20000])
def test_what_is_nested_or_repeated_a_lot_is_read_too(text: str) -> None:
    assert to_html(text)
