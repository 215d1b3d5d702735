from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelex.errors import ConfigError, CredentialError
from pipelex.temporal.access import ServerAccess, addressed, read_access
from pipelex.temporal.settings import ServerProfile

CERT = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"
TOML = """
[profile.prod]
address = "toml.example:7233"
namespace = "from-toml"
api_key = "canary"
grpc_meta = { tenant = "a" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text(CERT)
    (tmp_path / "client.pem").write_text(CERT)
    (tmp_path / "client.key").write_text(KEY)
    return tmp_path


def access(folder: Path, environment: dict[str, str] | None = None, **given: Any) -> ServerAccess:
    return read_access(ServerProfile.model_validate(given).below(folder), environment or {})


def refused(folder: Path, environment: dict[str, str] | None = None, **given: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        access(folder, environment, **given)
    assert "canary" not in f"{caught.value.render()} {caught.value.__cause__!r} {caught.value.__context__!r}"
    return caught.value


def test_a_plain_profile_has_neither_tls_nor_key(folder: Path) -> None:
    found = access(folder)
    assert (found.target_host, found.namespace) == ("localhost:7233", "default")
    assert (found.api_key, found.tls, found.metadata) == (None, None, {})


@pytest.mark.parametrize(
    "given",
    [
        {"api_key_method": "env_var", "api_key_id": "THE_KEY"},
        {"server_root_ca_cert": "ca.pem"},
        {"client_cert": "client.pem", "client_private_key": "client.key"},
        {"server_name": "temporal.example"},
        {"tls": True},
    ],
    ids=lambda given: next(iter(given)),
)
def test_tls_is_on_when_something_needs_it(folder: Path, given: dict[str, Any]) -> None:
    assert access(folder, {"THE_KEY": "k"}, **given).tls is not None


def test_a_key_can_be_sent_without_tls_when_asked_for(folder: Path) -> None:
    found = access(folder, {"THE_KEY": "k"}, api_key_method="env_var", api_key_id="THE_KEY", tls=False)
    assert found.tls is None
    assert found.metadata == {"temporal-namespace": "default"}


def test_paths_start_at_the_root_unless_they_are_absolute(folder: Path) -> None:
    relative = ServerProfile(server_root_ca_cert="ca.pem", api_key_method="secret_provider", api_key_id="./key")
    assert relative.below(folder).server_root_ca_cert == str(folder / "ca.pem")
    assert relative.below(folder).api_key_id == str(folder / "key")
    assert ServerProfile(server_root_ca_cert="/etc/ca.pem").below(folder).server_root_ca_cert == "/etc/ca.pem"
    variable = ServerProfile(api_key_method="secret_provider", api_key_id="THE_KEY")
    assert variable.below(folder) == variable


def test_a_secret_is_a_file_or_a_variable(folder: Path) -> None:
    (folder / "key").write_text("from-file\n")
    assert access(folder, api_key_method="secret_provider", api_key_id="./key").api_key == "from-file"
    environment = {"THE_KEY": "from-variable"}
    assert access(folder, environment, api_key_method="secret_provider", api_key_id="THE_KEY").api_key == (
        "from-variable"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("\n", "its file is empty"), ("canary\nmore", "one line"), ("canäry", "plain characters")],
)
def test_a_key_file_that_cannot_be_used(folder: Path, content: str | None, said: str) -> None:
    if content is not None:
        (folder / "key").write_text(content, "utf-8")
    error = refused(folder, api_key_method="secret_provider", api_key_id="./key")
    assert isinstance(error, CredentialError)
    assert said in error.message
    assert error.where == str(folder / "key")


def test_a_variable_that_is_not_set_says_that_files_have_a_slash(folder: Path) -> None:
    error = refused(folder, api_key_method="secret_provider", api_key_id="key")
    assert "key is not set" in error.message
    assert "with a /" in (error.hint or "")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("canary", "not a certificate in PEM form"), (KEY, "not a cert")]
)
def test_a_certificate_file_that_cannot_be_used(folder: Path, content: str | None, said: str) -> None:
    if content is not None:
        (folder / "bad.pem").write_text(content)
    error = refused(folder, server_root_ca_cert="bad.pem")
    assert error.message.startswith("the file of server_root_ca_cert ")
    assert said in error.message
    assert error.where == str(folder / "bad.pem")


def test_a_folder_is_no_key_file(folder: Path) -> None:
    error = refused(folder, client_cert="client.pem", client_private_key=".")
    assert error.message == "the file of client_private_key cannot be read: Is a directory"


def test_an_encrypted_private_key_is_told(folder: Path) -> None:
    (folder / "client.key").write_text(KEY.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"))
    error = refused(folder, client_cert="client.pem", client_private_key="client.key")
    assert error.message == "the file of client_private_key is encrypted"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls": False, "server_root_ca_cert": "ca.pem"}, "server_root_ca_cert is only used with TLS"),
        ({"tls": False, "server_name": "x"}, "server_name is only used with TLS"),
        ({"client_cert": "client.pem"}, "only used together"),
        ({"api_key_method": "env_var"}, "api_key_id is empty"),
    ],
)
def test_settings_that_contradict_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ServerProfile.model_validate(given)


def toml(folder: Path, text: str = TOML) -> dict[str, str]:
    (folder / "temporal.toml").write_text(text)
    return {"TEMPORAL_CONFIG_FILE": str(folder / "temporal.toml")}


def test_temporal_toml_gives_what_is_not_set(folder: Path) -> None:
    found = access(folder, toml(folder), profile="prod")
    assert (found.target_host, found.namespace, found.api_key) == ("toml.example:7233", "from-toml", "canary")
    assert found.tls is not None
    assert found.metadata == {"tenant": "a", "temporal-namespace": "from-toml"}
    assert "canary" not in repr(found)


def test_our_own_keys_win_one_by_one(folder: Path) -> None:
    own = {"namespace": "ours", "api_key_method": "env_var", "api_key_id": "THE_KEY", "server_name": "n.example"}
    found = access(folder, toml(folder) | {"THE_KEY": "ours"}, profile="prod", **own)
    assert (found.target_host, found.namespace, found.api_key) == ("toml.example:7233", "ours", "ours")
    assert found.tls is not None
    assert found.tls.domain == "n.example"
    assert access(folder, toml(folder), profile="prod", api_key_method="none").api_key is None


def test_certificates_are_taken_from_either_place(folder: Path) -> None:
    inline = TOML + f"[profile.prod.tls]\nclient_cert_data = '''{CERT}'''\nclient_key_path = '{folder}/client.key'\n"
    found = access(folder, toml(folder, inline), profile="prod", server_root_ca_cert="ca.pem")
    assert found.tls is not None
    assert (found.tls.client_cert or b"").startswith(b"-----BEGIN CERTIFICATE")
    assert found.tls.client_private_key == KEY.encode()
    assert found.tls.server_root_ca_cert == CERT.encode()
    half = TOML + f"[profile.prod.tls]\nclient_key_path = '{folder}/client.key'\n"
    assert "client_cert is not set" in refused(folder, toml(folder, half), profile="prod").message
    assert access(folder, toml(folder, half), profile="prod", client_cert="client.pem").tls is not None


def test_variables_of_the_sdk_count_and_alone_fill_the_default_profile(folder: Path) -> None:
    environment = toml(folder) | {"TEMPORAL_ADDRESS": "variable.example:7233"}
    assert access(folder, environment, profile="prod").target_host == "variable.example:7233"
    nowhere = {"TEMPORAL_CONFIG_FILE": str(folder / "none.toml"), "TEMPORAL_ADDRESS": "variable.example:7233"}
    assert access(folder, nowhere, profile="default").target_host == "variable.example:7233"
    assert addressed(ServerProfile(profile="default"), nowhere).target_host == "variable.example:7233"


def test_a_profile_that_temporal_toml_lacks(folder: Path) -> None:
    error = refused(folder, toml(folder), profile="prdo")
    assert error.message == "temporal.toml has no profile 'prdo'. Did you mean 'prod'?"
    assert error.where == str(folder / "temporal.toml")
    assert "the file has prod" in (error.hint or "")
    nowhere = refused(folder, {"TEMPORAL_CONFIG_FILE": str(folder / "none.toml")}, profile="prod")
    assert "does not exist" in (nowhere.hint or "")


def test_a_temporal_toml_that_is_damaged_is_not_quoted(folder: Path) -> None:
    error = refused(folder, toml(folder, '[profile.prod]\napi_key = "canary\n'), profile="prod")
    assert "line 2" in error.message
    assert error.where == str(folder / "temporal.toml")
