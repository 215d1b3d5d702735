"""The site of the documentation: Sphinx reads the Markdown of the repository as it stands. Run by `make docs`.

The source folder is the root of the repository, so that links between pages, examples and ARCHITECTURE.md are the ones
that a reader follows in the repository too.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from pygments.lexers.configs import TOMLLexer

ROOT = Path(__file__).parent.parent
INDEX = "docs/index"
EXAMPLE = "examples/*/README"
OUTPUT = "simulated"
"""The folder of an example with what a simulated run gave."""
GROUP = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PAGE = re.compile(r"\[([^\[\]]*)\]\(([\w./-]+)\.md\)")
SHOWN = {".mthds": "mthds", ".py": "python", ".toml": "toml", ".json": "json"}
"""The files of an example that its page shows, and how they are coloured."""

project = "pipelex"
author = "the authors of pipelex"
html_title = "pipelex"
root_doc = INDEX
include_patterns = [
    "*.md",
    "benchmarks/*.md",
    "deploy/**README.md",
    "docs/**.md",
    "examples/README.md",
    "examples/*/README.md",
    f"examples/*/{OUTPUT}/*.md",
]
exclude_patterns = [".*", "AGENTS.md", "dist", "results", "site", "src", "tests", "**/.*", "**/node_modules"]

extensions = ["myst_parser"]
# A heading is linked to as on the pages of a repository; what only MyST knows would show there as it is typed.
myst_heading_anchors = 4
myst_disable_syntax = ["myst_role", "myst_block_break", "myst_line_comment", "myst_target"]
myst_enable_extensions = ["html_image"]
smartquotes = False
# `…` stands for anything in a block: no lexer has to know it. tests/docs reads the blocks.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "none"

html_theme = "furo"
html_theme_options = {
    "navigation_with_keys": True,
    "top_of_page_buttons": [],
    # The accent of the pages of runs, in the light and in the dark.
    "light_css_variables": {"color-brand-primary": "#6b4fd8", "color-brand-content": "#6b4fd8"},
    "dark_css_variables": {"color-brand-primary": "#a797ff", "color-brand-content": "#a797ff"},
}
html_static_path: list[str] = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_domain_indices = False
html_use_index = False
# Comments, and what a command prints, have to be read: of the light styles, few have the contrast.
pygments_style = "github-light"
pygments_dark_style = "github-dark"


def setup(app: Any) -> None:
    """Teach Sphinx what the Markdown means beyond its text."""
    app.add_lexer("mthds", TOMLLexer)
    app.connect("source-read", complete)


def complete(_app: Any, docname: str, source: list[str]) -> None:
    """Add to a page what the site needs: where it leads in the navigation, or the files of an example."""
    path = PurePosixPath(docname)
    if docname == INDEX:
        groups = GROUP.findall(source[0])
        source[0] += "".join(
            toctree([f"{title} <{page}>" for page, title in pages(text).items()], name) for name, text in groups
        )
    elif path.name == "README" and len(path.parts) > 1:
        below = [name for name in pages(source[0]) if not name.startswith("../") and OUTPUT not in name]
        source[0] += toctree(below)
    if path.match(EXAMPLE):
        source[0] += files_of(ROOT / path.parent)
    elif path.parent.name == OUTPUT:
        # It has no place in the navigation: the page of the example leads there.
        source[0] = f"---\norphan: true\n---\n\n# What `{path.parts[1]}` gives, simulated\n\n{source[0]}"


def pages(text: str) -> dict[str, str]:
    """The pages that a text links to, each once, in order, with what it calls them."""
    found: dict[str, str] = {}
    for title, page in PAGE.findall(text):
        found.setdefault(page, title)
    return found


def toctree(entries: list[str], caption: str = "") -> str:
    """The part of the navigation that a page opens: the pages of its lists of links."""
    title = f":caption: {caption}\n" if caption else ""
    return f"\n\n```{{toctree}}\n:hidden:\n{title}\n" + "\n".join(entries) + "\n```\n" if entries else ""


def files_of(folder: Path) -> str:
    """The texts of an example, as blocks."""
    files = sorted(file for file in folder.iterdir() if file.suffix in SHOWN)
    blocks = (f"### {file.name}\n\n~~~~{SHOWN[file.suffix]}\n{file.read_text('utf-8')}~~~~\n" for file in files)
    return "\n\n## Files\n\n" + "\n".join(blocks)
