"""The codec server over real HTTP: what it decodes, and whom it refuses."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.common import RawValue

from pipelex.errors import ConfigError
from pipelex.pipes.requests import TextReply
from pipelex.temporal import codec_server as module
from pipelex.temporal.codec_server import CodecServer
from pipelex.temporal.converter import converter_for
from pipelex.temporal.payload_settings import Payloads as PayloadSettings

UI = "http://localhost:8233"
TOKEN = "canary-token"
KEY = {"KEY_A": base64.b64encode(b"a" * 32).decode()}
SETTINGS = PayloadSettings.model_validate(
    {"threshold_bytes": 2000, "encryption": {"active_key": "a", "keys": {"a": {"env": "KEY_A"}}}}
)


def converter(root: Path, namespace: str = "ours") -> Any:
    return converter_for(SETTINGS, root, environ=KEY, namespace=namespace)


def server(root: Path, **options: Any) -> CodecServer:
    given = {"namespace": "ours", "origins": [UI], "port": 0, **options}
    return CodecServer(lambda name: converter(root, name), **given)


@pytest.fixture
async def codec(tmp_path: Path) -> AsyncIterator[CodecServer]:
    async with server(tmp_path) as running:
        yield running


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[CodecServer]:
    async with server(tmp_path, token=TOKEN) as running:
        yield running


def body(payloads: list[Payload]) -> str:
    return json_format.MessageToJson(Payloads(payloads=payloads))


async def post(codec: CodecServer, text: str | bytes, path: str = "/decode", **headers: str) -> httpx2.Response:
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx2.AsyncClient() as client:
        return await client.post(codec.address + path, content=text, headers=sent)


def files_of(root: Path) -> list[Path]:
    return list(root.rglob("*/*"))


async def encoded(root: Path, *replies: TextReply, namespace: str = "ours") -> list[Payload]:
    found: list[Payload] = await converter(root, namespace).encode(replies)
    return found


async def test_payloads_are_decrypted_and_fetched(codec: CodecServer, tmp_path: Path) -> None:
    small, large = TextReply(text="small"), TextReply(text="large" * 1000)
    sent = await encoded(tmp_path, small, large)
    answer = await post(codec, body(sent), origin=UI)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == UI
    found = json_format.Parse(answer.content, Payloads()).payloads
    assert [json.loads(item.data) for item in found] == [{"text": "small"}, {"text": "large" * 1000}]
    assert [item.metadata["encoding"] for item in found] == [b"json/plain"] * 2


async def test_the_namespace_of_the_request_counts(codec: CodecServer, tmp_path: Path) -> None:
    sent = await encoded(tmp_path, TextReply(text="hello"), namespace="theirs")
    assert (await post(codec, body(sent), x_namespace="theirs")).status_code == 200
    refused = await post(codec, body(sent))
    assert refused.status_code == 422
    assert "cannot be decrypted here" in refused.json()["message"]


async def test_payloads_are_encoded_as_runs_do(codec: CodecServer, tmp_path: Path) -> None:
    plain = converter(tmp_path).payload_converter.to_payloads([TextReply(text="hello")])
    answer = await post(codec, body(plain), "/encode")
    [made] = json_format.Parse(answer.content, Payloads()).payloads
    assert made.metadata["encoding"] == b"binary/encrypted"
    [found] = await converter(tmp_path).decode([made], [RawValue])
    assert found.payload == plain[0]


async def test_a_payload_that_is_gone_is_told(codec: CodecServer, tmp_path: Path) -> None:
    sent = await encoded(tmp_path, TextReply(text="large" * 1000))
    for file in files_of(tmp_path):
        file.unlink()
    answer = await post(codec, body(sent))
    assert answer.status_code == 422
    assert "is not in" in answer.json()["message"]


async def preflight(codec: CodecServer, origin: str) -> httpx2.Response:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    async with httpx2.AsyncClient() as client:
        return await client.options(codec.address + "/decode", headers=headers)


async def test_browsers_ask_first(guarded: CodecServer) -> None:
    allowed = await preflight(guarded, UI)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == UI
    assert "x-namespace" in allowed.headers["access-control-allow-headers"]
    refused = await preflight(guarded, "https://evil.example")
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("headers", "text", "status"),
    [
        ({"origin": "https://evil.example"}, '{"payloads": []}', 403),
        ({"origin": "null"}, '{"payloads": []}', 403),
        ({"host": "evil.example"}, '{"payloads": []}', 403),
        ({"host": "evil.example:8081"}, '{"payloads": []}', 403),
        ({"content_type": "text/plain"}, '{"payloads": []}', 415),
        ({}, "{", 400),
        ({}, b"\xff\xfe", 400),
        ({}, '{"payloads": [3]}', 400),
        ({}, '{"payloads": []}', 200),
        ({"host": "localhost:1"}, '{"payloads": []}', 200),
    ],
)
async def test_who_and_what_is_refused(
    codec: CodecServer, headers: Mapping[str, str], text: str | bytes, status: int
) -> None:
    answer = await post(codec, text, **headers)
    assert answer.status_code == status
    assert status == 200 or "access-control-allow-origin" not in answer.headers or headers.get("origin") == UI


async def test_other_paths_and_methods(codec: CodecServer) -> None:
    assert (await post(codec, "{}", "/")).status_code == 404
    async with httpx2.AsyncClient() as client:
        assert (await client.get(codec.address + "/decode")).status_code == 405


async def test_a_token_is_needed_where_one_is_set(
    guarded: CodecServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = body(await encoded(tmp_path, TextReply(text="hello")))
    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = await post(guarded, sent, **header)
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    # With a token, names other than localhost are fine: a proxy passes them on.
    answer = await post(guarded, sent, authorization=f"Bearer {TOKEN}", host="codec.example")
    assert answer.status_code == 200
    assert TOKEN not in caplog.text
    assert "hello" not in caplog.text


async def test_the_body_of_whoever_may_not_ask_is_not_read(guarded: CodecServer) -> None:
    host, _, port = guarded.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /decode HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    assert (await reader.read()).endswith(b"}")
    writer.close()


async def test_who_waits_before_sending_is_told_to_go_on(codec: CodecServer) -> None:
    host, _, port = codec.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    writer.write(b"POST /decode HTTP/1.1\r\nhost: localhost\r\n" + head)
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    await reader.readline()
    writer.write(b"{}")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_too_much_is_not_read(codec: CodecServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BODY_BYTES", 1000)
    answer = await post(codec, "x" * 1001)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_only_this_machine_is_served_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would decrypt for everybody") as caught:
        server(tmp_path, host="0.0.0.0")
    assert "--auth-token-env" in (caught.value.hint or "")
    assert server(tmp_path, host="0.0.0.0", token=TOKEN).address == "http://0.0.0.0:0"
    assert server(tmp_path, host="::1").address == "http://[::1]:0"


async def test_a_port_that_is_taken_is_told(codec: CodecServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        async with server(tmp_path, port=int(codec.address.rpartition(":")[2])):
            pass


async def test_a_token_may_have_any_characters(tmp_path: Path) -> None:
    async with server(tmp_path, token="clé-✓") as codec:
        sent = {"content-type": "application/json", "authorization": "Bearer clé-✓".encode()}
        async with httpx2.AsyncClient() as client:
            answer = await client.post(f"{codec.address}/decode", content="{}", headers=sent)
            assert answer.status_code == 200
            sent["authorization"] = "Bearer clé-x".encode()
            assert (await client.post(f"{codec.address}/decode", content="{}", headers=sent)).status_code == 401
