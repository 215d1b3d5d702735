"""A worker for jobs that providers take: python job_worker_process.py ADDRESS FOLDER PAYLOADS SETTINGS.

FOLDER holds the `backends.toml` that says where the provider is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.storage.local import LocalBlobs
from pipelex.temporal.connection import connect
from pipelex.temporal.settings import ServerProfile, TemporalSettings
from pipelex.temporal.worker import run_worker


async def main(address: str, folder: Path, payloads: Path, settings: TemporalSettings) -> None:
    client = await connect(ServerProfile(target_host=address), payload_root=payloads, settings=settings)
    deck = Deck.load([folder], {"FAL_API_KEY": "k", "AZURE_DOCUMENT_INTELLIGENCE_API_KEY": "k"})
    performer = Performer(InferenceSettings(), deck, LocalBlobs(folder / "blobs"))
    await run_worker(client=client, settings=settings, performer=performer, on_ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0], Path(given[1]), Path(given[2]), TemporalSettings.model_validate_json(given[3])))
    os._exit(0)
