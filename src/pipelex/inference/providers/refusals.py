"""What an HTTP answer other than a completion means: wait, try again, or mend something. Runs on workers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pipelex.errors import (
    AuthenticationError,
    InferenceError,
    ProviderDownError,
    RateLimitError,
    RequestRefusedError,
)
from pipelex.inference.redaction import redact

_MAX_MESSAGE: Final = 500
_QUOTA: Final = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "quota_exceeded",
    "billing_error",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
)
# Anthropic and Google say these with the status of a malformed request.
_NO_CREDIT: Final = "credit balance is too low"
_BAD_KEY: Final = ("API_KEY_INVALID", "API key not valid", "API key expired")
_RETRY_DELAY: Final = re.compile(rb'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
_OWN_LIMIT: Final = re.compile(r"max_(?:completion_|output_)?tokens|maxOutputTokens")
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")
_MAX_ID: Final = 100


def refusal(
    provider: str, model: str | None, status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str]
) -> InferenceError:
    """The error for an answer of that status, with the provider's own words, shortened and without the secrets."""
    message, code = _said(body)
    said = redact(message, secrets)[:_MAX_MESSAGE]
    facts: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "status": status,
        "request_id": request_id(headers),
    }
    if status == 429 or code in _QUOTA or _NO_CREDIT in said:
        return _over_limit(said, code, headers, body, facts)
    if status in (401, 403) or any(word in message for word in _BAD_KEY):
        return AuthenticationError(
            f"{provider} refuses the key ({status}): {said}",
            hint="check the key of this backend where the worker runs, and that it may use this model",
            **facts,
        )
    if status in (408, 409, 424, 425) or status >= 500 or status == 200:
        return ProviderDownError(
            f"{provider} failed ({status}): {said}",
            retryable=True,
            retry_after=retry_after(headers),
            hint="each attempt made failed: see the status page of the provider, or allow more attempts",
            **facts,
        )
    advice = _advice(status, code, said)
    return RequestRefusedError(f"{provider} refuses the request ({status}): {said}", hint=advice, **facts)


def request_id(headers: Mapping[str, str]) -> str | None:
    """What the provider, or the gateway in front of it, calls the request; None when it does not say."""
    found = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
    return None if found is None else " ".join(found.split())[:_MAX_ID]


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """How many seconds the provider asks to wait, from a number of seconds or an HTTP date; None when it is silent."""
    try:
        if text := headers.get("retry-after-ms"):
            return max(0.0, float(text) / 1000)
        text = headers.get("retry-after")
        if not text:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):
            return float(text)
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
    except (TypeError, ValueError):
        return None


def _over_limit(said: str, code: str, headers: Mapping[str, str], body: bytes, facts: dict[str, Any]) -> InferenceError:
    provider = facts["provider"]
    if code in _QUOTA or _NO_CREDIT in said:
        return RequestRefusedError(
            f"the quota of the {provider} account is used up: {said}",
            hint="add credit or raise the limit of the account; waiting does not help",
            **facts,
        )
    return RateLimitError(
        f"{provider} asks to slow down (429): {said}",
        retryable=True,
        retry_after=_wait(headers, body),
        hint="lower the rate of this queue, or raise the limit of the account",
        **facts,
    )


def _wait(headers: Mapping[str, str], body: bytes) -> float | None:
    """How long to wait; Google says so in the body."""
    if (seconds := retry_after(headers)) is None and (found := _RETRY_DELAY.search(body)):
        return float(found[1])
    return seconds


def _advice(status: int, code: str, said: str) -> str:
    if status == 402:
        return "add credit to the account"
    if status == 404:
        return "check the model id in the model table, and the endpoint of the backend"
    if code == "context_length_exceeded" or status == 413:
        return "send less text or fewer files in one prompt, or use a model with a larger context"
    if _OWN_LIMIT.search(said):
        return 'set a smaller max_tokens in the model setting or the model table, or "auto" in the table'
    if code in ("content_filter", "content_policy_violation"):
        return "reword the prompt: it is against the content policy of the provider"
    return "the request is wrong for this model: read the provider's words above"


def _said(body: bytes) -> tuple[str, str]:
    """The provider's message and its code, from the shapes that are in use."""
    try:
        answer = json.loads(body)
    except ValueError:
        return " ".join(body[:2000].decode("utf-8", "replace").split()) or "no explanation", ""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return str(error), ""
    message = error.get("message") or error.get("detail") or json.dumps(error)
    if isinstance(message, list):
        # Several faults of the request, each with its own words and type.
        faults = [item for item in message if isinstance(item, dict)]
        error = {**(faults[0] if faults else {}), **error}
        message = "; ".join(str(item.get("msg", item)) for item in faults) or str(message)
    words = [str(error[key]) for key in ("code", "type") if error.get(key) is not None]
    return str(message), next((word for word in words if word in _QUOTA), words[0] if words else "")
