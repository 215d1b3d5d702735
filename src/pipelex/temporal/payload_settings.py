"""`[temporal.payloads]`: what is kept out of histories, and where. No SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from pipelex.values.frozen import Frozen


class Payloads(Frozen):
    """`[temporal.payloads]`: payloads of `threshold_bytes` or more are kept under `path`, not in histories.

    The server refuses payloads above 2 MiB; a relative path is relative to the project.
    """

    threshold_bytes: Annotated[int, Field(gt=0, le=1024 * 1024)] = 64 * 1024
    path: Path = Path(".pipelex/temporal-payload-store")


class PayloadCodecConfig(Frozen):
    """`[temporal.payload_codec_config]`: the former way to keep large payloads out of histories."""

    is_enabled: bool = False
    size_threshold: Annotated[int, Field(gt=0)] = 1024 * 1024
    storage_prefix: str = "temporal-payloads/"
    storage_provider_config: dict[str, Any] = {}

    @model_validator(mode="after")
    def _is_off(self) -> PayloadCodecConfig:
        if self.is_enabled:
            raise ValueError(
                "the payload codec is not supported by this version; large payloads are always kept out of"
                " histories, see [temporal.payloads]. Set is_enabled = false"
            )
        return self
