"""Receipts: replies kept before they are reported, so that a retry of a call does not pay again. Worker side only.

See docs/decisions/0013-receipts.md.
"""

from __future__ import annotations

import asyncio
import json
import logging
from hashlib import sha256
from typing import Any

from google.protobuf.message import DecodeError
from temporalio.activity import Info
from temporalio.api.common.v1 import Payloads
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.exceptions import FailureError

from pipelex.errors import PipelexError
from pipelex.pipes.requests import ReplyT, Request
from pipelex.storage.blobs import Objects
from pipelex.temporal.converter import store_of
from pipelex.temporal.routing import REPLIES

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 10
"""A store that takes longer is not waited for: the reply is here, and the call has a timeout."""
_UNREADABLE = (PipelexError, FailureError, DecodeError, RuntimeError, ValueError, LookupError)


class Receipts:
    """One object `receipts/ab/abcd…` for each call, in the store of the payloads and sealed as they are.

    They save money and never cost a run: what cannot be kept or read is told once, and the call is made or goes on.
    """

    def __init__(self, converter: DataConverter, objects: Objects) -> None:
        self._converter = converter
        self._objects = objects
        self._complaint = ""

    @classmethod
    def of(cls, client: Client) -> Receipts | None:
        """The receipts next to the payloads of this client; None when it has no store."""
        store = store_of(client.data_converter)
        return None if store is None or store.objects is None else cls(client.data_converter, store.objects)

    async def keep(self, identity: str, reply: Any) -> None:
        """Keep the reply to a call, durably."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                payloads = await self._converter.encode([identity, reply])
                await self._objects.put(_key(identity), Payloads(payloads=payloads).SerializeToString())
        except (PipelexError, FailureError, TimeoutError) as error:
            self._tell("a reply goes without a receipt: if its worker dies now, the call is paid again", error)
        else:
            self._complaint = ""

    async def find(self, identity: str, request: Request[ReplyT]) -> ReplyT | None:
        """The reply that an earlier attempt kept, if there is one that can be read."""
        kind = REPLIES[type(request)]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                raw = await self._objects.get(_key(identity))
                if raw is None:
                    return None
                payloads = Payloads.FromString(raw).payloads
                if len(payloads) != 2:
                    raise ValueError("not a receipt")
                whose, reply = await self._converter.decode(payloads, [str, kind])
            if whose != identity:
                raise ValueError("the receipt of another call")
        except (*_UNREADABLE, TimeoutError) as error:
            self._tell("a receipt cannot be read: its call is made again, and may be paid twice", error)
            return None
        found: ReplyT = reply
        return found

    def _tell(self, what: str, error: Exception) -> None:
        # What an unknown exception says may be data of the reply.
        said = str(error) if isinstance(error, PipelexError | FailureError) else type(error).__name__
        if said != self._complaint:
            _log.warning("%s (%s): %s", what, self._objects.place, said)
        self._complaint = said


def identity_of(info: Info, request: Request[Any]) -> str:
    """What one call is known by in all its attempts, and in no other run: neither after a reset, nor under its id."""
    asked = sha256(request.model_dump_json(exclude_defaults=True).encode()).hexdigest()
    call = [info.namespace, info.workflow_id, info.workflow_run_id, info.activity_id, info.activity_type, asked]
    return sha256(json.dumps(call).encode()).hexdigest()


def _key(identity: str) -> str:
    return f"receipts/{identity[:2]}/{identity}"
