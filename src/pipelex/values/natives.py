"""The native concepts (MTHDS section 5). Pure; replayed."""

from __future__ import annotations

from pipelex.values.concept import Concept, Field, FieldType


def _text(description: str, *, required: bool = False) -> Field:
    return Field(description=description, type=FieldType.TEXT, required=required)


def _nested(description: str, concept: str, *, required: bool = False) -> Field:
    return Field(description=description, type=FieldType.CONCEPT, concept=concept, required=required)


def _size(description: str) -> Field:
    return Field(description=description, type=FieldType.INTEGER, minimum=1)


def _share(description: str) -> Field:
    return Field(description=f"{description}, from 0 to 1", type=FieldType.NUMBER, minimum=0, maximum=1)


def _shares(description: str, *, key_pattern: str | None = None) -> Field:
    return Field(
        description=description,
        type=FieldType.DICT,
        value_type=FieldType.NUMBER,
        minimum=0,
        maximum=1,
        key_pattern=key_pattern,
    )


_URL = "Where the file is: a web address, a data: url, a storage reference or a path"
_PUBLIC_URL = "A web address of the file that anybody may open"
_MIME_TYPE = "The media type, such as image/png"
_FILENAME = "The name of the file"

_ALL = (
    Concept(ref="native.Text", description="A text", fields={"text": _text("The text", required=True)}),
    Concept(ref="native.Markdown", description="A text written in Markdown", refines="native.Text"),
    Concept(
        ref="native.Number",
        description="A number",
        fields={"number": Field(description="The number", type=FieldType.NUMBER, required=True)},
    ),
    Concept(
        ref="native.YesNo",
        description="A yes or a no",
        fields={
            "yes_no": Field(description="True for yes, false for no", type=FieldType.BOOLEAN, required=True),
            "probability": _share("The probability of yes"),
        },
    ),
    Concept(
        ref="native.Choice",
        description="One of the options of a question",
        fields={
            "choice": _text("The key of the option", required=True),
            "confidence": _share("How sure the choice is"),
            "probabilities": _shares("The probability of each option by its key, from 0 to 1"),
        },
    ),
    Concept(
        ref="native.Rating",
        description="One of the levels of a scale",
        fields={
            "level": Field(
                description="The index of the level, from 0 up", type=FieldType.INTEGER, minimum=0, required=True
            ),
            "label": _text("The label of the level"),
            "confidence": _share("How sure the level is"),
            "probabilities": _shares("The probability of each level by its index, from 0 to 1", key_pattern="^[0-9]+$"),
            "position": Field(description="The expected level, between levels if need be", type=FieldType.NUMBER),
        },
    ),
    Concept(
        ref="native.Date",
        description="A calendar date, with a time of day if one is known",
        fields={
            "date": Field(description="The date", type=FieldType.DATE, required=True),
            "time": Field(description="The time of day", type=FieldType.TIME),
        },
    ),
    Concept(
        ref="native.Time",
        description="A time of day",
        fields={"time": Field(description="The time of day", type=FieldType.TIME, required=True)},
    ),
    Concept(
        ref="native.Image",
        description="An image",
        fields={
            "url": _text(_URL, required=True),
            "public_url": _text(_PUBLIC_URL),
            "source_prompt": _text("The prompt the image was generated from"),
            "source_negative_prompt": _text("What the generator was told to avoid"),
            "caption": _text("What the image shows"),
            "mime_type": _text(_MIME_TYPE),
            "width": _size("The width in pixels"),
            "height": _size("The height in pixels"),
            "filename": _text(_FILENAME),
        },
    ),
    Concept(
        ref="native.Document",
        description="A document, such as a PDF file",
        fields={
            "url": _text(_URL, required=True),
            "public_url": _text(_PUBLIC_URL),
            "mime_type": _text(_MIME_TYPE),
            "filename": _text(_FILENAME),
            "title": _text("The title of the document"),
            "snippet": _text("A short passage of the document"),
        },
    ),
    Concept(
        ref="native.Html",
        description="A fragment of HTML",
        fields={
            "inner_html": _text("The markup", required=True),
            "css_class": _text("The class of the element that will hold the markup"),
        },
    ),
    Concept(
        ref="native.TextAndImages",
        description="A text with the images that go with it",
        fields={
            "text": _nested("The text", "native.Text"),
            "images": Field(
                description="The images, in order of appearance",
                type=FieldType.LIST,
                item_type=FieldType.CONCEPT,
                concept="native.Image",
            ),
            "raw_html": _text("The same content as HTML"),
        },
    ),
    Concept(
        ref="native.Page",
        description="One page of a document",
        fields={
            "text_and_images": _nested("What the page contains", "native.TextAndImages", required=True),
            "page_view": _nested("A picture of the whole page", "native.Image"),
        },
    ),
    Concept(
        ref="native.JSON",
        description="A JSON object",
        fields={"json_obj": Field(description="The object", type=FieldType.DICT, required=True)},
    ),
    Concept(
        ref="native.SearchResult",
        description="An answer found on the web, with its sources",
        fields={
            "answer": _text("The answer", required=True),
            "sources": Field(
                description="The pages that the answer comes from",
                type=FieldType.LIST,
                item_type=FieldType.CONCEPT,
                concept="native.Document",
                required=True,
            ),
        },
    ),
    Concept(ref="native.Composite", description="Named components, each a content of its own", is_open=True),
    Concept(ref="native.Dynamic", description="A content whose concept is known when it is made", is_open=True),
    Concept(ref="native.Anything", description="Any content", is_open=True),
)

NATIVES: dict[str, Concept] = {concept.ref: concept for concept in _ALL}
"""Every native concept by absolute reference."""

OLD_NATIVES: dict[str, str] = {"native.ImgGenPrompt": "native.Text"}
"""Natives of older versions of the language, and what stands for them now. Their names are free for other concepts."""
