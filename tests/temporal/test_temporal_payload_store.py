from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext, StorageDriverStoreContext

from pipelex.errors import ConfigError
from pipelex.temporal.payload_store import DiskPayloads

STORE, RETRIEVE = StorageDriverStoreContext(), StorageDriverRetrieveContext()


def payload(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_payloads_come_back_in_order_and_equal_ones_are_kept_once(tmp_path: Path) -> None:
    store = DiskPayloads(tmp_path / "payloads")
    given = [payload("a"), payload("b"), payload("a")]
    claims = await store.store(STORE, given)
    assert await DiskPayloads(tmp_path / "payloads").retrieve(RETRIEVE, claims) == given
    assert len(files(tmp_path)) == 2
    for path in files(tmp_path):
        assert path.name == sha256(path.read_bytes()).hexdigest()
        assert path.parent.name == path.name[:2]
    assert store.name() == "pipelex-disk"


async def test_a_file_cut_short_is_written_again(tmp_path: Path) -> None:
    store = DiskPayloads(tmp_path)
    claims = await store.store(STORE, [payload("whole")])
    os.truncate(files(tmp_path)[0], 3)
    assert await store.store(STORE, [payload("whole")]) == claims
    assert await store.retrieve(RETRIEVE, claims) == [payload("whole")]


async def test_a_missing_payload_names_the_digest_and_the_folder(tmp_path: Path) -> None:
    claims = await DiskPayloads(tmp_path / "theirs").store(STORE, [payload("a")])
    with pytest.raises(ConfigError) as caught:
        await DiskPayloads(tmp_path / "ours").retrieve(RETRIEVE, claims)
    assert claims[0].claim_data["sha256"] in caught.value.message
    assert str(tmp_path / "ours") in caught.value.message
    assert "share one folder" in (caught.value.hint or "")


async def test_a_damaged_payload_is_not_handed_out(tmp_path: Path) -> None:
    store = DiskPayloads(tmp_path)
    claims = await store.store(STORE, [payload("a")])
    files(tmp_path)[0].write_bytes(b"something else")
    with pytest.raises(ConfigError, match="damaged"):
        await store.retrieve(RETRIEVE, claims)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "/" + "a" * 63])
async def test_only_digests_become_paths(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ConfigError, match="not a SHA-256 digest"):
        await DiskPayloads(tmp_path).retrieve(RETRIEVE, [StorageDriverClaim(claim_data={"sha256": digest})])


async def test_a_folder_that_cannot_be_written_is_an_operators_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        await DiskPayloads(tmp_path / "file" / "payloads").store(STORE, [payload("a")])
    assert len(files(tmp_path)) == 1
