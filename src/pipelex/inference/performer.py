"""Carries out requests: models, searches, documents, functions. Runs on workers, on the far side of the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from pipelex.errors import ConfigError, InternalError, PipelexError, ReplyError
from pipelex.inference.attachments import load_parts
from pipelex.inference.attempts import part_key
from pipelex.inference.backends import (
    EXTRA_OF_SDK,
    LOCAL_SDK,
    RESPONSES_SDKS,
    SIMULATED,
    Access,
    Backend,
    ModelSpec,
    Route,
)
from pipelex.inference.cache import ReplyCache
from pipelex.inference.checkpoint import Checkpoint, KeptCheckpoint
from pipelex.inference.deck import Deck
from pipelex.inference.documents import Documents
from pipelex.inference.extracting import extract, stored_image
from pipelex.inference.functions import Function, call_function
from pipelex.inference.prices import priced
from pipelex.inference.printing import make_document, picture_of
from pipelex.inference.providers.provider import (
    Closable,
    ImageMaker,
    ImagePrompt,
    ObjectSearcher,
    PageReader,
    Part,
    Prompt,
    Provider,
    Reask,
    Searcher,
    Warmable,
)
from pipelex.inference.redaction import without_secrets
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import Unfit, complaint, read_reply, reply_schema, validate
from pipelex.pipes.requests import (
    Attachment,
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ModelSetting,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    PromptRequest,
    Reply,
    ReplyT,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    Usage,
)
from pipelex.storage.blobs import Blobs
from pipelex.storage.fetch import read_url
from pipelex.storage.settings import StorageSettings
from pipelex.values.contents import StructuredContent
from pipelex.values.depth import TooDeep, check_depth

_LOG = logging.getLogger(__name__)
_MAX_SHOWN: Final = 500
_IMAGE_APIS: Final = {"google": "google_images", "openai_img_gen": "openai"}
"""The API that makes images, for the sdk names that mean another one, or none, elsewhere."""
_EXTRACT_APIS: Final = {"mistral": "mistral_ocr"}
"""The API that reads documents, for the sdk names that mean another one elsewhere."""
_FAMILIES: Final[Mapping[type[Request[Any]], str]] = {
    ExtractRequest: "extract",
    ImageRequest: "img_gen",
    SearchRequest: "search",
    SearchObjectRequest: "search",
}
"""What the model of a request is for; of all others, language."""


class Performer:
    """Answers every kind of request, one attempt each: hosts retry.

    Providers are built when first used and live until `aclose`; use one performer in one event loop.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        deck: Deck,
        blobs: Blobs,
        *,
        storage: StorageSettings | None = None,
        functions: Mapping[str, Function] | None = None,
        classes: Mapping[str, type[StructuredContent]] | None = None,
    ) -> None:
        self._settings = settings
        self._backends = deck.backends
        self._blobs = blobs
        self._storage = storage or StorageSettings()
        self._functions = dict(functions or {})
        self._classes = dict(classes or {})
        self._documents = Documents(settings.documents)
        self._cache = ReplyCache(settings.cache, blobs, self._storage)
        self._providers: dict[tuple[str, str], Closable] = {}

    async def aclose(self) -> None:
        """Close the connections of every provider."""
        providers, self._providers = list(self._providers.values()), {}
        for provider in providers:
            await provider.aclose()

    async def perform(
        self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Checkpoint | None = None
    ) -> ReplyT:
        """Carry out one request, once. Raises the error that says who can act, and whether to try again.

        Attempts with the same `key` are one call to providers that honour idempotency keys; `checkpoint` is what the
        attempts of one request leave to each other.
        What it says may be read by others than this process, so none of the secrets held here is in it.
        """
        try:
            make = partial(self._priced, key, checkpoint or KeptCheckpoint())
            return await self._cache.through(request, lambda: self._served(request), make)
        except PipelexError as error:
            raise without_secrets(error, self._backends.secrets()) from error.__cause__

    async def _priced(self, key: str | None, checkpoint: Checkpoint, request: Request[ReplyT]) -> ReplyT:
        reply = await self._perform(request, key, checkpoint)
        if not isinstance(getattr(request, "model", None), ModelSetting):
            return reply
        return reply.model_copy(update={"usage": await priced(reply.usage, self._route_of(request))})

    async def _perform(self, request: Request[ReplyT], key: str | None, checkpoint: Checkpoint) -> ReplyT:
        reply: Reply
        match request:
            case TextRequest():
                reply = await self._text(request, key)
            case ObjectRequest() | ObjectListRequest():
                reply = await self._object(request, key)
            case ExtractRequest():
                reply = await self._extract(request, checkpoint)
            case ImageRequest():
                reply = await self._images(request, key, checkpoint)
            case SearchRequest():
                reply = await self._search(request)
            case SearchObjectRequest():
                reply = await self._search_object(request)
            case DocumentRequest():
                reply = await make_document(request, self._blobs, self._storage, self._settings.documents)
            case FunctionRequest():
                reply = await call_function(self._functions, request, self._classes)
            case _:
                raise InternalError(f"no one performs requests of class {type(request).__name__}")
        return cast("ReplyT", reply)

    async def _text(self, request: TextRequest, key: str | None) -> TextReply:
        provider, prompt = await self._prepare(request)
        completion = await provider.complete(replace(prompt, key=key))
        return TextReply(text=completion.text, usage=completion.usage)

    async def _object(self, request: ObjectRequest | ObjectListRequest, key: str | None) -> ObjectReply:
        """Ask, check, and ask again with the reasons as often as the settings allow. All usage is counted."""
        schema = reply_schema(request)
        provider, prompt = await self._prepare(request, request.name, schema)
        usage = Usage()
        reasks: list[Reask] = []
        while True:
            part = part_key(key, [reask.reply for reask in reasks])
            completion = await provider.complete(replace(prompt, reasks=tuple(reasks), key=part))
            usage += completion.usage
            try:
                data = read_reply(completion.text, request, schema)
                return ObjectReply(data=data, usage=usage + Usage(repeats=len(reasks)))
            except Unfit as error:
                if len(reasks) >= self._settings.schema_reask_max_attempts:
                    raise ReplyError(
                        f"the reply does not fit {request.name} after {len(reasks) + 1} attempts: "
                        f"{str(error)[:_MAX_SHOWN]}",
                        model=request.model.handle,
                        hint="make the concept simpler, say in the prompt what is wanted, or use a stronger model",
                    ) from None
                reasks.append(Reask(completion.text, complaint(str(error))))

    async def _prepare(
        self, request: PromptRequest, name: str | None = None, schema: dict[str, JsonValue] | None = None
    ) -> tuple[Provider, Prompt]:
        route = self._route(request.model, "llm")
        provider = cast(Provider, self._provider(route))
        if route.model.sdk == SIMULATED:
            # It reads no files, so none is fetched.
            return provider, Prompt(request, route.model, (), name, schema)
        parts = await self._parts(request.attachments, route)
        return provider, Prompt(request, route.model, parts, name, schema)

    async def _parts(self, attachments: Sequence[Attachment], route: Route) -> tuple[Part, ...]:
        return await load_parts(
            attachments,
            route.model,
            blobs=self._blobs,
            storage=self._storage,
            documents=self._documents,
            settings=self._settings,
        )

    async def _images(self, request: ImageRequest, key: str | None, checkpoint: Checkpoint) -> ImagesReply:
        route = self._route(request.model, "img_gen")
        maker = cast(ImageMaker, self._provider(route, _IMAGE_APIS.get(route.model.sdk)))
        parts = () if route.model.sdk == SIMULATED else await self._parts(request.attachments, route)
        made = await maker.images(ImagePrompt(request, route.model, parts, checkpoint, key))
        own = "" if route.model.sdk == SIMULATED else self._backends.access(route.backend).endpoint
        images = [await self._kept(image, number, own) for number, image in enumerate(made.images, 1)]
        return ImagesReply(images=images, usage=made.usage)

    async def _kept(self, image: bytes | str, number: int, endpoint: str) -> dict[str, JsonValue]:
        """A generated image once stored, as the data of an Image. The host of the endpoint may be a private one."""
        if isinstance(image, str):
            data = (await read_url(image, self._blobs, self._storage, trusted=urlsplit(endpoint).netloc)).data
        else:
            data = image
        picture = await asyncio.to_thread(picture_of, data)
        suffix = picture.mime_type.partition("/")[2]
        return {**await stored_image(picture, self._blobs), "filename": f"image-{number}.{suffix}"}

    async def _search(self, request: SearchRequest) -> SearchReply:
        route = self._route(request.model, "search")
        return await cast(Searcher, self._provider(route)).search(request, route.model)

    async def _search_object(self, request: SearchObjectRequest) -> ObjectReply:
        route = self._route(request.model, "search")
        searcher = self._provider(route)
        if not isinstance(searcher, ObjectSearcher):
            raise ConfigError(
                f"the search model {request.model.handle!r} only answers with sources: it cannot fill {request.name}",
                hint="use one that can, such as linkup-standard or exa-answer; or search for a SearchResult, and fill "
                f"{request.name} from it with a PipeLLM",
            )
        reply = await searcher.search_object(request, route.model)
        if problems := _problems(reply.data, request.output_schema):
            raise ReplyError(
                f"what {request.model.handle!r} found does not fit {request.name}: {'; '.join(problems)[:_MAX_SHOWN]}",
                retryable=True,
                model=request.model.handle,
                hint="make the concept simpler, or its fields optional: a search may not find all of them",
            )
        return reply

    def _route_of(self, request: Request[Any]) -> Route:
        """Who serves a request that names a model."""
        model: ModelSetting = request.model  # type: ignore[attr-defined]
        return self._route(model, _FAMILIES.get(type(request), "llm"))

    def _served(self, request: Request[Any]) -> tuple[Route, str | None]:
        """Who serves a request that names a model, and at which endpoint."""
        route = self._route_of(request)
        return route, self._backends.endpoint(route.backend)

    def _route(self, setting: ModelSetting, family: str) -> Route:
        return self._backends.route(setting.handle, setting.backend, family=family)

    async def warm(self) -> None:
        """Import and build now what the first calls would wait for: the SDKs of the backends whose key is here."""
        for backend, sdk in self._backends.usable_sdks():
            if sdk not in EXTRA_OF_SDK:
                continue
            try:
                await cast(Warmable, self._provider(Route(backend, ModelSpec("", "", sdk)))).warm()
            except PipelexError as error:
                # Most runs need none of it: whoever does is told then.
                _LOG.debug("%s is not ready: %s", backend.name, error.message)

    def _provider(self, route: Route, api: str | None = None) -> Closable:
        key = (route.backend.name, api or route.model.sdk)
        if key not in self._providers:
            self._providers[key] = self._build(route.backend, key[1])
        return self._providers[key]

    def _build(self, backend: Backend, sdk: str) -> Closable:
        if sdk == SIMULATED:
            from pipelex.inference.providers.simulated import Simulated

            return Simulated(self._settings.simulated)
        access = self._backends.access(backend)
        if not access.endpoint:
            raise ConfigError(f"the endpoint of backend {backend.name!r} is empty", where=backend.source)
        return _provider_class(sdk)(backend.name, access, self._settings)

    async def _extract(self, request: ExtractRequest, checkpoint: Checkpoint) -> PagesReply:
        route = self._route(request.model, "extract")
        is_local = route.model.sdk in (LOCAL_SDK, SIMULATED)
        reader = None if is_local else cast(PageReader, self._provider(route, _EXTRACT_APIS.get(route.model.sdk)))
        return await extract(
            request,
            route.model,
            reader,
            checkpoint=checkpoint,
            documents=self._documents,
            blobs=self._blobs,
            storage=self._storage,
        )


