"""Workers that kill themselves, in processes of their own: python e2e_killed_worker.py PROCESSES KILLS POINTS.

Runs in the folder of a project. Each process takes calls until its fate comes; another one takes its place. A fate is
one of KILLS, drawn by a call that begins: a point (comma-separated: called, replied, kept, held) and a delay, from a
seed. After `held`, which is `kept` otherwise, the call is not let go on: its reply is never reported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
from dataclasses import dataclass
from typing import Any

from pipelex.app import Runtime
from pipelex.config.load import load_settings

# Imported here, once: each process would do it again when it first calls.
from pipelex.inference.providers import openai_compatible as openai_compatible
from pipelex.storage.blobs import Objects
from pipelex.temporal.converter import store_of
from pipelex.temporal.worker import run_worker

LONGEST = {"called": 0.15, "replied": 0.002, "kept": 0.004, "held": 0.02}
"""From each point on, the seconds until the kill: to about when the next thing is over."""


@dataclass
class Fate:
    """How this process ends."""

    plan: list[tuple[str, float]]
    point: str = ""
    delay: float = 0.0
    is_dying: bool = False

    def draw(self) -> None:
        """Take the next kill that no process has taken, once."""
        for number, (point, delay) in enumerate(self.plan if not self.point else []):
            try:
                os.close(os.open(f"kill-{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            self.point, self.delay = point, delay
            return

    def passes(self, point: str) -> None:
        """Note that a call has come to a point."""
        if self.point == point and not self.is_dying:
            self.is_dying = True
            asyncio.get_running_loop().call_later(self.delay, os.kill, os.getpid(), signal.SIGKILL)


class Doomed:
    """Performs, and begins no call while the process is dying: what is killed is what the fate says."""

    def __init__(self, performer: Any, fate: Fate) -> None:
        self._performer = performer
        self._fate = fate

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        if self._fate.is_dying:
            await asyncio.Event().wait()
        self._fate.draw()
        self._fate.passes("called")
        reply = await self._performer.perform(request, key=key, checkpoint=checkpoint)
        self._fate.passes("replied")
        return reply


class Watched:
    """A store that knows when a receipt is kept."""

    def __init__(self, objects: Objects, fate: Fate) -> None:
        self._objects = objects
        self._fate = fate
        self.place, self.setting = objects.place, objects.setting

    async def put(self, key: str, data: bytes) -> None:
        await self._objects.put(key, data)
        if key.startswith("receipts/"):
            self._fate.passes("kept")
            self._fate.passes("held")
            if self._fate.is_dying and self._fate.point == "held":
                await asyncio.Event().wait()

    async def get(self, key: str) -> bytes | None:
        return await self._objects.get(key)


async def serve(runtime: Runtime, fate: Fate) -> None:
    client = await runtime.temporal.client()
    store = store_of(client.data_converter)
    assert store is not None
    assert store.objects is not None
    store.objects = Watched(store.objects, fate)
    await run_worker(
        client=client,
        settings=runtime.settings.temporal,
        performer=Doomed(runtime.performer(), fate),
        scope_name="runner",
        stop=asyncio.Event(),
    )


def fork(runtime: Runtime, fate: Fate) -> int:
    """Start one process. Nothing runs in this one yet but this thread."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            asyncio.run(serve(runtime, fate))
        finally:
            logging.exception("a worker ended by itself")
            os._exit(1)
    return pid


def main(processes: int, kills: int, points: list[str]) -> None:
    chance = random.Random(20311)
    chosen = [points[number % len(points)] for number in range(kills)]
    plan = [(point, chance.uniform(0, LONGEST[point])) for point in chosen]
    loaded = load_settings()
    runtime = Runtime.open(loaded.settings, environ=loaded.environ)
    runtime.performer()
    running = {fork(runtime, Fate(plan)) for _ in range(processes)}

    def stop(*_: object) -> None:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    killed = 0
    while running:
        pid, status = os.wait()
        running.discard(pid)
        if not os.WIFSIGNALED(status):
            stop()
        killed += 1
        print(f"killed {killed}", file=sys.stderr, flush=True)
        running.add(fork(runtime, Fate(plan)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","))
