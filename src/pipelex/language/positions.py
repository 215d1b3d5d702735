"""Where a key stands in a TOML text, looked up only once something is wrong. Pure; valid files never need it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from pipelex.errors import Problem

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n\ufeff]|#[^\n]*)*+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*+\'|[A-Za-z0-9_-]++')
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+""""{0,2}'
    r"|'''(?:[^']|'(?!''))*+''''{0,2}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]++")
_LONGEST_EXCERPT = 160


class _LostError(Exception):
    """The text is not TOML from here on; what was found so far stays."""


class Positions:
    """The place of every key and array item of a TOML text, by path: `("pipe", "p", "steps", 0, "result")`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._keys: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._at = 0
        with suppress(_LostError, RecursionError):
            self._read_document()

    def find(self, path: Sequence[str | int]) -> tuple[int, int] | None:
        """Line and column (1-based, in characters) of the key or item at exactly that path."""
        offset = self._keys.get(tuple(path))
        return None if offset is None else self._line_and_column(offset)

    def nearest(self, path: Sequence[str | int]) -> tuple[int, int]:
        """As `find`, else of the nearest parent that stands in the text, else the start of the text."""
        for length in range(len(path), 0, -1):
            if found := self.find(path[:length]):
                return found
        return 1, 1

    def path_at(self, line: int, column: int) -> Path:
        """The path of the key or item that stands there, or last before; empty above the first."""
        found: Path = ()
        best = (0, 0)
        for path, offset in self._keys.items():
            place = self._line_and_column(offset)
            if best <= place <= (line, column):
                found, best = path, place
        return found

    def has_value(self, path: Sequence[str | int]) -> bool:
        """Whether a value is written at exactly that path."""
        return tuple(path) in self._values

    def word(self, path: Sequence[str | int], line: int, word: str | None = None) -> tuple[int, int]:
        """Where `word` stands on the `line`-th line of the text value at `path`; the nearest known place otherwise."""
        offset = self._values.get(tuple(path))
        if offset is None:
            return self.nearest(path)
        if self._text.startswith(('"""', "'''"), offset):
            offset += 3 + (self._text.startswith("\n", offset + 3) or 2 * self._text.startswith("\r\n", offset + 3))
        for _ in range(line - 1):
            following = self._text.find("\n", offset)
            if following < 0:
                break
            offset = following + 1
        end = self._text.find("\n", offset)
        content = self._text[offset : end if end >= 0 else len(self._text)]
        if word is not None and (found := re.search(rf"(?<!\w){re.escape(word)}(?!\w)", content)):
            return self._line_and_column(offset + found.start())
        return self._line_and_column(offset + len(content) - len(content.lstrip()))

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        return self._text.count("\n", 0, offset) + 1, offset - self._text.rfind("\n", 0, offset)

    def _skip(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _LostError
        self._at = found.end()
        return found

    def _next_is(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _read_document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._next_is("[["):
                table = self._read_header(is_array=True)
            elif self._next_is("["):
                table = self._read_header(is_array=False)
            else:
                self._read_pair(table)
            self._skip(_BLANK)

    def _read_header(self, *, is_array: bool) -> Path:
        self._skip_spaces()
        path, offset = self._read_key(())
        self._skip_spaces()
        if not self._next_is("]]" if is_array else "]"):
            raise _LostError
        if not is_array:
            self._keys[path] = offset
            return path
        self._counts[path] = self._counts.get(path, -1) + 1
        self._keys.setdefault(path, offset)
        self._keys[(*path, self._counts[path])] = offset
        return (*path, self._counts[path])

    def _skip_spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1

    def _read_key(self, path: Path) -> tuple[Path, int]:
        """A dotted key below `path`: its full path and offset. Arrays of tables are entered at their last item."""
        while True:
            found = self._skip(_KEY)
            path = (*path, _plain(found[0]))
            self._keys.setdefault(path, found.start())
            if (dot := _DOT.match(self._text, self._at)) is None:
                return path, found.start()
            self._at = dot.end()
            if path in self._counts:
                path = (*path, self._counts[path])

    def _read_pair(self, table: Path) -> None:
        path, offset = self._read_key(table)
        self._keys[path] = offset
        self._skip(_EQUALS)
        self._read_value(path)

    def _read_value(self, path: Path) -> None:
        self._values[path] = self._at
        if self._next_is("["):
            self._read_array(path)
        elif self._next_is("{"):
            self._read_inline_table(path)
        elif found := _STRING.match(self._text, self._at):
            self._at = found.end()
        else:
            self._skip(_SCALAR)

    def _read_array(self, path: Path) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._next_is("]"):
                return
            self._keys[(*path, index)] = self._at
            self._read_value((*path, index))
            self._skip(_BLANK)
            index += 1
            if not self._next_is(",") and not self._text.startswith("]", self._at):
                raise _LostError

    def _read_inline_table(self, path: Path) -> None:
        while True:
            self._skip(_BLANK)
            if self._next_is("}"):
                return
            self._read_pair(path)
            self._skip(_BLANK)
            if not self._next_is(",") and not self._text.startswith("}", self._at):
                raise _LostError


def _plain(key: str) -> str:
    """The key without its quotes and escapes."""
    if not key.startswith(('"', "'")):
        return key
    try:
        return next(iter(tomllib.loads(f"{key} = 0")))
    except tomllib.TOMLDecodeError:
        raise _LostError from None


@lru_cache(maxsize=16)
def positions_of(text: str) -> Positions:
    """The positions of a text, scanned once however many problems it has."""
    return Positions(text)


def problem_on(
    source: str,
    text: str,
    place: tuple[int, int],
    code: str,
    message: str,
    *,
    hint: str | None = None,
    is_warning: bool = False,
) -> Problem:
    """A problem at a known line and column, with that line as its excerpt."""
    line, column = place
    return Problem(code, message, source, line, column, _excerpt(text, line, column), hint, is_warning)


def problem_at(
    source: str,
    text: str,
    path: Sequence[str | int],
    code: str,
    message: str,
    *,
    hint: str | None = None,
    is_warning: bool = False,
) -> Problem:
    """A problem at the key path, or at its nearest parent that stands in the text (at worst the first line)."""
    place = positions_of(text).nearest(path)
    return problem_on(source, text, place, code, message, hint=hint, is_warning=is_warning)


def _excerpt(text: str, line: int, column: int) -> str | None:
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return None
    # One character stays one column, so that the caret points right and no control code reaches a terminal.
    shown = "".join(letter if letter.isprintable() else " " for letter in lines[line - 1].rstrip("\r"))
    if len(shown) > _LONGEST_EXCERPT and column < _LONGEST_EXCERPT:
        shown = shown[: _LONGEST_EXCERPT - 1] + "…"
    return shown or None
