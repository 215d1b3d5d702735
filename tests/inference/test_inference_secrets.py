"""Where keys come from: the environment, mounted files, the keyring, in that order; and none of them is ever told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelex.config.load import load_settings
from pipelex.errors import CredentialError, FunctionError
from pipelex.inference.backends import Backends
from pipelex.inference.redaction import without_secrets
from pipelex.inference.secrets import Secrets

NAME = "MY_KEY"
KEYRING = """
class errors:
    class KeyringError(Exception):
        pass

def get_password(service, name):
    if name == "LOCKED":
        raise errors.KeyringError("the keyring is locked")
    return {("pipelex", "MY_KEY"): "out-of-the-keyring"}.get((service, name))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of mounted secrets, with one in it."""
    found = tmp_path / "mounted"
    found.mkdir()
    (found / NAME).write_text("out-of-a-file\n")
    return found


@pytest.fixture
def keyring(tmp_path, monkeypatch):
    """A module with the name and the interface of the keyring library."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "keyring.py").write_text(KEYRING)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    yield
    sys.modules.pop("keyring", None)


def backends(tmp_path: Path, secrets: Secrets, written: str) -> Backends:
    (tmp_path / "backends.toml").write_text(f'[house]\nendpoint = "http://house/v1"\napi_key = "{written}"\n')
    (tmp_path / "backends").mkdir(exist_ok=True)
    (tmp_path / "backends" / "house.toml").write_text("[house-large]\n")
    return Backends.load([tmp_path], secrets)


def key(tmp_path: Path, secrets: Secrets, written: str) -> str | None:
    found = backends(tmp_path, secrets, written)
    return found.access(found.route("house-large").backend).api_key


FORMS = ["${MY_KEY}", "${secret:MY_KEY}", "${env:OTHER|secret:MY_KEY}"]


@pytest.mark.parametrize("written", FORMS)
def test_the_environment_goes_before_files_and_they_before_the_keyring(tmp_path, folder, written):
    def ring(name):
        return "out-of-the-keyring" if name == NAME else None

    every = Secrets({NAME: "out-of-the-environment"}, folder=folder, keyring=ring)
    assert key(tmp_path, every, written) == "out-of-the-environment"
    assert key(tmp_path, Secrets({NAME: ""}, folder=folder, keyring=ring), written) == "out-of-a-file"
    (folder / NAME).write_text("\n")
    assert key(tmp_path, Secrets({}, folder=folder, keyring=ring), written) == "out-of-the-keyring"
    assert key(tmp_path, Secrets({}, keyring=ring), written) == "out-of-the-keyring"


def test_what_is_wanted_of_the_environment_is_taken_from_nowhere_else(tmp_path, folder):
    secrets = Secrets({}, folder=folder, keyring=lambda name: "x")
    with pytest.raises(CredentialError) as caught:
        key(tmp_path, secrets, "${env:MY_KEY}")
    assert "keyring" not in caught.value.message
    assert str(folder) not in caught.value.message


def test_what_is_missing_is_named_with_the_places_that_were_searched(tmp_path, folder):
    secrets = Secrets({}, folder=folder, keyring=lambda name: None)
    with pytest.raises(CredentialError) as caught:
        key(tmp_path, secrets, "${env:FIRST|secret:SECOND}")
    for words in ("'house'", "FIRST or SECOND", "environment", "~/.pipelex/.env", f"in the folder {folder}", "keyring"):
        assert words in caught.value.message
    with pytest.raises(CredentialError, match="/nowhere, which does not exist"):
        key(tmp_path, Secrets({}, folder=tmp_path / "nowhere"), "${FIRST}")
    with pytest.raises(CredentialError, match=r"nor in ~/\.pipelex/\.env$"):
        key(tmp_path, Secrets({}), "${FIRST}")


@pytest.mark.parametrize("spoiled", ["text", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, folder, spoiled):
    (folder / NAME).unlink()
    if spoiled == "text":
        (folder / NAME).write_bytes(b"\xff\xfe")
    else:
        (folder / NAME).mkdir()
    found = backends(tmp_path, Secrets({}, folder=folder), "${secret:MY_KEY}")
    backend = found.route("house-large").backend
    with pytest.raises(CredentialError, match="MY_KEY is in a file that cannot be read") as caught:
        found.access(backend)
    assert caught.value.where == str(folder / NAME)
    assert "export MY_KEY=" in (caught.value.hint or "")
    assert not found.has_credentials(backend)


@pytest.mark.parametrize("name", ["../mounted/MY_KEY", "/etc/hostname", "..", ".", ""])
def test_a_name_does_not_lead_out_of_the_folder(folder, name):
    secrets = Secrets({}, folder=folder)
    assert secrets.file(name) is None
    assert secrets.value(f"secret:{name}") is None


def test_a_link_as_kubernetes_mounts_them(folder):
    (folder / "..data").mkdir()
    (folder / "..data" / "LINKED").write_text("linked")
    (folder / "LINKED").symlink_to(folder / "..data" / "LINKED")
    assert Secrets({}, folder=folder).value("LINKED") == "linked"


def test_the_keyring_is_asked_once_for_a_name():
    asked: list[str] = []
    secrets = Secrets({}, keyring=lambda name: asked.append(name))
    assert [secrets.value("A"), secrets.value("secret:A"), secrets.value("A|")] == [None] * 3
    assert asked == ["A"]


def test_a_keyring_that_is_installed_is_asked_and_one_that_is_locked_is_passed_over(keyring):
    secrets = Secrets.here({}, None)
    assert secrets.value("secret:MY_KEY") == "out-of-the-keyring"
    assert secrets.value("secret:LOCKED") is None
    assert "in the keyring" in secrets.places("secret:LOCKED")


def test_what_files_and_the_keyring_gave_is_not_told(tmp_path, folder):
    secrets = Secrets({}, folder=folder, keyring=lambda name: "out-of-the-keyring" if name == "RING" else None)
    found = backends(tmp_path, secrets, "${MY_KEY}${RING}")
    found.access(found.route("house-large").backend)
    error = FunctionError("bad out-of-a-file", hint="renew out-of-the-keyring")
    without_secrets(error, found.secrets())
    assert (error.message, error.hint) == ("bad [key]", "renew [key]")
    assert "out-of" not in repr(secrets)


def test_the_folder_is_a_setting(tmp_path, folder):
    (tmp_path / ".pipelex").mkdir()
    (tmp_path / ".pipelex" / "pipelex.toml").write_text('[secrets]\ndir = "mounted"\n')
    loaded = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)})
    assert loaded.settings.secrets_here(loaded.environ).value(NAME) == "out-of-a-file"


def test_the_key_of_temporal_may_be_mounted_too(tmp_path, folder):
    from pipelex.app.durable import TemporalAccess

    server = 'api_key_method = "secret_provider"\napi_key_id = "MY_KEY"\ntarget_host = "there:7233"\n'
    chosen = f'[temporal.temporal_config]\nselected_server = "far"\n[{SERVERS}.far]\n{server}'
    (tmp_path / ".pipelex").mkdir()
    (tmp_path / ".pipelex" / "pipelex.toml").write_text(f'[secrets]\ndir = "mounted"\n{chosen}')
    loaded = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)})
    assert TemporalAccess(loaded.settings, loaded.environ).profile().key_file == str(folder / NAME)
    given = {**loaded.environ, NAME: "x"}
    assert TemporalAccess(loaded.settings, given).profile().key_file == ""


SERVERS = "temporal.temporal_config.temporal_server_configs"
