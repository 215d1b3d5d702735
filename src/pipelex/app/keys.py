"""Which backends have their keys on this machine, in which variable, and where that was looked for. Shows no key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelex.app.finding import Finding
from pipelex.config.settings import Settings
from pipelex.errors import CredentialError, PipelexError
from pipelex.inference.backends import EXTRA_OF_SDK, Backend, Backends
from pipelex.inference.deck import Deck
from pipelex.inference.secrets import VARIABLE, Secrets
from pipelex.pipes.models import ModelAsk

DEFAULTS = (ModelAsk("llm", None, "for_text"), ModelAsk("llm", None, "for_object"))
"""What a pipe asks for that names no model. Without these, next to nothing runs."""


class KeyState(NamedTuple):
    """What a backend has here and what it lacks. `missing` are names, each with its alternatives: `A or B`."""

    backend: Backend
    found: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the backend can be called."""
        return bool(self.found) and not self.missing


def key_states(backends: Backends, secrets: Secrets, process: Collection[str]) -> list[KeyState]:
    """The enabled backends that need a variable. `process` names what the environment itself holds, without `.env`."""
    states = []
    for backend in backends.enabled():
        if not (forms := _forms(backend, backends.endpoint(backend))):
            continue
        places = {form: _where(form, secrets, process) for form in forms}
        found = tuple(dict.fromkeys(place for place in places.values() if place))
        # `${NAME|}` is a variable one can do without.
        needed = [form for form, place in places.items() if place is None and not form.endswith("|")]
        states.append(KeyState(backend, found, tuple(" or ".join(_names(form)) for form in needed)))
    return states


def providers(dirs: Sequence[Path] = ()) -> dict[str, str]:
    """The backends of which the key alone is enough for the default models, and the variable of each."""
    found = {}
    for backend in Deck.load(dirs, {}).backends.enabled():
        names = [name for form in _forms(backend, backend.endpoint) for name in _names(form)]
        deck = Deck.load(dirs, dict.fromkeys(names, "set"))
        if names and all(_serving(deck, ask) == backend.name for ask in DEFAULTS):
            found[backend.name] = names[0]
    return found


def language_backends(dirs: Sequence[Path] = ()) -> list[str]:
    """Every backend of language models that needs a key or another variable."""
    forms = {backend.name: _forms(backend, backend.endpoint) for backend in Backends.load(dirs, {}).enabled()}
    names = dict.fromkeys((name for every in forms.values() for form in every for name in _names(form)), "set")
    declaring = [backend.name for backend, _ in Backends.load(dirs, names).usable_sdks() if forms[backend.name]]
    return list(dict.fromkeys([*declaring, *providers(dirs)]))


def key_findings(
    deck: Deck,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    process: Collection[str],
    absent: Collection[str],
    is_durable: bool,
) -> Iterator[Finding]:
    """The keys that are here, those that are not, and whether the default models can be called from this process.

    `absent` are the extras that are not installed.
    """
    secrets = settings.secrets_here(environ)
    states = key_states(deck.backends, secrets, process)
    for state in states:
        if state.found:
            lacks = "" if state.is_complete else f"; it also needs {', '.join(state.missing)}"
            yield Finding(check="keys", state="ok", message=f"{state.backend.name}: {', '.join(state.found)}{lacks}")
    if absent_keys := [name for state in states if not state.found for name in state.missing]:
        places = ["the environment", ".env of this folder", "~/.pipelex/.env", *secrets.places("any")]
        message = f"not set, needed by runs that use their backends: {', '.join(absent_keys)}"
        yield Finding(check="keys", state="ok", message=f"{message} (looked in {', '.join(places)})")
    # Texts and objects may have the same default model: a finding is told once.
    asked = [_default(deck, ask, settings.config_dirs, absent, is_durable=is_durable) for ask in DEFAULTS]
    yield from dict.fromkeys(asked)


def _default(deck: Deck, ask: ModelAsk, dirs: Sequence[Path], absent: Collection[str], *, is_durable: bool) -> Finding:
    """Whether the model that pipes get by default can be called from here."""
    try:
        chosen = deck.setting(ask)
        backend, model = deck.backends.route(chosen.handle, chosen.backend, family="llm")
    except PipelexError as error:
        return Finding.of("models", error)
    name = f"the default model is {model.handle!r} of {backend.name!r}"
    try:
        deck.backends.access(backend)
    except CredentialError as error:
        # The worker makes the calls of durable runs, and may have what is not here.
        elsewhere = ". Durable runs need it where their worker is" if is_durable else ""
        others = [variable for provider, variable in providers(dirs).items() if provider != backend.name]
        instead = f". Any of these keys does as well: {', '.join(others)}" if others else ""
        return Finding(
            check="models",
            state="warning" if is_durable else "error",
            message=f"{name}: {error.message}{elsewhere}",
            fix=f"{error.hint}{instead}",
        )
    extra = EXTRA_OF_SDK.get(model.sdk)
    if extra in absent:
        return Finding(
            check="models",
            state="warning" if is_durable else "error",
            message=f"{name}, which is called through the extra {extra!r} of pipelex: it is not installed here",
            fix=f'pip install "pipelex[{extra}]"',
        )
    return Finding(check="models", state="ok", message=name)


def _serving(deck: Deck, ask: ModelAsk) -> str | None:
    try:
        return deck.backends.route(deck.setting(ask).handle, family="llm").backend.name
    except PipelexError:
        return None


def _forms(backend: Backend, endpoint: str | None) -> list[str]:
    """What stands between the braces of the `${…}` of a backend, the key first."""
    texts = [backend.api_key or "", *backend.others.values(), endpoint or ""]
    return list(dict.fromkeys(form for text in texts for form in VARIABLE.findall(text)))


def _names(form: str) -> list[str]:
    names = (part.strip().removeprefix("env:").removeprefix("secret:") for part in form.split("|"))
    return [name for name in names if name]


def _where(form: str, secrets: Secrets, process: Collection[str]) -> str | None:
    """The variable that stands for a form, and where it is set."""
    for part in filter(None, (part.strip() for part in form.split("|"))):
        name = part.removeprefix("env:").removeprefix("secret:")
        if secrets.environ.get(name):
            return f"{name} is set in {'the environment' if name in process else '.env'}"
        if secrets.value(part) is not None:
            return f"{name} is in {secrets.file(name) or 'the keyring'}"
    return None
