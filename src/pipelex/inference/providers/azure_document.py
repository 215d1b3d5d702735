"""Pages read by Azure Document Intelligence, over its REST API: a job begun, then asked for. Runs on workers."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import (
    DocumentError,
    InferenceError,
    PipelexError,
    ProviderDownError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.checkpoint import Checkpoint
from pipelex.inference.documents import PageParts, Picture
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.printing import picture_of
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.refusals import retry_after
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ExtractRequest, Usage
from pipelex.storage.fetch import FetchedFile

_VERSION: Final = "2024-11-30"
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
_JOB: Final = re.compile(r"/analyzeResults/([\w-]{1,100})(?:\?|$)")
_ID: Final = re.compile(r"[\w-]{1,100}")
_FIGURE: Final = re.compile(r"[\w.-]{1,50}")
_MARKS: Final = re.compile(r"<!-- Page(?:Break|Header|Footer|Number)\b.*?-->\n*", re.S)
_OF_THE_FILE: Final = ("InvalidContent", "InvalidRequest", "InvalidArgument", "UnsupportedContent")


class AzureDocument:
    """The layout model, or whichever the model id names. Figures are fetched one by one."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        # The key goes to the endpoint of the operator only: no url of an answer is followed.
        self._api = Api(name, access, settings, {"ocp-apim-subscription-key": access.api_key or ""})
        self._version = access.others.get("api_version") or _VERSION
        self._seconds = settings.request_timeout.total_seconds()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def read(
        self, request: ExtractRequest, file: FetchedFile, mime_type: str, model: ModelSpec, checkpoint: Checkpoint
    ) -> tuple[list[PageParts], Usage]:
        """Begin the job unless an earlier attempt did, wait for it within the time of a request, and read all pages."""
        is_illustrated = request.max_page_images != 0
        base = f"documentintelligence/documentModels/{model.model_id}"
        job, pause = _found(checkpoint.last, self._api.name), None
        if job is None:
            job, pause = await self._begun(base, file, model, is_illustrated=is_illustrated)
            checkpoint.save({"provider": self._api.name, "jobs": [job]})
        place = f"{base}/analyzeResults/{job}"
        try:
            result = await self._result(place, model, pause)
        except _Over as over:
            # The next attempt shall begin another one.
            checkpoint.save(None)
            raise over.error from None
        try:
            content = str(result["content"])
            pages = [(int(page["pageNumber"]), _text(content, page["spans"])) for page in result["pages"]]
            figures = [(str(item["id"]), _page_of(item)) for item in result.get("figures") or () if "id" in item]
        except (TypeError, KeyError, ValueError, IndexError):
            raise self._odd(model, "something that is not a list of pages") from None
        pictures = await self._pictures(place, model, figures if is_illustrated else [], request.max_page_images)
        read = [PageParts(text, tuple(pictures.get(number, ()))) for number, text in sorted(pages)]
        return read, Usage(calls=1, pages=len(read), cost_usd=unit_cost_usd(model.costs, "page", len(read)))

    async def _begun(
        self, base: str, file: FetchedFile, model: ModelSpec, *, is_illustrated: bool
    ) -> tuple[str, float | None]:
        """A job begun: its id, and how long to wait before it is asked for."""
        query = f"api-version={self._version}&outputContentFormat=markdown&stringIndexType=unicodeCodePoint"
        body = {"base64Source": base64.b64encode(file.data).decode()}
        path = f"{base}:analyze?{query}{'&output=figures' if is_illustrated else ''}"
        headers = await self._api.begin(path, model, body)
        if (job := _JOB.search(headers.get("operation-location", ""))) is None:
            raise self._odd(model, "a job without a name")
        return job[1], retry_after(headers)

    async def _result(self, place: str, model: ModelSpec, pause: float | None) -> dict[str, Any]:
        wait = _FIRST_PAUSE if pause is None else pause
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    await asyncio.sleep(min(wait, _LONGEST_PAUSE))
                    state = await self._state(place, model)
                    status = state.get("status") if isinstance(state, dict) else None
                    if status == "succeeded" and isinstance(state.get("analyzeResult"), dict):
                        return dict(state["analyzeResult"])
                    if status not in ("notStarted", "running"):
                        raise _Over(self._failed(state, model))
                    wait = min(max(wait, 0.1) * 1.5, _LONGEST_PAUSE)
        except TimeoutError:
            raise ProviderDownError(
                f"{self._api.name} had not read the document in {self._seconds:g} s",
                retryable=True,
                hint="the next attempt waits for the same job; if documents take that long, raise request_timeout "
                "under [inference], or split them",
                provider=self._api.name,
                model=model.handle,
            ) from None

    async def _state(self, place: str, model: ModelSpec) -> Any:
        try:
            return await self._api.get(place, model, query={"api-version": self._version})
        except RequestRefusedError as error:
            if error.status not in (404, 410):
                raise
            gone = f"{self._api.name} no longer knows the job that reads the document"
            raise _Over(ProviderDownError(gone, retryable=True, provider=self._api.name, model=model.handle)) from None

    async def _pictures(
        self, place: str, model: ModelSpec, figures: list[tuple[str, int]], most: int | None
    ) -> dict[int, list[Picture]]:
        found: dict[int, list[Picture]] = {}
        for name, number in figures:
            kept = found.setdefault(number, [])
            if (most is None or len(kept) < most) and _FIGURE.fullmatch(name):
                query = {"api-version": self._version}
                kept.append(picture_of(await self._api.get_bytes(f"{place}/figures/{name}", model, query=query)))
        return found

    def _failed(self, state: Any, model: ModelSpec) -> InferenceError | DocumentError:
        error = state.get("error") if isinstance(state, dict) else None
        if not isinstance(error, dict):
            return self._odd(model, "a state that is not one of a job")
        said = f"{error.get('code')}: {error.get('message')}"[:500]
        if error.get("code") in _OF_THE_FILE:
            return DocumentError(f"{self._api.name} cannot read the document ({said})", hint="check the file")
        return ProviderDownError(
            f"{self._api.name} failed to read the document ({said})",
            retryable=True,
            provider=self._api.name,
            model=model.handle,
        )

    def _odd(self, model: ModelSpec, what: str) -> ReplyError:
        return ReplyError(
            f"{self._api.name} answered with {what}",
            retryable=True,
            hint="check the endpoint of the backend",
            provider=self._api.name,
            model=model.handle,
            status=200,
        )


class _Over(Exception):
    """A job that will never have a result, and the error to tell."""

    def __init__(self, error: PipelexError) -> None:
        super().__init__()
        self.error = error


def _found(data: JsonValue | None, provider: str) -> str | None:
    """The job that an earlier attempt began with this provider."""
    jobs = data.get("jobs") if isinstance(data, dict) and data.get("provider") == provider else None
    job = jobs[0] if isinstance(jobs, list) and jobs else None
    return job if isinstance(job, str) and _ID.fullmatch(job) else None


def _text(content: str, spans: list[dict[str, Any]]) -> str:
    parts = [content[int(span["offset"]) : int(span["offset"]) + int(span["length"])] for span in spans]
    return _MARKS.sub("", "".join(parts)).strip()


def _page_of(figure: dict[str, Any]) -> int:
    return int(figure["boundingRegions"][0]["pageNumber"])
