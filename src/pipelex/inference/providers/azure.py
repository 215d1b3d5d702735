"""Where Azure serves the APIs of OpenAI, and how it takes the key. Runs on workers."""

from __future__ import annotations

from urllib.parse import quote

from pipelex.errors import ConfigError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.http import Api
from pipelex.inference.settings import InferenceSettings


def azure_api(name: str, access: Access, settings: InferenceSettings) -> Api:
    """The API of one Azure resource. The newer one, at `.../openai/v1`, is that of OpenAI itself.

    Raises ConfigError when the older one has no version.
    """
    if access.endpoint.endswith("/v1"):
        return Api(name, access, settings)
    version = access.others.get("api_version")
    if not version:
        raise ConfigError(
            "the Azure OpenAI backend needs an api_version",
            hint="export AZURE_API_VERSION=...  or use the endpoint that ends in /openai/v1",
        )
    headers = {"api-key": access.api_key} if access.api_key else {}
    return Api(name, access, settings, headers, query={"api-version": version}, place=_place)


def _place(path: str, model: ModelSpec) -> str:
    """A deployment has an address of its own, but for responses, whose body names it."""
    if path == "responses":
        return f"openai/{path}"
    return f"openai/deployments/{quote(model.model_id, safe='')}/{path}"
