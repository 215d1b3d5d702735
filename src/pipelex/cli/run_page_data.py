"""What the page of a run, or of a method, tells when somebody picks a pipe or a call: plain JSON, bounded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from pipelex.cli.run_tree import Spot, counts, duration, money
from pipelex.language.pipes import Pipe, PipeCompose, PipeCondition
from pipelex.library.drawing import short
from pipelex.library.library import Library
from pipelex.pipes.excerpts import cut
from pipelex.pipes.record import CallRecord, PipeRecord
from pipelex.pipes.requests import Usage

MOST_OF_PAGE = 2_500_000
"""How many characters of texts one page has. Where they would be more, all are cut shorter."""
_LENGTHS = (4000, 2000, 1000, 400, 150, 40)
_MOST_MESSAGE = 2000
_TEMPLATES = {
    "system_prompt": "system prompt",
    "prompt": "prompt",
    "negative_prompt": "negative prompt",
    "expression": "expression",
    "expression_template": "expression",
    "template": "template",
    "function_name": "function",
}


class PageData:
    """What is told, as it is collected: `places` by the key of a box, `runs` of pipes, and the texts, each once."""

    def __init__(self, library: Library, root: PipeRecord | None = None) -> None:
        self._library = library
        self.items = dict(_items(root, "")) if root is not None else {}
        """Which items of the batches around it a run is for, by the identity of its record."""
        self._texts: dict[str, int] = {}
        self._runs: dict[int, int] = {}
        self._told: list[dict[str, Any]] = []
        self._places: list[dict[str, Any]] = []

    def place(self, ref: str, spot: Spot | None = None) -> None:
        """Tell of the next place of a drawing: what the pipe declares, and what happened there."""
        place = self._declared(ref)
        if spot is not None:
            place |= {"state": spot.state, "told": counts(spot), "runs": [self.run(record) for record in spot.records]}
        self._places.append(place)

    def run(self, record: PipeRecord) -> int:
        """Tell of one execution of a pipe; its number."""
        known = self._runs.get(id(record))
        if known is None:
            known = self._runs[id(record)] = len(self._told)
            self._told.append(self._of_run(record))
        return known

    def document(self) -> tuple[dict[str, Any], int]:
        """All of it as JSON data, and the length at which texts are cut so that they fit."""
        length = next((most for most in _LENGTHS if self._size(most) <= MOST_OF_PAGE), 0)
        texts = [cut(text, length) if length < _LENGTHS[0] else text for text in self._texts] if length else []
        return {"texts": texts, "places": self._places, "runs": self._told}, length

    def _size(self, most: int) -> int:
        return sum(min(len(text), most) for text in self._texts)

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _texts_of(self, texts: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
        return [(name, self._text(text)) for name, text in texts if text]

    def _declared(self, ref: str) -> dict[str, Any]:
        pipe = self._library.crate.pipes.get(ref)
        place: dict[str, Any] = {"ref": ref, "code": ref.rpartition(".")[2]}
        if pipe is None:
            return place
        return place | {
            "kind": pipe.type,
            "about": pipe.description,
            "model": _model(pipe),
            "reads": [f"{name}: {short(slot)}" for name, slot in pipe.inputs.items()],
            "gives": short(pipe.output),
            "templates": self._texts_of(_templates(pipe)),
        }

    def _of_run(self, record: PipeRecord) -> dict[str, Any]:
        texts = record.texts
        told = {
            "items": self.items.get(id(record)),
            "state": record.state,
            "at": clock(record.started),
            "took": duration_of(record.started, record.ended),
            **_usage(record.usage),
            "workflow": record.workflow_id,
            "error": self._error(record.error),
            "inputs": self._texts_of(texts.given.items()) if texts else [],
            "unknown": _unknown(texts.unknown) if texts else "",
            "output": self._text(texts.made) if texts and texts.made is not None else None,
            "calls": [self._call(call) for call in record.calls],
        }
        return _without_empty(told)

    def _call(self, call: CallRecord) -> dict[str, Any]:
        texts = call.texts
        error = f"{call.error.message[:_MOST_MESSAGE]} [{call.error.code}]" if call.error else ""
        told = {
            "activity": call.activity,
            "model": call.handle,
            "queue": call.queue,
            "worker": call.worker,
            "attempts": call.attempts,
            "state": call.state,
            "at": clock(call.scheduled),
            "waited": duration_of(call.scheduled, call.started),
            "took": duration_of(call.started, call.ended),
            **_usage(call.usage),
            "error": self._text(error) if error else None,
            "asked": self._texts_of(texts.given.items()) if texts else [],
            "reply": self._text(texts.made) if texts and texts.made is not None else None,
        }
        return _without_empty(told)

    def _error(self, report: dict[str, Any] | None) -> int | None:
        if not report:
            return None
        hint = f"\nhint: {report['hint']}" if report.get("hint") else ""
        return self._text(f"{str(report.get('message', ''))[:_MOST_MESSAGE]} [{report.get('code', '')}]{hint}")


def _items(record: PipeRecord, around: str) -> Iterator[tuple[int, str]]:
    """`2/4 > 1/3`: the first of three items, in the second of four."""
    own = f"{record.item.index + 1}/{record.item.total}" if record.item else ""
    items = " > ".join(filter(None, (around, own)))
    yield id(record), items
    for child in record.children:
        yield from _items(child, items)


def duration_of(start: float | None, end: float | None) -> str:
    """The time between two moments as people say it; nothing when one of them is unknown."""
    if start is None or end is None:
        return ""
    seconds = max(0.0, end - start)
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else duration(seconds)


def clock(seconds: float | None) -> str:
    """A moment, as a time of the day in UTC."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def tokens(usage: Usage) -> str:
    """The tokens of calls, in and out; nothing when there are none."""
    return f"{usage.input_tokens:,} → {usage.output_tokens:,}" if usage.input_tokens or usage.output_tokens else ""


