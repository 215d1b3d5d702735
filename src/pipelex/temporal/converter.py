"""How values become payloads: our models as JSON without their defaults, large payloads on disk. Runs on every side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    ExternalStorage,
    JSONPlainPayloadConverter,
)

from pipelex.errors import ConfigError
from pipelex.temporal.failures import application_error
from pipelex.temporal.payload_store import DiskPayloads
from pipelex.values.frozen import Frozen


class FrozenJson(PydanticJSONPlainPayloadConverter):
    """JSON for everything; models of ours leave their defaults out, which keeps histories small."""

    def to_payload(self, value: Any) -> Payload | None:
        """Write one value."""
        if not isinstance(value, Frozen):
            return super().to_payload(value)
        data = value.model_dump_json(exclude_defaults=True, by_alias=True).encode()
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Read one value. One of our models that does not fit fails the run: the other side runs another version."""
        if not (isinstance(type_hint, type) and issubclass(type_hint, Frozen)):
            return super().from_payload(payload, type_hint)
        try:
            return type_hint.model_validate_json(payload.data)
        except ValidationError as error:
            places = sorted({".".join(map(str, item["loc"])) for item in error.errors(include_input=False)})
            raise application_error(
                ConfigError(
                    f"a {type_hint.__name__} cannot be read here: {', '.join(places[:3])} does not fit",
                    hint="submitter and workers run different versions of pipelex: install the same one everywhere",
                )
            ) from None


class FrozenPayloads(CompositePayloadConverter):
    """The converters of the SDK, with JSON replaced by ours."""

    def __init__(self) -> None:
        json = FrozenJson()
        defaults = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(json if isinstance(found, JSONPlainPayloadConverter) else found for found in defaults))


def data_converter(payload_root: Path, threshold_bytes: int = 64 * 1024) -> DataConverter:
    """Make the converter that submitters and workers must share; payloads above the threshold go to `payload_root`."""
    return DataConverter(
        payload_converter_class=FrozenPayloads,
        external_storage=ExternalStorage(drivers=[DiskPayloads(payload_root)], payload_size_threshold=threshold_bytes),
    )
