from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext, StorageDriverStoreContext
from temporalio.exceptions import ApplicationError

from object_servers import BUCKET, FakeGcs, fake_gcs
from pipelex.errors import ConfigError, PipelexError, UnreachableError
from pipelex.library.crate import CrateSlice, LibraryCrate
from pipelex.pipes.port import PipeCall, RunInfo
from pipelex.pipes.requests import TextReply
from pipelex.storage.local import LocalObjects
from pipelex.storage.settings import GcpBucket
from pipelex.temporal.converter import check_store, converter_for
from pipelex.temporal.failures import raised
from pipelex.temporal.payload_settings import Encryption, EncryptionKey, Payloads
from pipelex.temporal.payload_store import DISK_DRIVER, Recent, StoredPayloads
from pipelex.values.value import Memory, Value

STORE, RETRIEVE = StorageDriverStoreContext(), StorageDriverRetrieveContext()


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as state:
        yield state


def on_disk(root: Path) -> StoredPayloads:
    return StoredPayloads(DISK_DRIVER, LocalObjects(root, setting="`path` of [temporal.payloads]"))


def in_bucket(gcs: FakeGcs, **more: object) -> Payloads:
    bucket = GcpBucket(bucket_name=BUCKET, prefix="p", endpoint=gcs.endpoint)
    return Payloads.model_validate({"method": "gcp", "gcp": bucket, "threshold_bytes": 1000, **more})


