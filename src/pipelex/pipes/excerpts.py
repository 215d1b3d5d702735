"""What went into a pipe or a call and what came out, as texts of bounded length, for whoever reads a run. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from pipelex.pipes.record import Texts
from pipelex.pipes.requests import Attachment
from pipelex.values.value import Absence, Outcome

MOST_TEXT = 4000
"""How many characters of one text are kept; of a run that has told much already, only `MOST_LATE`."""
MOST_LATE = 400
MOST_OF_RUN = 8_000_000
"""How many characters of all texts of a run are kept; after half of them texts are cut shorter."""
LEFT_OUT = "(left out: this run has told too much already)"
_MOST_URL = 200
_ASKED = ("system", "prompt", "negative_prompt", "url", "html")
_NOT_REPLY = ("usage", "probabilities")


class Excerpts:
    """Cuts the texts of one run, until there is no room left. The same text is kept, and counted, once."""

    def __init__(self, room: int = MOST_OF_RUN) -> None:
        self._room = room
        self._late = room // 2
        self._known: dict[str, str] = {}

    def inputs(self, values: Mapping[str, JsonValue]) -> dict[str, str]:
        """The contents that a pipe reads, by name."""
        return {name: self._kept(data) for name, data in values.items()}

    def outcome(self, outcome: Outcome | Mapping[str, Any] | None) -> str | None:
        """What a pipe gave: its content, or why there is none."""
        fields = vars(outcome) if isinstance(outcome, Absence) else dict(outcome or {})
        if not fields:
            return None
        return self._kept(fields["data"] if "data" in fields else f"(absent: {fields.get('reason', '')})")

    def asked(self, request: Mapping[str, Any]) -> dict[str, str]:
        """What a request asks for, by the names of its fields, and the files it sends."""
        found = {name: self._kept(request[name]) for name in _ASKED if request.get(name)}
        if files := request.get("attachments"):
            found["files"] = self._kept("\n".join(_file(Attachment.model_validate(file)) for file in files))
        return found

    def reply(self, reply: Mapping[str, Any]) -> str | None:
        """What came back."""
        content = [data for name, data in reply.items() if name not in _NOT_REPLY]
        return self._kept(content[0]) if content else None

    def _kept(self, data: JsonValue) -> str:
        text = excerpt(data, MOST_TEXT if self._room > self._late else MOST_LATE)
        if text not in self._known:
            if len(text) > self._room:
                return LEFT_OUT
            self._room -= len(text)
            self._known[text] = text
        return self._known[text]


def texts(given: dict[str, str], made: str | None) -> Texts | None:
    """Both sides together; None when neither is known."""
    return Texts(given=given, made=made) if given or made is not None else None


def excerpt(data: JsonValue, most: int = MOST_TEXT) -> str:
    """A content as people read it, cut: a text as it is, anything else as lines of names and values."""
    if isinstance(data, dict) and len(data) == 1 and isinstance(only := data.get("text"), str):
        data = only
    if isinstance(data, str):
        return cut(data, most)
    found: list[str] = []
    length = 0
    # Line by line: of a large content only its beginning is ever written.
    for line in _lines(data, "", most):
        found.append(line)
        length += len(line) + 1
        if length > most:
            return f"{chr(10).join(found)[:most]}\n… (cut)"
    return "\n".join(found)


def _lines(data: JsonValue, pad: str, most: int) -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            if value is not None:
                yield from _entry(f"{pad}{name}:", value, f"{pad}  ", most)
    elif isinstance(data, list):
        for item in data:
            yield from _entry(f"{pad}-", item, f"{pad}  ", most)
    else:
        text = json.dumps(data) if not isinstance(data, str) else cut(data, most)
        yield from (f"{pad}{line}" for line in text.split("\n"))


def _entry(head: str, data: JsonValue, pad: str, most: int) -> Iterator[str]:
    """What stands after a name or a dash: on the same line if it is short, else below."""
    below = _lines(data, pad, most)
    first, second = next(below, None), next(below, None)
    if first is None:
        yield f"{head} {'{}' if isinstance(data, dict) else '[]'}"
    elif second is None and not isinstance(data, dict | list):
        yield f"{head} {first.strip()}"
    elif head.endswith("-"):
        yield f"{head} {first.lstrip()}"
        yield from filter(None, (second,))
    else:
        yield from (line for line in (head, first, second) if line is not None)
    yield from below


def cut(text: str, most: int = MOST_TEXT) -> str:
    """The beginning of a text, and how much of it is missing."""
    return text if len(text) <= most else f"{text[:most]}\n… ({len(text) - most:,} more characters)"


def _file(file: Attachment) -> str:
    return f"{file.kind}: {cut(file.url, _MOST_URL)}"
