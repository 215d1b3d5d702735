"""The site of the documentation, as `make docs` builds it: whole, reachable, and all of it local."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""What a browser fetches by itself, by tag."""
IN_STYLES = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
FETCHED_BY_SCRIPTS = re.compile(r"(?:\bfetch|\bimport|importScripts|\.open)\(\s*['\"`](?:https?:)?//")


@dataclass
class Page(HTMLParser):
    """What one file of the site says of others."""

    file: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if name in given]
        self.fetched += in_styles(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.fetched += in_styles(data)

    def targets(self) -> Iterator[tuple[str, Path, str]]:
        """Each link inside the site: as it is written, the file, and the anchor there."""
        for link in self.links:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                path = (self.file.parent / unquote(parts.path)).resolve() if parts.path else self.file
                yield link, path, unquote(parts.fragment)


def in_styles(text: str) -> list[str]:
    """What a style sheet fetches."""
    return [first or second for first, second in IN_STYLES.findall(text)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, and what was said while it was built."""
    folder = tmp_path_factory.mktemp("site").resolve()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", f"{folder}/trees", "."]
    done = subprocess.run([*command, f"{folder}/site"], cwd=ROOT, capture_output=True, text=True, check=False)
    return folder / "site", done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit code {done.returncode}")


@pytest.fixture(scope="session")
def pages(built: tuple[Path, str]) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(built[0].rglob("*.html"))}


def test_it_is_built_without_a_warning(built: tuple[Path, str]) -> None:
    assert built[1] == ""


def test_it_has_every_page_of_the_documentation(built: tuple[Path, str], pages: dict[Path, Page]) -> None:
    expected = [
        *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("README.md"),
    ]
    missing = [file for file in expected if built[0] / file.relative_to(ROOT).with_suffix(".html") not in pages]
    assert missing == []


def test_every_page_is_reached_from_the_first(built: tuple[Path, str], pages: dict[Path, Page]) -> None:
    reached, left = set(), [built[0] / "index.html"]
    while left:
        file = left.pop()
        if file in pages and file not in reached:
            reached.add(file)
            left += [path for _, path, _ in pages[file].targets()]
    # The page of the search is reached by its form.
    assert sorted(set(pages) - reached) == [built[0] / "search.html"]


def test_every_page_stands_in_the_navigation(pages: dict[Path, Page], built: tuple[Path, str]) -> None:
    tree = pages[built[0] / "docs" / "decisions" / "README.html"].file.read_text("utf-8")
    inside = tree[tree.index('class="sidebar-tree"') : tree.index("</aside>", tree.index('class="sidebar-tree"'))]
    told = len(re.findall(r'class="toctree-l\d[ "]', inside))
    # What simulated runs gave is reached from the pages of the examples.
    others = {"index.html", "docs/index.html", "search.html"}
    assert told == sum(file.parent.name != "simulated" for file in pages) - len(others)


def test_every_link_leads_to_a_file_and_an_anchor(pages: dict[Path, Page]) -> None:
    broken = []
    for page in pages.values():
        for link, path, anchor in page.targets():
            is_there = path.is_file() and (not anchor or path not in pages or anchor in pages[path].ids)
            if not is_there:
                broken.append(f"{page.file.name}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(built: tuple[Path, str], pages: dict[Path, Page]) -> None:
    fetched = [(page.file, url) for page in pages.values() for url in page.fetched]
    for file in built[0].rglob("*.css"):
        fetched += [(file, url) for url in in_styles(file.read_text("utf-8"))]
    assert len(fetched) > len(pages)
    outside = [
        (file.name, url) for file, url in fetched if url.startswith("//") or urlsplit(url).scheme not in ("", "data")
    ]
    assert outside == []
    scripts = [file for file in built[0].rglob("*.js") if FETCHED_BY_SCRIPTS.search(file.read_text("utf-8"))]
    assert scripts == []


def test_what_is_fetched_is_there(pages: dict[Path, Page]) -> None:
    local = [(page.file, urlsplit(url)) for page in pages.values() for url in page.fetched]
    names = [(file, file.parent / unquote(url.path)) for file, url in local if not url.scheme and url.path]
    assert [f"{file.name}: {path}" for file, path in names if not path.exists()] == []


def test_the_search_knows_the_words_of_the_pages(built: tuple[Path, str]) -> None:
    index = (built[0] / "searchindex.js").read_text("utf-8")
    assert index.startswith("Search.setIndex({")
    assert '"docs/guides/workers"' in index
    # Words are kept by their stems.
    assert all(word in index for word in ("pipelex_calls_tot", "heartbeat", "get_stuff_as_list"))


def test_a_method_is_coloured(built: tuple[Path, str]) -> None:
    page = (built[0] / "docs" / "guides" / "first-method.html").read_text("utf-8")
    assert '<div class="highlight-mthds notranslate">' in page
    assert '<span class="k">[pipe.' in page or '<span class="k">[concept' in page


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_it_has_colours_for_day_and_night(built: tuple[Path, str], kind: str) -> None:
    colours = (built[0] / "_static" / "pygments.css").read_text("utf-8")
    assert f'body[data-theme="{kind}"]' in colours or kind == "light"
