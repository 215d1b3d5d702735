"""How values become payloads: models of ours without their defaults, sealed, stored when large. On every side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    ExternalStorage,
    JSONPlainPayloadConverter,
    StorageDriverSelectContext,
)

from pipelex.errors import ConfigError, InputError
from pipelex.library.crate import CrateSlice
from pipelex.pipes.port import PipeCall
from pipelex.storage.objects import open_objects
from pipelex.storage.settings import Method
from pipelex.temporal.failures import application_error
from pipelex.temporal.payload_codec import LARGEST_BYTES, SHARED, PayloadSeal, load_keys
from pipelex.temporal.payload_settings import Payloads
from pipelex.temporal.payload_store import BUCKET_DRIVER, DISK_DRIVER, StoredPayloads
from pipelex.values.frozen import Frozen

_SHARED_BYTES = 1024
"""A reference is a quarter of that, in each of the two histories that a child's start is written to."""
_CHILD_CALL_BYTES = 16 * 1024
"""The children of a whole batch window start in one message, which the server takes up to 4 MiB."""


class FrozenJson(PydanticJSONPlainPayloadConverter):
    """JSON for everything; models of ours leave their defaults out, which keeps histories small."""

    def to_payload(self, value: Any) -> Payload | None:
        """Write one value."""
        if not isinstance(value, Frozen):
            return super().to_payload(value)
        data = value.model_dump_json(exclude_defaults=True, by_alias=True).encode()
        if len(data) > LARGEST_BYTES:
            # Told here, in the code of the run: refused later, it would be a task that is tried again for ever.
            mib = 1024 * 1024
            raise application_error(
                InputError(
                    f"a {type(value).__name__} of {len(data) // mib} MiB is too large to travel:"
                    f" {LARGEST_BYTES // mib} MiB is the most",
                    hint="give what is large as files: documents and images are stored, and travel as references",
                )
            )
        metadata = {"encoding": self.encoding.encode()}
        if len(data) >= _most_inline(value):
            metadata[SHARED] = b"1"
        return Payload(metadata=metadata, data=data)

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


def _most_inline(value: Frozen) -> float:
    """From how many bytes on a value is stored although it is below the threshold: what goes to many children."""
    if isinstance(value, CrateSlice):
        return _SHARED_BYTES
    return _CHILD_CALL_BYTES if isinstance(value, PipeCall) and value.path else math.inf


class FrozenPayloads(CompositePayloadConverter):
    """The converters of the SDK, with JSON replaced by ours."""

    def __init__(self) -> None:
        json = FrozenJson()
        defaults = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(json if isinstance(found, JSONPlainPayloadConverter) else found for found in defaults))


def data_converter(payload_root: Path, threshold_bytes: int = 64 * 1024) -> DataConverter:
    """Make the converter of the default settings: payloads above the threshold go to the folder `payload_root`."""
    return converter_for(Payloads(threshold_bytes=threshold_bytes), payload_root)


def converter_for(
    payloads: Payloads,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    namespace: str = "default",
) -> DataConverter:
    """Make the converter that submitters, workers and codec servers of a namespace must share.

    `folder` is where payloads are that are in no bucket. Both drivers are always known: what a run started with the
    other one is read where it can be, and told apart where not. Raises ConfigError when a key cannot be read.
    """
    given = os.environ if environ is None else environ
    keys = load_keys(payloads.encryption, given)

    def driver(name: str, method: Method | None) -> StoredPayloads:
        if method is None:
            return StoredPayloads(name, None)
        s3, gcp = payloads.s3, payloads.gcp
        return StoredPayloads(name, open_objects(method, folder, s3, gcp, environ=given, setting="[temporal.payloads]"))

    disk, bucket = driver(DISK_DRIVER, "local"), driver(BUCKET_DRIVER, payloads.bucket)
    chosen = disk if payloads.method == "local" else bucket
    is_encrypted = payloads.encryption.active_in(namespace) is not None

    def select(context: StorageDriverSelectContext, payload: Payload) -> StoredPayloads | None:
        return chosen if SHARED in payload.metadata or payload.ByteSize() >= payloads.threshold_bytes else None

    failures = DefaultFailureConverterWithEncodedAttributes if is_encrypted else DefaultFailureConverter
    return DataConverter(
        payload_converter_class=FrozenPayloads,
        payload_codec=PayloadSeal(payloads, keys, namespace),
        failure_converter_class=failures,
        external_storage=ExternalStorage(
            drivers=[disk, bucket],
            driver_selector=select,
            payload_size_threshold=min(_SHARED_BYTES, payloads.threshold_bytes),
        ),
    )


def store_of(converter: DataConverter) -> StoredPayloads | None:
    """Where a converter of ours puts large payloads; None for any other converter."""
    storage = converter.external_storage
    if storage is None or storage.driver_selector is None:
        return None
    driver = storage.driver_selector(StorageDriverSelectContext(), Payload(metadata={SHARED: b"1"}))
    return driver if isinstance(driver, StoredPayloads) else None


async def check_store(converter: DataConverter) -> None:
    """Check that large payloads can be written and read here. Raises ConfigError or UnreachableError."""
    if (store := store_of(converter)) is not None:
        await store.check()
