"""The memory of a run as functions and callers see it: read only, contents made into objects when asked for.

Runs where Python code is called (workers, submitters); what crosses the wire is `value.Memory`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from pipelex.errors import AbsentValueError, InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import (
    ChoiceContent,
    DateContent,
    DocumentContent,
    HtmlContent,
    ImageContent,
    ListContent,
    NumberContent,
    RatingContent,
    SearchResultContent,
    StuffContent,
    TextContent,
    YesNoContent,
)
from pipelex.values.hydrate import hydrate
from pipelex.values.value import MAIN, Absence, Memory, Value

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Stuff:
    """A named content with its concept; for a list, `concept` is the one of the items."""

    stuff_name: str
    concept: str
    data: JsonValue
    concepts: Concepts = field(repr=False, compare=False)

    @cached_property
    def content(self) -> StuffContent:
        """The content object; a ListContent for a list."""
        return hydrate(Value(concept=self.concept, data=self.data), self.concepts)

    @property
    def is_list(self) -> bool:
        """Whether this is a list of contents."""
        return isinstance(self.data, list)

    def code(self, run_id: str = "") -> str:
        """A short identity: equal for equal name, concept and content, within `run_id` when it is given."""
        identity = json.dumps([run_id, self.stuff_name, self.concept, self.data], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:5]

    @property
    def stuff_code(self) -> str:
        """The short identity, whatever the run."""
        return self.code()

    @property
    def as_text(self) -> TextContent:
        """The content, a text."""
        return self.content_as(TextContent)

    @property
    def as_str(self) -> str:
        """The string of the content, a text."""
        return self.as_text.text

    def content_as(self, content_type: type[ModelT]) -> ModelT:
        """The content as an instance of `content_type`, any pydantic model that its data fit."""
        content = self.content
        return content if isinstance(content, content_type) else self._read(content_type, self.data)

    def as_list_of(self, item_type: type[ModelT]) -> ListContent[Any]:
        """The content as a list whose items are instances of `item_type`; a single content gives a list of one."""
        content = self.content
        contents = content.items if isinstance(content, ListContent) else [content]
        data = self.data if isinstance(self.data, list) else [self.data]
        # Built without validation: an item may be any pydantic model of the caller's.
        return ListContent[Any].model_construct(
            items=[
                item if isinstance(item, item_type) else self._read(item_type, given)
                for item, given in zip(contents, data, strict=True)
            ]
        )

    def _read(self, content_type: type[ModelT], data: JsonValue) -> ModelT:
        try:
            return content_type.model_validate(data)
        except ValidationError as error:
            if isinstance(data, dict) and None in data.values():
                # Absent fields are null in data, where a class may have a default that is not None.
                return self._read(content_type, {key: item for key, item in data.items() if item is not None})
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole content"
            raise InputError(
                f"{self.stuff_name!r} is a {self.concept}, and does not fit the class {content_type.__name__}: "
                f"{place}: {first['msg']}",
                hint=f"ask for {type(self.content).__name__}, or for a class with the fields of {self.concept}",
            ) from None


class WorkingMemory:
    """The values of a run by name, to be read and never changed."""

    def __init__(self, memory: Memory, concepts: Concepts) -> None:
        self._memory = memory
        self._stuffs = {
            name: Stuff(stuff_name=name, concept=value.concept, data=value.data, concepts=concepts)
            for name, value in memory.root.items()
        }

    def list_keys(self) -> list[str]:
        """The names that have a value, in order."""
        return list(self._stuffs)

    def get_optional_stuff(self, name: str) -> Stuff | None:
        """The stuff of that name, or None when it has no value."""
        main = self._memory.main
        return self._stuffs.get(main if name == MAIN and main is not None else name)

    def get_stuff(self, name: str) -> Stuff:
        """The stuff of that name. Raises AbsentValueError when it is known to be absent, else InputError."""
        stuff = self.get_optional_stuff(name)
        if stuff is not None:
            return stuff
        outcome = self._memory.get(name)
        if isinstance(outcome, Absence):
            raise AbsentValueError(
                f"{name!r} has no value: {outcome.reason}", hint="get_optional_stuff gives None instead of failing"
            )
        close = get_close_matches(name, self._stuffs, n=1)
        known = ", ".join(self._stuffs) or "none"
        raise InputError(
            f"there is no value named {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"the names are: {known}",
        )

    def get_stuff_as(self, name: str, content_type: type[ModelT]) -> ModelT:
        """The content of that name as an instance of `content_type`."""
        return self.get_stuff(name).content_as(content_type)

    def get_stuff_as_list(self, name: str, item_type: type[ModelT]) -> ListContent[Any]:
        """The list of that name, its items as instances of `item_type`."""
        return self.get_stuff(name).as_list_of(item_type)

    def get_stuff_as_text(self, name: str) -> TextContent:
        """The text content of that name."""
        return self.get_stuff_as(name, TextContent)

    def get_stuff_as_str(self, name: str) -> str:
        """The string of the text content of that name."""
        return self.get_stuff_as_text(name).text

    def get_stuff_as_number(self, name: str) -> NumberContent:
        """The number content of that name."""
        return self.get_stuff_as(name, NumberContent)

    def get_stuff_as_image(self, name: str) -> ImageContent:
        """The image content of that name."""
        return self.get_stuff_as(name, ImageContent)

    def get_stuff_as_document(self, name: str) -> DocumentContent:
        """The document content of that name."""
        return self.get_stuff_as(name, DocumentContent)

    def get_stuff_as_html(self, name: str) -> HtmlContent:
        """The HTML content of that name."""
        return self.get_stuff_as(name, HtmlContent)

    def get_stuff_as_yes_no(self, name: str) -> YesNoContent:
        """The yes or no of that name."""
        return self.get_stuff_as(name, YesNoContent)

    def get_stuff_as_choice(self, name: str) -> ChoiceContent:
        """The choice of that name."""
        return self.get_stuff_as(name, ChoiceContent)

    def get_stuff_as_rating(self, name: str) -> RatingContent:
        """The rating of that name."""
        return self.get_stuff_as(name, RatingContent)

    def get_stuff_as_date(self, name: str) -> DateContent:
        """The date of that name."""
        return self.get_stuff_as(name, DateContent)

    def get_stuff_as_search_result(self, name: str) -> SearchResultContent:
        """The answer with its sources of that name."""
        return self.get_stuff_as(name, SearchResultContent)

    @property
    def main_stuff(self) -> Stuff:
        """The last output."""
        return self.get_stuff(MAIN)

    def main_stuff_as(self, content_type: type[ModelT]) -> ModelT:
        """The last output as an instance of `content_type`."""
        return self.main_stuff.content_as(content_type)

    def main_stuff_as_list(self, item_type: type[ModelT]) -> ListContent[Any]:
        """The last output as a list whose items are instances of `item_type`."""
        return self.main_stuff.as_list_of(item_type)

    @property
    def main_stuff_as_text(self) -> TextContent:
        """The last output as a text content."""
        return self.main_stuff_as(TextContent)

    @property
    def main_stuff_as_str(self) -> str:
        """The string of the last output, a text."""
        return self.main_stuff_as_text.text

    def to_wire(self, run_id: str = "") -> dict[str, JsonValue]:
        """The memory as published data: `root` by name, and `aliases` (`main_stuff` -> name).

        The stuff codes are equal for equal values; with `run_id` they are unique to the run.
        """
        root: dict[str, JsonValue] = {
            name: {
                "stuff_code": stuff.code(run_id),
                "stuff_name": name,
                "concept": stuff.concept,
                "content": stuff.data,
            }
            for name, stuff in self._stuffs.items()
        }
        main = self._memory.main
        aliases: dict[str, JsonValue] = {MAIN: main} if main in self._stuffs and main != MAIN else {}
        return {"root": root, "aliases": aliases}
