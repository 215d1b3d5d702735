"""What the attempts of one request leave to each other: its key, what may have been paid, the job begun. Both hosts.

See docs/decisions/0013-receipts.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import (
    AuthenticationError,
    InferenceError,
    PipelexError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.pipes.requests import ReplyT, Usage

_REFUSALS: Final = (AuthenticationError, RateLimitError, RequestRefusedError)
_UNDECIDED: Final = (None, 408, 409, 425, 504)
"""The statuses of a call that may still go on at the provider; None is a broken connection."""


@dataclass
class Attempts:
    """The attempts of one request; `identity` tells it from every other request, in this run and in all others.

    `refused` attempts were answered with an error, for which nobody is billed; `useless` ones with a reply that was
    paid for and could not be used. `last` is what a provider needs to find a job again: this is the checkpoint.
    """

    identity: str
    refused: int = 0
    useless: int = 0
    last: JsonValue = None
    on_save: Callable[[], None] | None = field(default=None, compare=False)
    """Called when there is more to leave."""
    over: Callable[[], bool] = field(default=lambda: True, compare=False)
    """Tells whether no attempt follows one that is being cancelled."""

    @property
    def is_over(self) -> bool:
        """Whether no attempt follows one that is being cancelled."""
        return self.over()

    @classmethod
    def after(cls, identity: str, left: Sequence[Any]) -> Attempts:
        """The attempts of a request, with what the earlier ones left."""
        if len(left) in (2, 3) and all(type(count) is int for count in left[:2]):
            return cls(identity, *left)
        return cls(identity)

    @property
    def left(self) -> tuple[JsonValue, ...]:
        """What the next attempt must know; nothing before a provider has answered."""
        if self.last is not None:
            return (self.refused, self.useless, self.last)
        return (self.refused, self.useless) if self.refused or self.useless else ()

    def save(self, data: JsonValue) -> None:
        """Keep what finds a job again, for this attempt and the next ones."""
        self.last = data
        if self.on_save is not None:
            self.on_save()

    @property
    def key(self) -> str:
        """What a provider knows the request by, the same until the provider has answered.

        A provider that honours keys gives the same answer again for the same key, errors included.
        """
        return sha256(f"{self.identity}/{self.refused + self.useless}".encode()).hexdigest()

    def failed(self, error: PipelexError) -> None:
        """Note how an attempt failed."""
        if isinstance(error, ReplyError):
            self.useless += 1
        elif isinstance(error, _REFUSALS) or (isinstance(error, InferenceError) and error.status not in _UNDECIDED):
            self.refused += 1

    def counted(self, reply: ReplyT, earlier: int) -> ReplyT:
        """The reply, its usage telling how many of the earlier attempts may have been paid, too."""
        unsure = earlier - self.refused
        if unsure <= 0 or not reply.usage.calls or reply.usage.is_simulated:
            return reply
        return reply.model_copy(update={"usage": reply.usage + Usage(unsure=unsure)})


def part_key(key: str | None, replies: Sequence[str]) -> str | None:
    """The key of a call that goes on from the replies of earlier calls for the same request."""
    if key is None or not replies:
        return key
    made = sha256(key.encode())
    for reply in replies:
        made.update(sha256(reply.encode()).digest())
    return made.hexdigest()
