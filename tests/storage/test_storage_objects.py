"""Objects in folders and buckets behave alike; what goes wrong with a store is told without its credentials."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from object_servers import BUCKET, CREDENTIALS, FakeGcs, fake_gcs, fake_s3, s3_keys
from pipelex.errors import ConfigError, DocumentError, PipelexError, ProviderDownError
from pipelex.storage.blobs import Objects
from pipelex.storage.objects import BucketObjects, open_blobs, open_objects
from pipelex.storage.settings import GcpBucket, S3Bucket, StorageSettings

KEY = "ab/abcd"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with fake_s3() as endpoint:
        yield endpoint


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as state:
        yield state


def s3_bucket(endpoint: str, prefix: str = "", name: str = BUCKET) -> S3Bucket:
    return S3Bucket(bucket_name=name, region="us-east-1", prefix=prefix, endpoint=endpoint)


def in_s3(bucket: S3Bucket, environ: dict[str, str] | None = None) -> Objects:
    given = CREDENTIALS if environ is None else environ
    return open_objects("s3", Path(), bucket, GcpBucket(), environ=given, setting="[storage]")


def in_gcs(endpoint: str, name: str = BUCKET) -> Objects:
    bucket = GcpBucket(bucket_name=name, prefix="blobs", endpoint=endpoint)
    return open_objects("gcp", Path(), S3Bucket(), bucket, environ={}, setting="[storage]")


Stores = Callable[[str], Objects]


@pytest.fixture
def stores(s3: str, gcs: FakeGcs, tmp_path: Path) -> Stores:
    made = {
        "local": lambda: open_objects("local", tmp_path, S3Bucket(), GcpBucket(), environ={}, setting="[storage]"),
        "s3": lambda: in_s3(s3_bucket(s3, prefix=f"/{tmp_path.name}/")),
        "gcp": lambda: in_gcs(gcs.endpoint),
    }
    return lambda method: made[method]()


METHODS = pytest.mark.parametrize("method", ["local", "s3", "gcp"])


@METHODS
async def test_what_is_put_is_there_for_everybody_and_only_once(stores: Stores, method: str) -> None:
    data = bytes(range(256)) * 40_000
    first, second = stores(method), stores(method)
    assert await first.get(KEY) is None
    for store in (first, second, first):
        await store.put(KEY, data)
    assert await second.get(KEY) == data


@METHODS
async def test_an_object_cut_short_is_written_again(stores: Stores, method: str) -> None:
    store = stores(method)
    await store.put(KEY, b"wh")
    await store.put(KEY, b"whole")
    assert await store.get(KEY) == b"whole"


@METHODS
async def test_blobs_are_named_and_checked_by_their_digest(stores: Stores, method: str) -> None:
    from pipelex.storage.blobs import StoredBlobs, parse_reference

    blobs = StoredBlobs(stores(method))
    reference = await blobs.put(b"%PDF-1.7 x", mime_type="application/pdf")
    assert reference == await blobs.put(b"%PDF-1.7 x", mime_type=None, filename="b.dat")
    assert await blobs.get(reference) == b"%PDF-1.7 x"
    other = parse_reference(f"pipelex-storage://{'0' * 64}.pdf")
    with pytest.raises(DocumentError, match="is not here") as caught:
        await blobs.get(str(other))
    assert blobs.objects.place in caught.value.render()
    await blobs.objects.put(f"00/{other.digest}.pdf", b"something else")
    with pytest.raises(DocumentError, match="altered"):
        await blobs.get(str(other))


async def test_s3_keys_are_digests_under_the_prefix(s3: str) -> None:
    settings = StorageSettings(method="s3", s3=s3_bucket(s3, prefix="team/blobs"))
    blobs = open_blobs(settings, Path(), CREDENTIALS)
    reference = await blobs.put(b"hello", mime_type="text/plain")
    name = reference.removeprefix("pipelex-storage://")
    assert s3_keys(s3, "team/") == [f"team/blobs/{name[:2]}/{name}"]


async def test_an_object_that_is_there_is_not_sent_again_while_it_is_young(gcs: FakeGcs) -> None:
    store = in_gcs(gcs.endpoint)
    await store.put(KEY, b"data")
    gcs.asked.clear()
    await store.put(KEY, b"data")
    assert gcs.asked == [f"HEAD blobs/{KEY}"]


async def test_two_processes_may_put_the_same_at_once(stores: Stores) -> None:
    for method in ("s3", "gcp"):
        made = [stores(method) for _ in range(5)]
        await asyncio.gather(*(store.put("at/once", b"data") for store in made))
        assert await made[0].get("at/once") == b"data"


async def test_an_object_that_is_used_again_gets_a_new_date_for_rules_that_delete_by_age() -> None:
    from obstore.store import MemoryStore

    memory = MemoryStore()
    young = BucketObjects("s3://b", lambda: memory)
    old = BucketObjects("s3://b", lambda: memory, refresh_after=timedelta(0))
    await young.put(KEY, b"data")
    before = memory.head(KEY)["last_modified"]
    await young.put(KEY, b"data")
    assert memory.head(KEY)["last_modified"] == before
    await old.put(KEY, b"data")
    assert memory.head(KEY)["last_modified"] > before


async def failure_of(store: Objects) -> PipelexError:
    with pytest.raises(PipelexError) as caught:
        await store.put(KEY, b"data")
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in caught.value.render()
    assert CREDENTIALS["AWS_ACCESS_KEY_ID"] not in caught.value.render()
    return caught.value


async def test_a_bucket_that_does_not_exist(s3: str, gcs: FakeGcs) -> None:
    for store in (in_s3(s3_bucket(s3, name="no-such-bucket")), in_gcs(gcs.endpoint, name="no-such-bucket")):
        error = await failure_of(store)
        assert isinstance(error, ConfigError)
        assert "there is no bucket at" in error.message
        assert "no-such-bucket" in error.message


async def test_refused_credentials_are_an_operators_error(gcs: FakeGcs) -> None:
    for gcs.status in (401, 403):
        error = await failure_of(in_gcs(gcs.endpoint))
        assert isinstance(error, ConfigError)
        assert "refuses the credentials" in error.message
        assert "[storage.gcp]" in (error.hint or "")


async def test_a_store_that_is_away_may_be_tried_again() -> None:
    bucket = s3_bucket("http://127.0.0.1:1")
    error = await failure_of(in_s3(bucket))
    assert isinstance(error, ProviderDownError)
    assert error.is_retryable
    assert f"s3://{BUCKET}" in error.message


async def test_credentials_come_from_the_variables_that_the_settings_name(gcs: FakeGcs, s3: str) -> None:
    bucket = s3_bucket(s3).model_copy(update={"access_key_id_env": "OURS_ID", "secret_access_key_env": "OURS_KEY"})
    store = in_s3(bucket, {"OURS_ID": "a", "OURS_KEY": "b"})
    await store.put("named/credentials", b"data")
    assert s3_keys(s3, "named/") == ["named/credentials"]


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    for store, extra in ((in_s3(s3_bucket("")), "s3"), (in_gcs(""), "gcs")):
        with pytest.raises(ConfigError, match="obstore is not installed") as caught:
            await store.get(KEY)
        assert caught.value.hint == f'pip install "pipelex[{extra}]"'


def test_the_former_spelling_is_read() -> None:
    former = {
        "method": "s3",
        "uri_format": "{primary_id}/{secondary_id}/{hash}.{extension}",
        "local": {"uri_format": "{hash}.{extension}", "local_storage_path": "files"},
        "s3": {
            "uri_format": "{hash}",
            "bucket_name": "ours",
            "region": "eu-west-3",
            "signed_urls_lifespan_seconds": "disabled",
        },
        "gcp": {"uri_format": "{hash}", "bucket_name": "", "project_id": "", "signed_urls_lifespan_seconds": 3600},
    }
    settings = StorageSettings.model_validate(former)
    assert (settings.s3.bucket_name, settings.s3.region, settings.folder) == ("ours", "eu-west-3", "files")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "s3"}, "s3.bucket_name is not set"),
        ({"method": "gcp", "s3": {"bucket_name": "x"}}, "gcp.bucket_name is not set"),
        ({"local_storage_path": "a", "local": {"local_storage_path": "b"}}, "given twice"),
        ({"method": "in_memory"}, "'local', 's3' or 'gcp'"),
    ],
)
def test_settings_that_name_no_store_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        StorageSettings.model_validate(given)
