"""What an HTTP answer other than a completion means: wait, try again, or mend something. Runs on workers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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

_MAX_MESSAGE: Final = 500
_QUOTA: Final = ("insufficient_quota", "billing_hard_limit_reached", "quota_exceeded")
# Providers like to echo the key, whole or with its middle starred out.
_KEY_LIKE: Final = re.compile(r"\b(?:sk|pk|gsk|xai|key|rk)-[A-Za-z0-9_*.-]{6,}")


def refusal(
    provider: str, model: str, status: int, headers: Mapping[str, str], body: bytes, api_key: str | None
) -> InferenceError:
    """The error for an answer of that status, with the provider's own words, shortened and without the key."""
    message, code = _said(body)
    said = redact(message, api_key)[:_MAX_MESSAGE]
    facts: dict[str, Any] = {"provider": provider, "model": model, "status": status}
    if status == 429 or code in _QUOTA:
        return _over_limit(said, code, headers, facts)
    if status in (401, 403):
        return AuthenticationError(
            f"{provider} refuses the key ({status}): {said}",
            hint="check the key of this backend where the worker runs, and that it may use this model",
            **facts,
        )
    if status in (408, 409, 425) or status >= 500 or status == 200:
        return ProviderDownError(
            f"{provider} failed ({status}): {said}", retryable=True, retry_after=retry_after(headers), **facts
        )
    advice = _advice(status, code)
    return RequestRefusedError(f"{provider} refuses the request ({status}): {said}", hint=advice, **facts)


def redact(text: str, api_key: str | None) -> str:
    """`text` without the key, nor anything that looks like one."""
    if api_key:
        text = text.replace(api_key, "[key]")
    return _KEY_LIKE.sub("[key]", text)


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


def _over_limit(said: str, code: str, headers: Mapping[str, str], facts: dict[str, Any]) -> InferenceError:
    provider = facts["provider"]
    if code in _QUOTA:
        return RequestRefusedError(
            f"the quota of the {provider} account is used up: {said}",
            hint="add credit or raise the limit of the account; waiting does not help",
            **facts,
        )
    return RateLimitError(
        f"{provider} asks to slow down (429): {said}",
        retryable=True,
        retry_after=retry_after(headers),
        hint="lower the rate of this queue, or raise the limit of the account",
        **facts,
    )


def _advice(status: int, code: str) -> str:
    if status == 402:
        return "add credit to the account"
    if status == 404:
        return "check the model id in the model table, and the endpoint of the backend"
    if code == "context_length_exceeded" or status == 413:
        return "send less text or fewer files in one prompt, or use a model with a larger context"
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
    words = [str(error[key]) for key in ("code", "type") if error.get(key) is not None]
    return str(message), next((word for word in words if word in _QUOTA), words[0] if words else "")
