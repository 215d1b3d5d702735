"""The classes of contents that functions and callers meet. They stay on their own side: only JSON crosses a wire."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, StrictBool, StrictFloat, StrictInt

Share = Annotated[float, Field(ge=0, le=1)]
"""A probability, or another share of one."""


class StuffContent(BaseModel):
    """The parent of every class of contents."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class StructuredContent(StuffContent):
    """The parent of contents with declared fields; write a subclass to give a structure a Python class."""


ContentT = TypeVar("ContentT", bound=StuffContent)


class TextContent(StuffContent):
    """A text."""

    text: str

    def __str__(self) -> str:
        return self.text


class NumberContent(StuffContent):
    """A number; whole numbers stay whole."""

    number: StrictInt | StrictFloat

    def __str__(self) -> str:
        return str(self.number)


class YesNoContent(StuffContent):
    """A yes or a no, with the probability of yes if it is known."""

    yes_no: StrictBool
    probability: Share | None = None

    def __str__(self) -> str:
        return "yes" if self.yes_no else "no"


class ChoiceContent(StuffContent):
    """The option that was chosen; the numbers are there when they could be measured."""

    choice: str
    confidence: Share | None = None
    probabilities: dict[str, Share] | None = None

    def __str__(self) -> str:
        return self.choice


class RatingContent(StuffContent):
    """The level that was given, from 0 up; `position` is the expected level, `probabilities` go by level."""

    level: Annotated[StrictInt, Field(ge=0)]
    label: str | None = None
    confidence: Share | None = None
    probabilities: dict[Annotated[str, Field(pattern="^[0-9]+$")], Share] | None = None
    position: StrictInt | StrictFloat | None = None

    def __str__(self) -> str:
        return str(self.level) if self.label is None else self.label


class DateContent(StuffContent):
    """A date, with a time of day if one is known."""

    date: dt.date
    time: dt.time | None = None

    def __str__(self) -> str:
        return self.date.isoformat() if self.time is None else f"{self.date.isoformat()}T{self.time.isoformat()}"


class TimeContent(StuffContent):
    """A time of day."""

    time: dt.time

    def __str__(self) -> str:
        return self.time.isoformat()


class ImageContent(StuffContent):
    """An image, by its address."""

    url: str
    public_url: str | None = None
    source_prompt: str | None = None
    source_negative_prompt: str | None = None
    caption: str | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    filename: str | None = None


class DocumentContent(StuffContent):
    """A document, by its address."""

    url: str
    public_url: str | None = None
    mime_type: str | None = None
    filename: str | None = None
    title: str | None = None
    snippet: str | None = None


class HtmlContent(StuffContent):
    """A fragment of HTML."""

    inner_html: str
    css_class: str | None = None

    def __str__(self) -> str:
        return self.inner_html


class TextAndImagesContent(StuffContent):
    """A text with its images."""

    text: TextContent | None = None
    images: list[ImageContent] | None = None
    raw_html: str | None = None


class PageContent(StuffContent):
    """One page of a document."""

    text_and_images: TextAndImagesContent
    page_view: ImageContent | None = None


class JSONContent(StuffContent):
    """A JSON object."""

    json_obj: dict[str, Any]


class SearchResultContent(StuffContent):
    """An answer with its sources."""

    answer: str
    sources: list[DocumentContent]

    def __str__(self) -> str:
        return self.answer


class DynamicContent(StuffContent):
    """A content with any keys, read as attributes."""

    model_config = ConfigDict(extra="allow")


class ListContent(StuffContent, Generic[ContentT]):
    """A list of contents: has a length, is indexed and iterated over like a list."""

    items: list[SerializeAsAny[ContentT]]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ContentT]:  # type: ignore[override]  # pydantic iterates over fields, a list over items
        return iter(self.items)

    def __getitem__(self, index: int) -> ContentT:
        return self.items[index]


NATIVE_CLASSES: dict[str, type[StuffContent]] = {
    "native.Text": TextContent,
    "native.Number": NumberContent,
    "native.YesNo": YesNoContent,
    "native.Choice": ChoiceContent,
    "native.Rating": RatingContent,
    "native.Date": DateContent,
    "native.Time": TimeContent,
    "native.Image": ImageContent,
    "native.Document": DocumentContent,
    "native.Html": HtmlContent,
    "native.TextAndImages": TextAndImagesContent,
    "native.Page": PageContent,
    "native.JSON": JSONContent,
    "native.SearchResult": SearchResultContent,
    "native.Composite": DynamicContent,
    "native.Dynamic": DynamicContent,
    "native.Anything": DynamicContent,
}
"""The class of each native that refines nothing."""
