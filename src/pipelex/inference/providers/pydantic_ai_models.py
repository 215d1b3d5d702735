"""The SDK clients behind pydantic-ai models, built once: our HTTP client inside, their retries off. Runs on workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import pydantic_ai.direct  # noqa: F401 - what calls are made with, imported here so that `warm` imports it
from pydantic_ai.models import Model
from pydantic_ai.profiles import ModelProfile

from pipelex.errors import ConfigError
from pipelex.inference.backends import Access
from pipelex.inference.providers.http import SdkClient
from pipelex.inference.settings import InferenceSettings

Models = Callable[[str], Model]
"""From a model id to the model that can be asked."""
_NO_KEY: Final = "none"
"""For servers that want no key: without one, an SDK would look for others on this machine."""
_AWS_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def connect(
    sdk: str, access: Access, settings: InferenceSettings, http: SdkClient, loop: asyncio.AbstractEventLoop
) -> Models:
    """Import the SDK and build its client: slow, so to be called beside `loop`, in which the requests will run.

    Raises ImportError when the SDK is not installed.
    """
    match sdk:
        case "anthropic":
            return _anthropic(access, settings, http)
        case "google":
            return _google(access, http)
        case _:
            return _bedrock(access, settings, http, loop)


def _objects_as_json(profile: ModelProfile) -> ModelProfile:
    """Prefer the JSON output of the API, where the model has it, to a tool that is never run."""
    has_json = profile.get("supports_json_schema_output", False)
    return {**profile, "default_structured_output_mode": "native" if has_json else "tool"}


def _anthropic(access: Access, settings: InferenceSettings, http: SdkClient) -> Models:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=access.api_key or _NO_KEY,
        base_url=access.endpoint,
        http_client=http,
        max_retries=0,
        # Not the default of the SDK, which then refuses long replies. The limit that counts is that of `http`.
        timeout=settings.request_timeout.total_seconds(),
    )
    provider = AnthropicProvider(anthropic_client=client)
    return lambda model_id: AnthropicModel(model_id, provider=provider, profile=_objects_as_json)


def _google(access: Access, http: SdkClient) -> Models:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    # Without retry options it makes one attempt.
    if not (project := access.others.get("gcp_project_id")):
        gemini = GoogleProvider(api_key=access.api_key or _NO_KEY, base_url=access.endpoint, http_client=http)
        return lambda model_id: GoogleModel(model_id, provider=gemini, profile=_objects_as_json)
    from google.oauth2.service_account import Credentials
    from pydantic_ai.providers.google_cloud import GoogleCloudProvider

    credentials = None
    if path := access.others.get("gcp_credentials_file_path"):
        try:
            credentials = Credentials.from_service_account_file(path)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the Google credentials file {path!r} cannot be used: {type(error).__name__}",
                hint="gcp_credentials_file_path is the JSON key of a service account",
            ) from None
    cloud = GoogleCloudProvider(
        credentials=credentials,
        project=project,
        location=access.others.get("gcp_location") or None,
        base_url=access.endpoint,
        http_client=http,
    )
    return lambda model_id: GoogleModel(model_id, provider=cloud, profile=_objects_as_json)


def _bedrock(access: Access, settings: InferenceSettings, http: SdkClient, loop: asyncio.AbstractEventLoop) -> Models:
    import boto3  # type: ignore[import-untyped]
    from botocore import UNSIGNED  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSResponse  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    seconds = settings.request_timeout.total_seconds()
    config = Config(
        retries={"total_max_attempts": 1},
        read_timeout=seconds,
        signature_version=UNSIGNED if access.api_key else None,
    )
    # A profile or the role of the machine will do when there are no keys.
    keys = {name: access.others.get(name) or None for name in _AWS_KEYS}
    session = boto3.Session(region_name=access.others.get("aws_region") or None, **keys)
    client = session.client("bedrock-runtime", config=config, endpoint_url=access.endpoint)

    def send(request: Any, **_: Any) -> Any:
        """Carry a request of botocore, which waits in a thread, over our HTTP client."""
        headers = {key: value.decode() if isinstance(value, bytes) else value for key, value in request.headers.items()}
        if access.api_key:
            headers["Authorization"] = f"Bearer {access.api_key}"
        ready = http.build_request(request.method, request.url, headers=headers, content=request.body)
        answer = asyncio.run_coroutine_threadsafe(http.send(ready), loop).result()
        return AWSResponse(request.url, answer.status_code, dict(answer.headers), _Body(answer.content))

    client.meta.events.register("before-send.bedrock-runtime", send)
    provider = BedrockProvider(bedrock_client=cast(Any, client))
    return lambda model_id: BedrockConverseModel(model_id, provider=provider, profile=_objects_as_json)


class _Body:
    """The body of an answer, as botocore reads one."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]
