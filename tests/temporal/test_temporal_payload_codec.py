"""Payloads that are compressed and encrypted: readable with the keys, opaque without, stored once."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from pipelex.errors import ConfigError, CredentialError, InputError, PipelexError
from pipelex.pipes.requests import TextReply
from pipelex.temporal import converter as converter_module
from pipelex.temporal.converter import FrozenPayloads, converter_for
from pipelex.temporal.failures import application_error, raised
from pipelex.temporal.payload_settings import Payloads

CANARY = "canary-7731"
KEYS = {f"KEY_{name}": base64.b64encode(bytes([number]) * 32).decode() for number, name in enumerate("ABC")}


def settings(active: str | None = "a", *, keys: str = "ab", **more: Any) -> Payloads:
    named = {name: {"env": f"KEY_{name.upper()}"} for name in keys}
    encryption = {"active_key": active, "keys": named, **more.pop("encryption", {})}
    return Payloads.model_validate({"threshold_bytes": 2000, "encryption": encryption, **more})


def converter(root: Path, found: Payloads | None = None, namespace: str = "ours") -> DataConverter:
    return converter_for(found or settings(), root, environ=KEYS, namespace=namespace)


def stored(root: Path) -> bytes:
    return b"".join(file.read_bytes() for file in root.rglob("*/*"))


async def failure_of(doing: Any) -> PipelexError:
    with pytest.raises(ApplicationError) as caught:
        await doing
    assert caught.value.non_retryable
    return raised(caught.value)


def reply(size: int = 10) -> TextReply:
    return TextReply(text=CANARY + "x" * size)


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("size", [10, 1500, 300_000])
async def test_what_is_encrypted_comes_back(tmp_path: Path, compression: str, size: int) -> None:
    given = converter(tmp_path, settings(compression=compression))
    sent = await given.encode([reply(size)])
    assert await given.decode(sent, [TextReply]) == [reply(size)]
    everything = sent[0].SerializeToString() + stored(tmp_path)
    assert CANARY.encode() not in everything


async def test_small_payloads_never_look_alike_and_large_ones_are_stored_once(tmp_path: Path) -> None:
    one, other = converter(tmp_path), converter(tmp_path)
    small = [(await given.encode([reply()]))[0].data for given in (one, one, other)]
    assert len(set(small)) == 3
    for given in (one, other, one):
        await given.encode([reply(5000)])
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 1


async def test_another_key_or_namespace_makes_other_objects(tmp_path: Path) -> None:
    await converter(tmp_path).encode([reply(5000)])
    await converter(tmp_path, settings("b")).encode([reply(5000)])
    await converter(tmp_path, namespace="theirs").encode([reply(5000)])
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 3


async def test_keys_rotate(tmp_path: Path) -> None:
    before = await converter(tmp_path, settings("a", keys="a")).encode([reply(), reply(5000)])
    after = converter(tmp_path, settings("b"))
    assert await after.decode(before, [TextReply] * 2) == [reply(), reply(5000)]
    assert (await after.encode([reply()]))[0].metadata["pipelex-key"] == b"b"
    off = converter(tmp_path, settings(None))
    assert await off.decode(before, [TextReply] * 2) == [reply(), reply(5000)]
    assert (await off.encode([reply()]))[0].metadata["encoding"] == b"json/plain"


async def test_each_namespace_may_have_its_key(tmp_path: Path) -> None:
    found = settings("a", encryption={"namespaces": {"theirs": {"active_key": "b"}}})
    names = [(await converter(tmp_path, found, name).encode([reply()]))[0] for name in ("ours", "theirs")]
    assert [item.metadata["pipelex-key"] for item in names] == [b"a", b"b"]


async def test_an_unknown_key_is_named_with_the_place_to_add_it(tmp_path: Path) -> None:
    sent = await converter(tmp_path).encode([reply()])
    error = await failure_of(converter(tmp_path, settings("b", keys="b")).decode(sent, [TextReply]))
    assert isinstance(error, ConfigError)
    assert error.message == "a payload is encrypted with the key 'a', which this process does not have"
    assert "[temporal.payloads.encryption.keys.a]" in (error.hint or "")


async def test_a_payload_is_bound_to_its_key_its_namespace_and_its_content(tmp_path: Path) -> None:
    [sent] = await converter(tmp_path).encode([reply()])
    error = await failure_of(converter(tmp_path, namespace="theirs").decode([sent], [TextReply]))
    assert "cannot be decrypted here" in error.message
    assert "'theirs'" in (error.hint or "")
    renamed = Payload(metadata={**sent.metadata, "pipelex-key": b"b"}, data=sent.data)
    altered = Payload(metadata=sent.metadata, data=sent.data[:-1] + bytes([sent.data[-1] ^ 1]))
    reseeded = Payload(metadata=sent.metadata, data=bytes([sent.data[0] ^ 1]) + sent.data[1:])
    cut = Payload(metadata=sent.metadata, data=sent.data[:20])
    for wrong in (renamed, altered, reseeded, cut):
        error = await failure_of(converter(tmp_path).decode([wrong], [TextReply]))
        assert "cannot be decrypted here" in error.message


async def test_failures_show_neither_messages_nor_reports(tmp_path: Path) -> None:
    given, failure = converter(tmp_path), Failure()
    await given.encode_failure(application_error(InputError(CANARY, hint=CANARY)), failure)
    assert CANARY.encode() not in failure.SerializeToString()
    found = raised(await given.decode_failure(failure))
    assert (type(found), found.message, found.hint) == (InputError, CANARY, CANARY)


async def test_without_the_settings_payloads_are_readable(tmp_path: Path) -> None:
    [sent] = await converter(tmp_path, Payloads()).encode([reply()])
    assert CANARY.encode() in sent.data


async def test_small_payloads_are_not_compressed_and_large_ones_shrink(tmp_path: Path) -> None:
    given = converter(tmp_path, Payloads(compression="zlib"))
    small, large = await given.encode([reply(), reply(60_000)])
    assert small.metadata["encoding"] == b"json/plain"
    assert large.metadata["encoding"] == b"binary/zlib"
    assert large.ByteSize() < 1000
    damaged = Payload(metadata=large.metadata, data=large.data[:-9])
    assert "damaged" in (await failure_of(given.decode([damaged], [TextReply]))).message


@pytest.mark.parametrize("text", ["", "c2hvcnQ=", "not base64 at all, but long enough to be a key", "A" * 45])
def test_a_key_that_is_none_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converter_for(settings(keys="a"), tmp_path, environ={"KEY_A": text})
    assert "KEY_A" in caught.value.message
    assert not text or text not in caught.value.render()


def test_keys_may_be_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    found = Payloads.model_validate({"encryption": {"active_key": "a", "keys": {"a": {"file": "key"}}}})
    with pytest.raises(CredentialError, match="is missing or empty"):
        converter_for(found.below(tmp_path), tmp_path, environ={})
    file.write_text(KEYS["KEY_A"] + "\n")
    assert converter_for(found.below(tmp_path), tmp_path, environ={}).payload_codec is not None


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError) as caught:
        converter(tmp_path)
    assert caught.value.hint == 'pip install "pipelex[encryption]"'


@pytest.mark.parametrize(
    ("encryption", "said"),
    [
        ({"active_key": "b", "keys": {"a": {"env": "X"}}}, "names the key 'b', which is not under `keys`"),
        ({"keys": {"a": {}}}, "exactly one of them"),
        ({"keys": {"a": {"env": "X", "file": "y"}}}, "exactly one of them"),
        ({"namespaces": {"n": {"active_key": "z"}}}, r"keys\.z\]"),
    ],
)
def test_settings_of_keys_that_do_not_fit(encryption: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Payloads.model_validate({"encryption": encryption})


def test_a_value_that_no_store_should_take_is_refused_where_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converter_module, "LARGEST_BYTES", 2 * 1024 * 1024)
    with pytest.raises(ApplicationError) as caught:
        FrozenPayloads().to_payload(TextReply(text="x" * (3 * 1024 * 1024)))
    assert caught.value.non_retryable
    assert raised(caught.value).message == "a TextReply of 3 MiB is too large to travel: 2 MiB is the most"
