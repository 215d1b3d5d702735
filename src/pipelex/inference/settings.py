"""How calls to models, documents and functions are made here. Read where a process starts; pure data, no secrets."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen


class SimulatedSettings(Frozen):
    """How the simulated backend behaves. Rates are shares of calls, from 0 to 1; everything follows from `seed`."""

    seed: str | int = 0
    latency: Duration = timedelta(0)
    jitter: Duration = timedelta(0)
    """The most that is added to the latency."""
    error_rate: float = Field(default=0.0, ge=0, le=1)
    rate_limit_rate: float = Field(default=0.0, ge=0, le=1)
    rate_limit_retry_after: Duration = timedelta(seconds=1)
    input_usd_per_million_tokens: float = Field(default=0.0, ge=0)
    output_usd_per_million_tokens: float = Field(default=0.0, ge=0)


class DocumentSettings(Frozen):
    """Limits on reading documents. Each document is read in a process of its own, `processes` of them at a time."""

    processes: int = Field(default=2, ge=1, le=64)
    page_timeout: Duration = timedelta(minutes=2)
    max_pages: int = Field(default=2000, ge=1)
    max_image_pixels: int = Field(default=40_000_000, ge=1)
    """The most pixels of one rendered page or one image."""
    prompt_dpi: int = Field(default=110, ge=36, le=600)
    """How finely the pages of a document are rendered for a model that reads images only."""
    font: str | None = None
    """A TrueType file to print PDF files with, where the fonts that are found do not have every character."""


class InferenceSettings(Frozen):
    """The `inference` slice of the configuration."""

    request_timeout: Duration = timedelta(minutes=10)
    connect_timeout: Duration = timedelta(seconds=10)
    max_connections: int = Field(default=200, ge=1)
    max_reply_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_prompt_images: int = Field(default=100, ge=0)
    schema_reask_max_attempts: int = Field(default=2, ge=0, le=10)
    """How many times a reply that does not fit its schema is asked again, with the reasons."""
    simulated: SimulatedSettings = SimulatedSettings()
    documents: DocumentSettings = DocumentSettings()
