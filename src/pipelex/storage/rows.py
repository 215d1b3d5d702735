"""The text of a CSV file on this machine. Runs where a run is submitted."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelex.errors import InputError


def read_rows(path: str, base: Path) -> str:
    """Read a CSV file; a relative path starts from `base`. Raises InputError."""
    file = Path(unquote(urlsplit(path).path)) if path.startswith("file://") else base / Path(path).expanduser()
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        hint = f"relative paths start from {base.resolve()}"
        raise InputError(f"the file of rows {file} does not exist", hint=hint) from None
    except UnicodeDecodeError:
        raise InputError("the file of rows is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise InputError(f"the file of rows cannot be read: {error.strerror}", where=str(file)) from None
