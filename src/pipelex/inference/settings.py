"""How calls to models, documents and functions are made here. Read where a process starts; pure data, no secrets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipelex.pipes.rehearsal import Behaviour
from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen


class SecretSettings(Frozen):
    """Where secrets are looked up that the environment does not have.

    `dir` is a folder with a file for each, named after the secret; `/run/secrets`, where it exists, unless set.
    """

    dir: Path | None = None
    """The folder of the files."""


class SimulatedSettings(Behaviour):
    """How the simulated backend behaves; everything follows from `seed`, the request and the attempt.

    `handles` maps a model handle, or a pattern such as `claude-*`, to what is different for it; the handle itself
    goes before patterns, and of patterns the first. A file for `--simulate FILE.toml` holds this table.
    """

    seed: str | int = 0
    """Another seed, another sequence of errors and latencies."""
    handles: dict[str, Behaviour] = {}


class CacheSettings(Frozen):
    """The reply cache, for development: what a model answered once, to the same request, it is not asked again.

    `--cache` and `--no-cache` go before `is_enabled`. Replies are kept as they are, in the clear, under `path`.
    """

    is_enabled: bool = False
    """Whether replies are kept and used again."""
    ttl: Duration = timedelta(days=7)
    """How long a reply may be used."""
    path: Path = Path(".pipelex/cache")
    """The folder of the replies."""


class DocumentSettings(Frozen):
    """Limits on reading documents. Each is read in a process of its own, or in several when its pages take long."""

    processes: int | None = Field(default=None, ge=1, le=64)
    """The most processes that read documents at a time; one per core unless set."""
    page_timeout: Duration = timedelta(minutes=2)
    """How long one page may take to read."""
    max_pages: int = Field(default=2000, ge=1)
    """The most pages of one document."""
    max_image_pixels: int = Field(default=40_000_000, ge=1)
    """The most pixels of one rendered page or one image."""
    max_image_bytes: int = Field(default=30 * 1024 * 1024, ge=1024)
    """The largest image file that is read."""
    max_unpacked_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """The most bytes that a Word document may unpack to."""
    max_memory_bytes: int = Field(default=2 * 1024 * 1024 * 1024, ge=256 * 1024 * 1024)
    """The most memory of a process that reads a document, where the system can limit it."""
    ocr: Literal["auto", "off"] = "auto"
    """Whether pages without a text layer, and images, are read with tesseract."""
    ocr_languages: str = Field(default="eng", pattern=r"^[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*$")
    """The languages of the pages, as tesseract calls them: `eng+deu`."""
    prompt_dpi: int = Field(default=110, ge=36, le=600)
    """How finely the pages of a document are rendered for a model that reads images only."""
    font: str | None = None
    """A TrueType file to print PDF files with, where the fonts that are found do not have every character."""


class InferenceSettings(Frozen):
    """The `inference` slice of the configuration."""

    request_timeout: Duration = timedelta(minutes=10)
    """How long one HTTP request to a provider may take."""
    connect_timeout: Duration = timedelta(seconds=10)
    """How long a connection to a provider may take to open."""
    max_connections: int = Field(default=200, ge=1)
    """The most connections to one provider at a time."""
    max_reply_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """The largest reply of a provider that is read."""
    max_prompt_images: int = Field(default=100, ge=0)
    """The most images in one prompt, pages of documents included, where the table of the model does not say."""
    default_max_tokens: int = Field(default=8192, ge=1)
    """How long a reply may be, in tokens, where neither the setting of the model nor its table says."""
    schema_reask_max_attempts: int = Field(default=2, ge=0, le=10)
    """How many times a reply that does not fit its schema is asked again, with the reasons."""
    simulated: SimulatedSettings = SimulatedSettings()
    cache: CacheSettings = CacheSettings()
    documents: DocumentSettings = DocumentSettings()

    def below(self, root: Path) -> InferenceSettings:
        """The same with absolute paths; relative ones start at `root`."""
        return self.model_copy(update={"cache": self.cache.model_copy(update={"path": root / self.cache.path})})