def payload(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def failure_of(doing: object) -> PipelexError:
    """What a run fails with; it must not be retried."""
    with pytest.raises(ApplicationError) as caught:
        await doing  # type: ignore[misc]
    assert caught.value.non_retryable
    return raised(caught.value)


async def test_payloads_come_back_in_order_and_equal_ones_are_kept_once(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "payloads")
    given = [payload("a"), payload("b"), payload("a")]
    claims = await store.store(STORE, given)
    assert await on_disk(tmp_path / "payloads").retrieve(RETRIEVE, claims) == given
    assert len(files(tmp_path)) == 2
    for path in files(tmp_path):
        assert path.name == sha256(path.read_bytes()).hexdigest()
        assert path.parent.name == path.name[:2]
    assert store.name() == "pipelex-disk"


async def test_a_file_cut_short_is_written_again(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    claims = await store.store(STORE, [payload("whole")])
    os.truncate(files(tmp_path)[0], 3)
    assert await store.store(STORE, [payload("whole")]) == claims
    assert await store.retrieve(RETRIEVE, claims) == [payload("whole")]


async def test_a_missing_payload_names_the_digest_and_the_folder(tmp_path: Path) -> None:
    claims = await on_disk(tmp_path / "theirs").store(STORE, [payload("a")])
    error = await failure_of(on_disk(tmp_path / "ours").retrieve(RETRIEVE, claims))
    assert isinstance(error, ConfigError)
    assert claims[0].claim_data["sha256"] in error.message
    assert str(tmp_path / "ours") in error.message
    assert "share one store" in (error.hint or "")


async def test_a_damaged_payload_is_not_handed_out(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    claims = await store.store(STORE, [payload("a")])
    files(tmp_path)[0].write_bytes(b"something else")
    assert "damaged" in (await failure_of(on_disk(tmp_path).retrieve(RETRIEVE, claims))).message


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "/" + "a" * 63])
async def test_only_digests_become_paths(tmp_path: Path, digest: str) -> None:
    claim = StorageDriverClaim(claim_data={"sha256": digest})
    error = await failure_of(on_disk(tmp_path).retrieve(RETRIEVE, [claim]))
    assert "not a SHA-256 digest" in error.message


async def test_a_folder_that_cannot_be_written_is_an_operators_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = on_disk(tmp_path / "file" / "payloads")
    assert "cannot be written" in (await failure_of(store.store(STORE, [payload("a")]))).message
    with pytest.raises(ConfigError, match="cannot be written"):
        await store.check()
    assert len(files(tmp_path)) == 1


async def test_a_crate_is_stored_once_for_all_children_and_submitters(gcs: FakeGcs, tmp_path: Path) -> None:
    crate = LibraryCrate(domains={f"d{number}": "x" * 100 for number in range(100)}).sealed()
    for _ in range(3):
        converter = converter_for(in_bucket(gcs), tmp_path)
        sent = await converter.encode([crate, crate])
        assert [len(item.SerializeToString()) < 1000 for item in sent] == [True, True]
        assert await converter.decode(sent, [LibraryCrate] * 2) == [crate, crate]
    assert len(gcs.objects) == 1
    assert not files(tmp_path)
    assert b"pipelex-bucket" in sent[0].data


async def test_what_many_children_get_is_stored_although_it_is_small(tmp_path: Path) -> None:
    whole = LibraryCrate(domains={f"d{number}": "x" * 100 for number in range(20)}).sealed()
    run = RunInfo(run_id="r")
    text = Memory(root={"note": Value(concept="native.Text", data={"text": "x" * 20_000})})
    root, child = (PipeCall(pipe="d.p", run=run, memory=text, path=path) for path in ((), ("main",)))
    keys = {"k": EncryptionKey(env="KEY")}
    for encryption in (Encryption(), Encryption(active_key="k", keys=keys)):
        folder = tmp_path / str(encryption.active_key)
        environ = {"KEY": base64.b64encode(b"k" * 32).decode()}
        for _ in range(2):
            converter = converter_for(Payloads(encryption=encryption), folder, environ=environ)
            sent = await converter.encode([whole, CrateSlice.of(whole), root, child])
            assert [len(item.SerializeToString()) < 1000 for item in sent] == [False, True, False, True]
            types = [LibraryCrate, LibraryCrate, PipeCall, PipeCall]
            assert await converter.decode(sent, types) == [whole, whole, root, child]
        assert len(files(folder)) == 2


async def test_a_process_asks_once_for_what_it_needs_often(gcs: FakeGcs, tmp_path: Path) -> None:
    value = [TextReply(text="y" * 3000)]
    sent = await converter_for(in_bucket(gcs), tmp_path).encode(value)
    worker = converter_for(in_bucket(gcs), tmp_path)
    for _ in range(3):
        assert await worker.decode(sent, [TextReply]) == value
        gcs.status = 501


def test_what_was_used_long_ago_is_forgotten() -> None:
    now = 0.0
    recent = Recent(lambda: now)
    for number in range(20):
        recent.add(str(number), b"x" * 4_000_000)
    assert recent.get("0") is None
    assert recent.get("19") is not None
    recent.add("large", b"x" * 30_000_000)
    assert recent.get("large") is None
    now = 601.0
    assert recent.get("19") is None


async def test_what_began_on_a_disk_is_read_after_the_move_to_a_bucket_and_back(gcs: FakeGcs, tmp_path: Path) -> None:
    old, new = converter_for(Payloads(threshold_bytes=1000), tmp_path), converter_for(in_bucket(gcs), tmp_path)
    back = converter_for(in_bucket(gcs, method="local"), tmp_path)
    large = [TextReply(text="y" * 3000)]
    assert await new.decode(await old.encode(large), [TextReply]) == large
    assert await back.decode(await new.encode(large), [TextReply]) == large


async def test_a_process_without_the_bucket_says_what_to_set(gcs: FakeGcs, tmp_path: Path) -> None:
    sent = await converter_for(in_bucket(gcs), tmp_path).encode([TextReply(text="y" * 3000)])
    error = await failure_of(converter_for(Payloads(), tmp_path).decode(sent, [TextReply]))
    assert isinstance(error, ConfigError)
    assert "knows no bucket of payloads" in error.message
    assert "same [temporal.payloads]" in (error.hint or "")


async def test_an_outage_is_retried_and_told_before_work_is_taken(gcs: FakeGcs, tmp_path: Path) -> None:
    converter = converter_for(in_bucket(gcs), tmp_path)
    await check_store(converter)
    assert list(gcs.objects) == ["p/probe/pipelex"]
    sent = await converter.encode([TextReply(text="y" * 3000)])
    gcs.status = 501
    with pytest.raises(ApplicationError) as caught:
        await converter_for(in_bucket(gcs), tmp_path).decode(sent, [TextReply])
    assert not caught.value.non_retryable
    with pytest.raises(UnreachableError, match=f"gs://{BUCKET}/p cannot be written now"):
        await check_store(converter)


class Slow:
    """Objects that are written and read one turn of the event loop later, or not at all while `is_down`."""

    place, setting = "nowhere", "none"

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.is_down = False

    async def put(self, key: str, data: bytes) -> None:
        self.asked.append(f"put {key}")
        await asyncio.sleep(0)
        if self.is_down:
            raise ConfigError("down")
        self.kept[key] = data

    async def get(self, key: str) -> bytes | None:
        self.asked.append(f"get {key}")
        await asyncio.sleep(0)
        return self.kept.get(key)


async def test_what_children_that_start_together_are_given_goes_through_once() -> None:
    objects = Slow()
    writer, reader = StoredPayloads(DISK_DRIVER, objects), StoredPayloads(DISK_DRIVER, objects)
    claims = [claim for (claim,) in await asyncio.gather(*(writer.store(STORE, [payload("a")]) for _ in range(50)))]
    assert len(objects.asked) == 1
    found = await asyncio.gather(*(reader.retrieve(RETRIEVE, [claim]) for claim in claims))
    assert found == [[payload("a")]] * 50
    assert len(objects.asked) == 2


async def test_who_waited_for_a_write_that_failed_fails_and_the_next_one_tries_again() -> None:
    objects = Slow()
    store = StoredPayloads(DISK_DRIVER, objects)
    objects.is_down = True
    failed = await asyncio.gather(*(store.store(STORE, [payload("a")]) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in failed] == ["ConfigError: down"] * 3
    objects.is_down = False
    await store.store(STORE, [payload("a")])
    assert len(objects.asked) == 2


async def test_who_stops_waiting_does_not_take_a_read_from_the_others() -> None:
    objects = Slow()
    (claim,) = await StoredPayloads(DISK_DRIVER, objects).store(STORE, [payload("a")])
    store = StoredPayloads(DISK_DRIVER, objects)
    first, second = (asyncio.ensure_future(store.retrieve(RETRIEVE, [claim])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [payload("a")]
    assert first.cancelled()
