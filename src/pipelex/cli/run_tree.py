"""A run as people read it: one spot for each place where a pipe was called, however many items a batch had. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pipelex.pipes.record import CallRecord, PipeRecord, RecordState, in_groups
from pipelex.pipes.requests import Usage

SIGNS: dict[RecordState, str] = {"done": "✓", "failed": "✗", "running": "…", "canceled": "⊘"}
MOST_CHILDREN = 12
"""Children shown under one pipe."""
_WORST_FIRST: tuple[RecordState, ...] = ("failed", "running", "canceled", "done")


@dataclass(frozen=True, eq=False)
class Spot:
    """The executions of one pipe at one place of a method: one, or one per item of the batches around it."""

    records: tuple[PipeRecord, ...]

    @property
    def ref(self) -> str:
        """The pipe."""
        return self.records[0].pipe

    @property
    def code(self) -> str:
        """The code of the pipe, without its domain."""
        return self.records[0].code

    @property
    def kind(self) -> str:
        """The type of the pipe, where it is known."""
        return self.records[0].kind

    @property
    def is_batch(self) -> bool:
        """Whether the pipe ran once per item here."""
        return len(self.records) > 1 or self.records[0].item is not None

    @cached_property
    def states(self) -> Counter[RecordState]:
        """How many executions are in each state."""
        return Counter(record.state for record in self.records)

    @property
    def state(self) -> RecordState:
        """The state that people must know of first."""
        return next(state for state in _WORST_FIRST if self.states[state])

    @property
    def started(self) -> float | None:
        """When the first execution began."""
        return min((record.started for record in self.records if record.started is not None), default=None)

    @property
    def ended(self) -> float | None:
        """When the last execution ended; None while one goes on."""
        ends = [record.ended for record in self.records]
        return None if None in ends else max(end for end in ends if end is not None)

    @property
    def seconds(self) -> float | None:
        """From the first beginning to the last end."""
        return None if self.started is None or self.ended is None else max(0.0, self.ended - self.started)

    @cached_property
    def usage(self) -> Usage:
        """What all executions consumed, the pipes under them included."""
        return sum((record.usage for record in self.records), Usage())

    @cached_property
    def calls(self) -> tuple[CallRecord, ...]:
        """The calls of the executions themselves."""
        return tuple(call for record in self.records for call in record.calls)

    @property
    def attempts(self) -> int:
        """The most attempts that one call took."""
        return max((call.attempts for call in self.calls), default=0)

    @property
    def omitted(self) -> int:
        """How many children the record left out."""
        return sum(record.omitted for record in self.records)

    @property
    def failures(self) -> Iterator[PipeRecord]:
        """The executions that ended with an error."""
        return (record for record in self.records if record.error is not None)

    @cached_property
    def children(self) -> tuple[Spot, ...]:
        """The places under this one, in the order in which they were first reached."""
        found: dict[tuple[str, int], list[PipeRecord]] = {}
        for record in self.records:
            seen: Counter[str] = Counter()
            for group in in_groups(record.children):
                ref = group[0].pipe
                found.setdefault((ref, seen[ref]), []).extend(group)
                seen[ref] += 1
        return tuple(Spot(tuple(records)) for records in found.values())

    def walk(self) -> Iterator[Spot]:
        """This place and all those under it."""
        yield self
        for child in self.children:
            yield from child.walk()


def merged(spots: Iterable[Spot]) -> Spot:
    """Several places told as one."""
    return Spot(tuple(record for spot in spots for record in spot.records))


def money(usage: Usage) -> str:
    """What it cost, as people say it."""
    if usage.cost_usd is None:
        return "price unknown"
    digits = 6 if 0 < usage.cost_usd < 0.001 else 4
    return f"{usage.cost_usd:.{digits}f} USD" + (" simulated" if usage.is_simulated else "")


def duration(seconds: float | None) -> str:
    """A time as people say it; nothing when it is unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"


def counts(spot: Spot) -> str:
    """The state in words; of a batch, how many items are in each."""
    if not spot.is_batch:
        return f"{SIGNS[spot.state]} {spot.state}"
    told = ", ".join(f"{spot.states[state]} {state}" for state in reversed(_WORST_FIRST) if spot.states[state])
    return f"{SIGNS[spot.state]} {told}"


def retries(spot: Spot) -> str:
    """A mark on calls that had to be made again; nothing otherwise."""
    again = sum(1 for call in spot.calls if call.attempts > 1)
    if not again:
        return ""
    if len(spot.calls) == 1:
        return f"↻ {spot.attempts} attempts"
    return f"↻ {again} of {len(spot.calls)} calls retried"


def left_out(spot: Spot) -> str:
    """How many pipes under this one are only counted; nothing when none is."""
    return f"{spot.omitted} pipes under it left out" if spot.omitted else ""