def _problems(data: JsonValue, schema: dict[str, JsonValue]) -> list[str]:
    try:
        check_depth(data)
    except TooDeep as error:
        return [f"it is {error}"]
    return validate(data, schema)


def _provider_class(sdk: str) -> Callable[[str, Access, InferenceSettings], Closable]:
    """What speaks the API of that name. Imported when first used: a process needs only some of them."""
    if sdk == "linkup":
        from pipelex.inference.providers.linkup import Linkup

        return Linkup
    if sdk == "tavily":
        from pipelex.inference.providers.tavily import Tavily

        return Tavily
    if sdk == "mistral_ocr":
        from pipelex.inference.providers.mistral_ocr import MistralOcr

        return MistralOcr
    if sdk == "azure_document_intelligence":
        from pipelex.inference.providers.azure_document import AzureDocument

        return AzureDocument
    if sdk == "exa":
        from pipelex.inference.providers.exa import Exa

        return Exa
    if sdk == "brave":
        from pipelex.inference.providers.brave import Brave

        return Brave
    if sdk == "google_images":
        from pipelex.inference.providers.google_images import GoogleImages

        return GoogleImages
    if sdk == "xai_images":
        from pipelex.inference.providers.xai_images import XaiImages

        return XaiImages
    if sdk == "fal":
        from pipelex.inference.providers.fal import Fal

        return Fal
    if sdk == "replicate":
        from pipelex.inference.providers.replicate import Replicate

        return Replicate
    if sdk in EXTRA_OF_SDK:
        from pipelex.inference.providers.pydantic_ai import PydanticAI

        return partial(PydanticAI, sdk)
    from pipelex.inference.providers.azure import azure_api
    from pipelex.inference.providers.http import Api

    api = azure_api if sdk.startswith("azure") else Api
    if sdk in RESPONSES_SDKS:
        from pipelex.inference.providers.openai_responses import OpenAIResponses

        return partial(OpenAIResponses, api=api)
    from pipelex.inference.providers.openai_compatible import OpenAICompatible

    return partial(OpenAICompatible, api=api)
