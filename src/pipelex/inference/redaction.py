"""What no error may tell: the secrets that this process holds. Runs on workers, before an error leaves them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pipelex.errors import PipelexError

_SECRET_NAME: Final = re.compile(r"key|token|secret|passw|credential|authorization", re.IGNORECASE)
_NO_SECRET: Final = re.compile(r"_(?:FILE|PATH|DIR|ID|URL)$", re.IGNORECASE)
_URL: Final = re.compile(r"^([A-Za-z][\w+.-]*://)?(?:[^/]*@)?([^?#]*).*$", re.DOTALL)
_URL_PASSWORD: Final = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_KEY_LIKE: Final = re.compile(
    r"\b(?:(?:sk|pk|gsk|xai|key|rk)-[A-Za-z0-9_*.-]{6,}|AIza[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{12,})"
)
_MIN_SECRET: Final = 8
"""Shorter values are words: blanking them would make messages unreadable, and would tell where they are."""


def secrets_among(environ: Mapping[str, str]) -> frozenset[str]:
    """The values of variables whose names say that they are secret, and the passwords in all urls."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name) and not _NO_SECRET.search(name)}
    found |= {password for value in environ.values() for password in _URL_PASSWORD.findall(value)}
    return frozenset(value.strip() for value in found if len(value.strip()) >= _MIN_SECRET)


def shown_url(url: str) -> str:
    """The url, or the address without a scheme, as it may be shown: without user, password and query."""
    return _URL.sub(r"\1\2", url)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets, nor anything that looks like a key."""
    # The longest first: one may hold another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[key]")
    # Providers like to echo the key, whole or with its middle starred out.
    return _KEY_LIKE.sub("[key]", text)


def without_secrets(error: PipelexError, secrets: Iterable[str]) -> PipelexError:
    """Take the secrets out of what an error says, in place: it travels, and histories keep it."""
    for secret in sorted(secrets, key=len, reverse=True):
        error.message = error.message.replace(secret, "[key]")
        error.where = error.where and error.where.replace(secret, "[key]")
        error.hint = error.hint and error.hint.replace(secret, "[key]")
    error.args = (error.message,)
    return error
