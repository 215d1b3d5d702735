"""Carries out requests: models, searches, documents, functions. Runs on workers, on the far side of the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from pydantic import JsonValue

from pipelex.errors import ConfigError, DocumentError, InternalError, ReplyError
from pipelex.inference.attachments import load_parts
from pipelex.inference.backends import SIMULATED, Access, Backend, Route
from pipelex.inference.deck import Deck
from pipelex.inference.documents import Documents, PageParts, Picture
from pipelex.inference.functions import Function, call_function
from pipelex.inference.printing import make_document, picture_of
from pipelex.inference.providers.provider import (
    Closable,
    ImageMaker,
    ImagePrompt,
    Part,
    Prompt,
    Provider,
    Reask,
    Searcher,
)
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import Unfit, complaint, read_reply, reply_schema
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
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    Usage,
)
from pipelex.storage.blobs import Blobs
from pipelex.storage.fetch import FetchedFile, read_url
from pipelex.storage.settings import StorageSettings
from pipelex.values.contents import StructuredContent

_MAX_SHOWN: Final = 500


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
        self._providers: dict[str, Closable] = {}

    async def aclose(self) -> None:
        """Close the connections of every provider."""
        providers, self._providers = list(self._providers.values()), {}
        for provider in providers:
            await provider.aclose()

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Carry out one request, once. Raises the error that says who can act, and whether to try again."""
        reply: Reply
        match request:
            case TextRequest():
                reply = await self._text(request)
            case ObjectRequest() | ObjectListRequest():
                reply = await self._object(request)
            case ExtractRequest():
                reply = await self._extract(request)
            case ImageRequest():
                reply = await self._images(request)
            case SearchRequest():
                reply = await self._search(request)
            case DocumentRequest():
                reply = await make_document(request, self._blobs, self._storage, self._settings.documents)
            case FunctionRequest():
                reply = await call_function(self._functions, request, self._classes)
            case _:
                raise InternalError(f"no one performs requests of class {type(request).__name__}")
        return cast("ReplyT", reply)

    async def _text(self, request: TextRequest) -> TextReply:
        provider, prompt = await self._prepare(request)
        completion = await provider.complete(prompt)
        return TextReply(text=completion.text, usage=completion.usage)

    async def _object(self, request: ObjectRequest | ObjectListRequest) -> ObjectReply:
        """Ask, check, and ask again with the reasons as often as the settings allow. All usage is counted."""
        schema = reply_schema(request)
        provider, prompt = await self._prepare(request, request.name, schema)
        usage = Usage()
        reasks: list[Reask] = []
        while True:
            completion = await provider.complete(
                Prompt(prompt.request, prompt.model, prompt.parts, prompt.name, prompt.schema, tuple(reasks))
            )
            usage += completion.usage
            try:
                return ObjectReply(data=read_reply(completion.text, request, schema), usage=usage)
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

    async def _images(self, request: ImageRequest) -> ImagesReply:
        route = self._route(request.model, "img_gen")
        maker = cast(ImageMaker, self._provider(route))
        parts = () if route.model.sdk == SIMULATED else await self._parts(request.attachments, route)
        made = await maker.images(ImagePrompt(request, route.model, parts))
        images = [await self._kept(image, number) for number, image in enumerate(made.images, 1)]
        return ImagesReply(images=images, usage=made.usage)

    async def _kept(self, image: bytes | str, number: int) -> dict[str, JsonValue]:
        """A generated image once stored, as the data of an Image."""
        data = (await read_url(image, self._blobs, self._storage)).data if isinstance(image, str) else image
        picture = await asyncio.to_thread(picture_of, data)
        suffix = picture.mime_type.partition("/")[2]
        return {**await self._image(picture), "filename": f"image-{number}.{suffix}"}

    async def _search(self, request: SearchRequest) -> SearchReply:
        route = self._route(request.model, "search")
        return await cast(Searcher, self._provider(route)).search(request, route.model)

    def _route(self, setting: ModelSetting, family: str) -> Route:
        return self._backends.route(setting.handle, setting.backend, family=family)

    def _provider(self, route: Route) -> Closable:
        name = route.backend.name
        if name not in self._providers:
            self._providers[name] = self._build(route.backend, route.model.sdk)
        return self._providers[name]

    def _build(self, backend: Backend, sdk: str) -> Closable:
        if sdk == SIMULATED:
            from pipelex.inference.providers.simulated import Simulated

            return Simulated(self._settings.simulated)
        access = self._backends.access(backend)
        if not access.endpoint:
            raise ConfigError(f"the endpoint of backend {backend.name!r} is empty", where=backend.source)
        return _provider_class(sdk)(backend.name, access, self._settings)

    async def _extract(self, request: ExtractRequest) -> PagesReply:
        self._route(request.model, "extract")
        if request.page_image_captions:
            raise ConfigError(
                f"the extraction model {request.model.handle!r} writes no captions",
                hint="drop page_image_captions, and describe the images with a PipeLLM",
            )
        file = await read_url(request.url, self._blobs, self._storage)
        if request.mime_type and not file.mime_type:
            file = FetchedFile(file.data, request.mime_type, file.filename)
        pages: list[dict[str, JsonValue]] = []
        try:
            async for parts in self._documents.read_pages(
                file,
                max_images=request.max_page_images,
                views=request.page_views,
                dpi=request.page_views_dpi,
            ):
                pages.append(await self._page(parts))
        except DocumentError as error:
            error.where = error.where or request.url[:120]
            raise
        return PagesReply(pages=pages, usage=Usage(calls=1, pages=len(pages)))

    async def _page(self, parts: PageParts) -> dict[str, JsonValue]:
        images: list[JsonValue] = [await self._image(picture) for picture in parts.pictures]
        content: dict[str, JsonValue] = {"text": {"text": parts.text}, "images": images}
        view = await self._image(parts.view) if parts.view else None
        return {"text_and_images": content, "page_view": view}

    async def _image(self, picture: Picture) -> dict[str, JsonValue]:
        url = await self._blobs.put(picture.data, mime_type=picture.mime_type)
        return {"url": url, "mime_type": picture.mime_type, "width": picture.width, "height": picture.height}


def _provider_class(sdk: str) -> Callable[[str, Access, InferenceSettings], Closable]:
    """What speaks the API of that name. Imported when first used: a process needs only some of them."""
    if sdk == "linkup":
        from pipelex.inference.providers.linkup import Linkup

        return Linkup
    if sdk == "tavily":
        from pipelex.inference.providers.tavily import Tavily

        return Tavily
    from pipelex.inference.providers.openai_compatible import OpenAICompatible

    return OpenAICompatible
