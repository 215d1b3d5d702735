"""`[temporal.payload_codec_config]` of earlier versions means the payload store of this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelex.config.load import load_settings
from pipelex.temporal.settings import TemporalSettings


def read(codec: dict[str, Any], **more: Any) -> TemporalSettings:
    return TemporalSettings.model_validate({"payload_codec_config": {"is_enabled": True, **codec}, **more})


def test_the_defaults_of_the_former_table() -> None:
    payloads = read({}).payloads
    assert (payloads.method, payloads.threshold_bytes) == ("local", 1024 * 1024)


def test_a_local_folder_and_its_prefix() -> None:
    store = {"method": "local", "local": {"uri_format": "{hash}", "local_storage_path": "shared"}}
    payloads = read({"size_threshold": 1000, "storage_provider_config": store}).payloads
    assert (payloads.threshold_bytes, payloads.path) == (1000, Path("shared/temporal-payloads"))


def test_a_bucket_and_its_prefix() -> None:
    bucket = {"bucket_name": "ours", "region": "eu-west-3", "uri_format": "{hash}", "signed_urls_lifespan_seconds": 60}
    settings = read({"storage_prefix": "p/", "storage_provider_config": {"method": "s3", "s3": bucket}})
    assert settings.payloads.method == "s3"
    assert (settings.payloads.s3.bucket_name, settings.payloads.s3.prefix) == ("ours", "p/")
    assert TemporalSettings.model_validate_json(settings.model_dump_json()) == settings


def test_what_is_off_changes_nothing() -> None:
    settings = TemporalSettings.model_validate({"payload_codec_config": {"size_threshold": 5, "is_enabled": False}})
    assert settings.payloads.threshold_bytes == 64 * 1024
    assert settings.payload_codec_config.warning is None


@pytest.mark.parametrize(
    ("codec", "payloads", "said"),
    [
        ({"size_threshold": 1000}, {"threshold_bytes": 2000}, "payloads.threshold_bytes is '2000'"),
        (
            {"storage_provider_config": {"method": "s3", "s3": {"bucket_name": "a"}}},
            {"method": "s3", "s3": {"bucket_name": "b"}},
            "payloads.s3.bucket_name is 'b'",
        ),
        ({"storage_provider_config": {"method": "in_memory"}}, {}, "other processes could not read"),
        ({"storage_provider_config": {"method": "s3"}}, {}, "s3.bucket_name is not set"),
        ({"size_threshold": "many"}, {}, "size_threshold"),
    ],
)
def test_only_contradictions_are_refused(codec: dict[str, Any], payloads: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(codec, payloads=payloads)
    assert said in str(caught.value)


def test_the_operator_is_told_of_the_new_table(tmp_path: Path) -> None:
    file = tmp_path / ".pipelex" / "pipelex.toml"
    file.parent.mkdir()
    file.write_text("[temporal.payload_codec_config]\nis_enabled = true\nsize_threshold = 5000000\n")
    loaded = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path / "home")})
    assert loaded.settings.temporal.payloads.threshold_bytes == 1024 * 1024
    [warning] = loaded.warnings
    assert "[temporal.payload_codec_config] is read as [temporal.payloads]" in warning
    assert "size_threshold counts as 1048576" in warning
