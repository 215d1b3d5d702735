"""Where `${NAME}` and `${secret:NAME}` are looked up: the environment, mounted files, the keyring. Submitters, workers.

What a file or the keyring gave is remembered only so that no error tells it.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipelex.errors import CredentialError

VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
MOUNTED: Final = Path("/run/secrets")
"""Where containers mount secrets, unless the settings name another folder."""
SERVICE: Final = "pipelex"
"""What our secrets are filed under in a keyring."""
_FILE_NAME: Final = re.compile(r"[\w-][\w.-]*")

Keyring = Callable[[str], str | None]
"""From the name of a secret to its value, None when the keyring has none of that name."""


class Secrets:
    """The secrets of this process, each looked up when it is wanted. Never log it.

    `environ` holds what `.env` files said, too. Without `folder` and `keyring`, it is all there is.
    """

    def __init__(
        self, environ: Mapping[str, str], *, folder: Path | None = None, keyring: Keyring | None = None
    ) -> None:
        self.environ = environ
        self._folder = folder
        self._keyring = keyring
        self._from_keyring: dict[str, str | None] = {}
        self.found: dict[str, str] = {}
        """What came from elsewhere than the environment, so far."""

    @classmethod
    def here(cls, environ: Mapping[str, str], folder: Path | None) -> Secrets:
        """Those of this machine: `folder`, or the one where containers mount secrets if it exists, and the keyring."""
        if folder is None and MOUNTED.is_dir():
            folder = MOUNTED
        return cls(environ, folder=folder, keyring=from_keyring if find_spec("keyring") else None)

    def value(self, written: str) -> str | None:
        """What stands for `NAME`, `env:NAME`, `secret:NAME`, or the first of `env:A|secret:B` that is not empty.

        None when there is none. Raises CredentialError when the file of a secret cannot be read.
        """
        for form in (part.strip() for part in written.split("|")):
            name = form.removeprefix("env:").removeprefix("secret:")
            if value := self.environ.get(name):
                return value
            if not form.startswith("env:") and (value := self._mounted(name) or self._kept(name)):
                self.found[name] = value
                return value
        return None

    def places(self, written: str) -> list[str]:
        """Where that is looked for besides the environment, in words."""
        if all(part.strip().startswith("env:") for part in written.split("|")):
            return []
        lacking = "" if self._folder is None or self._folder.is_dir() else ", which does not exist"
        folder = [] if self._folder is None else [f"in the folder {self._folder}{lacking}"]
        return [*folder, *(["in the keyring"] if self._keyring else [])]

    def file(self, name: str) -> Path | None:
        """The mounted file of that name; None when there is none, or no folder that this user may open."""
        if self._folder is None or not _FILE_NAME.fullmatch(name) or not os.access(self._folder, os.X_OK):
            return None
        file = self._folder / name
        return file if file.exists() else None

    def _mounted(self, name: str) -> str | None:
        if (file := self.file(name)) is None:
            return None
        try:
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "it is not text") or type(error).__name__
            raise CredentialError(
                f"the secret {name} is in a file that cannot be read: {reason}",
                where=str(file),
                hint=f"make the file readable for this user, or export {name}=... instead, which goes before it",
            ) from None

    def _kept(self, name: str) -> str | None:
        if self._keyring is None or not name:
            return None
        if name not in self._from_keyring:
            # Once per process: a keyring may ask a person, or take its time.
            self._from_keyring[name] = self._keyring(name)
        return self._from_keyring[name]


def from_keyring(name: str) -> str | None:
    """The secret of that name in the keyring of this machine; None also when the keyring is locked, or there is none.

    Needs the extra `keyring`, which is imported with the first question.
    """
    keyring = importlib.import_module("keyring")
    try:
        value: str | None = keyring.get_password(SERVICE, name)
    except keyring.errors.KeyringError:
        return None
    return value
