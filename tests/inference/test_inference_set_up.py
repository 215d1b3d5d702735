"""What it takes to reach a provider: keys, roles, versions, extras, and what is prepared before the first call."""

import json
import sys

import pytest
from test_inference_adapters import ADAPTERS, CANARY, Bench, scripted

from pipelex.errors import ConfigError
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ModelSetting, TextRequest
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubAnswer, StubProvider


@pytest.fixture
async def stub():
    async with StubProvider() as server:
        yield server


async def test_keys_of_aws_sign_each_request(tmp_path, stub):
    keys = {
        "AWS_BEARER_TOKEN_BEDROCK": "",
        "AWS_ACCESS_KEY_ID": "AKIAFORTESTS12345678",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_SESSION_TOKEN": "of-the-session",
    }
    bench = Bench(tmp_path, stub, more=keys)
    assert (await bench.text(ADAPTERS[3])).text == "ok"
    headers = stub.requests[-1].headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFORTESTS12345678/")
    assert "/us-east-1/bedrock/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "of-the-session"
    await bench.performer.aclose()


async def test_a_bedrock_without_any_credentials_says_so(tmp_path, stub, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    bench = Bench(tmp_path, stub, more={"AWS_BEARER_TOKEN_BEDROCK": ""})
    with pytest.raises(ConfigError, match="no AWS credentials") as caught:
        await bench.text(ADAPTERS[3])
    assert "AWS_BEARER_TOKEN_BEDROCK" in caught.value.hint
    await bench.performer.aclose()


async def test_vertex_is_called_with_the_token_of_a_service_account(tmp_path, stub):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    granted = {"access_token": "granted", "expires_in": 3600, "token_type": "Bearer"}

    class Tokens(StubProvider):
        def knows(self, path):
            return path == "/token"

        def decoded(self, body):
            return {"form": body.decode()}

    async with Tokens(scripted(StubAnswer(body=granted))) as tokens:
        account = {
            "type": "service_account",
            "client_email": "worker@example.invalid",
            "private_key": pem,
            "token_uri": f"{tokens.root_url}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        more = {
            "GCP_PROJECT_ID": "proj",
            "GCP_LOCATION": "europe-west1",
            "GCP_CREDENTIALS_FILE_PATH": str(tmp_path / "account.json"),
        }
        bench = Bench(tmp_path, stub, more=more)
        (tmp_path / "backends.toml").write_text(f'[vertexai]\nendpoint = "{stub.root_url}"\n')
        bench.performer = Performer(InferenceSettings(), Deck.load([tmp_path], bench.environ), bench.blobs)
        model = ModelSetting(handle="gemini-3.8-flash", backend="vertexai")
        reply = await bench.performer.perform(TextRequest(model=model, prompt="hi"))
    assert reply.text == "ok"
    request = stub.requests[-1]
    where = "projects/proj/locations/europe-west1/publishers/google/models/gemini-3.8-flash:generateContent"
    assert request.path.endswith(where)
    assert request.headers["authorization"] == "Bearer granted"
    await bench.performer.aclose()


async def test_an_azure_without_its_version_is_explained(tmp_path, stub):
    bench = Bench(tmp_path, stub, more={"AZURE_API_VERSION": ""})
    with pytest.raises(ConfigError, match="needs an api_version") as caught:
        await bench.text(ADAPTERS[5])
    assert "AZURE_API_VERSION" in caught.value.hint
    await bench.performer.aclose()


@pytest.mark.parametrize(
    ("adapter", "module"),
    [
        (ADAPTERS[1], "anthropic"),
        (ADAPTERS[2], "pydantic_ai.models.google"),
        (ADAPTERS[3], "boto3"),
    ],
    ids=str,
)
async def test_an_extra_that_is_missing_is_named(tmp_path, stub, monkeypatch, adapter, module):
    bench = Bench(tmp_path, stub)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match="needs the extra") as caught:
        await bench.text(adapter)
    assert caught.value.hint.startswith('pip install "pipelex[')
    assert not caught.value.is_retryable


async def test_warming_builds_what_has_a_key_and_nothing_else(tmp_path, stub):
    bench = Bench(tmp_path, stub)
    await bench.performer.warm()
    built = {name for name, _ in bench.performer._providers}
    assert built == {"anthropic", "google", "bedrock"}
    bare = Performer(InferenceSettings(), Deck.load([], {"OPENAI_API_KEY": "k"}), LocalBlobs(tmp_path))
    await bare.warm()
    assert bare._providers == {}
    assert stub.calls == 0
    await bench.performer.aclose()