def price(usage: Usage) -> str:
    """What calls cost. Whether the price is simulated, the page says once."""
    return money(usage).removesuffix(" simulated") if usage.calls else ""


def _unknown(names: tuple[str, ...]) -> str:
    """Why inputs are not shown, as a sentence."""
    if not names:
        return ""
    what = f"The input {names[0]} is" if len(names) == 1 else f"The inputs {', '.join(names)} are"
    return (
        f"{what} not shown: this pipe ran inside the workflow of the pipe that called it, and the history of that"
        " workflow keeps what was asked and answered, not what was read."
    )


def _usage(usage: Usage) -> dict[str, str]:
    return {"tokens": tokens(usage), "cost": price(usage)}


def _templates(pipe: Pipe) -> list[tuple[str, str]]:
    """The texts that a pipe declares."""
    found = [(label, getattr(pipe, name, None)) for name, label in _TEMPLATES.items()]
    if isinstance(pipe, PipeCompose):
        found = [("template", pipe.template.template)] if pipe.template else []
        fields = pipe.construct_fields or {}
        built = "\n".join(f"{name} = {_written(value)}" for name, value in fields.items())
        found += [("construct", built)] if built else []
    if isinstance(pipe, PipeCondition):
        outcomes = [*pipe.outcomes.items(), ("otherwise", pipe.default_outcome)]
        found.append(("outcomes", "\n".join(f"{value} → {target}" for value, target in outcomes)))
    return [(label, cut(text)) for label, text in found if isinstance(text, str) and text]


def _written(value: BaseModel) -> str:
    return value.model_dump_json(by_alias=True, exclude_defaults=True)


def _model(pipe: Pipe) -> str:
    model = getattr(pipe, "model", None)
    return str(model.get("model", "")) if isinstance(model, dict) else model or ""


def _without_empty(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None and value != "" and value != []}
