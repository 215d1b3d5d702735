"""Which backend serves a model handle, and with what endpoint and key. Runs on submitters and workers.

Keys stay behind `${VARIABLE}` until the backend is first used, so that a process needs only those it uses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelex.errors import ConfigError, CredentialError, ModelNotFoundError
from pipelex.inference.redaction import secrets_among
from pipelex.inference.secrets import VARIABLE, Secrets
from pipelex.inference.tables import (
    Table,
    check_table,
    defaults,
    did_you_mean,
    first_found,
    is_table,
    merged,
    place,
    read_table,
    toml_files,
    with_price_mark,
)

CHAT_SDKS: Final = ("openai", "openai_compatible", "mistral", "azure_openai")
"""The sdk names whose API we call as OpenAI chat completions."""
RESPONSES_SDKS: Final = ("openai_responses", "azure_openai_responses")
"""The sdk names of OpenAI's Responses API."""
EXTRA_OF_SDK: Final = {
    "anthropic": "anthropic",
    "google": "google",
    "bedrock": "bedrock",
    "bedrock_anthropic": "bedrock",
    "bedrock_boto3": "bedrock",
    "bedrock_aioboto3": "bedrock",
}
"""The sdk names whose API we call through the provider's own SDK, and the extra of pipelex that installs it."""
LOCAL_SDK: Final = "pypdfium2"
"""The sdk name of documents that are read here, which needs no endpoint."""
EXTRACT_SDKS: Final = (LOCAL_SDK, "mistral", "mistral_ocr", "azure_document_intelligence")
IMAGE_SDKS: Final = ("openai", "openai_compatible", "openai_img_gen", "google", "xai_images", "fal", "replicate")
"""The sdk names of makers of images; those that begin with openai are called as OpenAI images."""
SEARCH_SDKS: Final = ("linkup", "tavily", "exa", "brave", "anthropic", "google", "openai_responses")
"""The sdk names of those who search; the last three are models with a web search of their own."""
_SDKS: Final = {
    "llm": (*CHAT_SDKS, *RESPONSES_SDKS, *EXTRA_OF_SDK),
    "extract": EXTRACT_SDKS,
    "img_gen": IMAGE_SDKS,
    "search": SEARCH_SDKS,
}
"""The sdk names that can be called, by what the model is for."""
ALL_SDKS: Final = tuple(dict.fromkeys(sdk for sdks in _SDKS.values() for sdk in sdks))
_COMPATIBLE: Final = (
    "route the handle to a backend that can be called: openai, anthropic, google, bedrock, azure_openai, openrouter, "
    "groq, mistral, xai, ollama, or your own OpenAI-compatible endpoint"
)
_ADVICE: Final = {
    "extract": "use pypdfium2-extract-pdf, mistral-ocr-latest or azure-document-intelligence",
    "img_gen": "use a handle such as gpt-image-1, nano-banana-2 or flux-pro, or route the handle to your own endpoint",
    "search": "use a handle such as linkup-standard, or a model of Anthropic or Google, which search by themselves",
}
SIMULATED: Final = "simulated"
_ACCESS_KEYS: Final = (
    "api_version",
    "aws_region",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "gcp_project_id",
    "gcp_location",
    "gcp_credentials_file_path",
)
"""What a backend may need besides an endpoint and a key."""

_MODEL_KEYS: Final = (
    "costs",
    "costs_from",
    "description",
    "enabled",
    "inputs",
    "listed_constraints",
    "max_prompt_images",
    "max_tokens",
    "model_id",
    "model_type",
    "outputs",
    "parameters",
    "prompting_target",
    "rules",
    "sdk",
    "structure_method",
    "thinking_mode",
    "valued_constraints",
    "variant",
)


_REASONING = re.compile(r"(?:openai/)?(?:o\d|gpt-5)")


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model on one backend. `costs` are in USD, per million tokens or each; empty when unknown."""

    handle: str
    model_id: str
    sdk: str
    is_extractor: bool = False
    inputs: tuple[str, ...] = ("text", "images")
    costs: Mapping[str, float] = field(default_factory=dict)
    costs_from: str = ""
    max_tokens: int | None = None
    leaves_limit: bool = False
    """Whether the server decides how long a reply may be: `max_tokens = "auto"` in the table."""
    max_prompt_images: int | None = None
    constraints: tuple[str, ...] = ()
    fixed_temperature: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    structure_method: str | None = None
    parameters: Mapping[str, str] | None = None
    """How the API of a maker of images calls what may be asked of it; None when the table does not say."""

    @property
    def is_reasoning(self) -> bool:
        """Whether it is one of the models that take `max_completion_tokens`, and no temperature."""
        return _REASONING.match(self.model_id) is not None

    @property
    def takes_temperature(self) -> bool:
        """Whether a temperature may be asked for."""
        return not self.is_reasoning and "temperature_unsupported" not in self.constraints

    def temperature(self, asked: float | None) -> float | None:
        """What to send for the temperature asked for; None when nothing is to be sent."""
        wanted = self.fixed_temperature if self.fixed_temperature is not None else asked
        if wanted is None or not self.takes_temperature:
            return None
        return wanted * 2 if "temperature_must_be_multiplied_by_2" in self.constraints else wanted


@dataclass(frozen=True)
class Backend:
    """One provider as configured: `endpoint` and `api_key` still hold their `${VARIABLE}` forms."""

    name: str
    source: str
    enabled: bool = True
    sdk: str | None = None
    endpoint: str | None = None
    endpoint_variable: str | None = None
    api_key: str | None = field(default=None, repr=False)
    others: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: Mapping[str, Table] = field(default_factory=dict, repr=False)
    model_defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Route(NamedTuple):
    """The backend that serves a handle, and the model there."""

    backend: Backend
    model: ModelSpec


@dataclass(frozen=True)
class Access:
    """Where and how to call a backend. Never log it."""

    endpoint: str = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    others: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> frozenset[str]:
        """What a provider must not echo: the key, and a password in the endpoint."""
        return secrets_among({"endpoint": self.endpoint}) | {self.api_key or ""}


class Backends:
    """The backends and routes of this process.

    `secrets` is where variables are looked up; it is never copied into anything that travels.
    """

    def __init__(self, backends: Mapping[str, Backend], profiles: Sequence[Profile], secrets: Secrets) -> None:
        self._backends = dict(backends)
        self._profiles = tuple(profiles)
        self._secrets = secrets

    @classmethod
    def load(cls, dirs: Sequence[Path] = (), secrets: Secrets | Mapping[str, str] | None = None) -> Backends:
        """Lay the user's backends, model tables and routes over the built-in ones.

        `dirs` are configuration folders, the project's before the user's own; of each file the first found counts.
        Keys are looked up in `secrets`, or in that environment alone.
        """
        built_in = defaults()
        tables, sources = _backend_tables(built_in / "backends.toml", first_found(dirs, "backends.toml"))
        models: dict[str, Table] = {}
        built_in_models = built_in / "backends"
        for folder in (built_in_models, first_found(dirs, "backends")):
            for file in toml_files(folder) if folder is not None and folder.is_dir() else ():
                name = file.name.removesuffix(".toml")
                read = with_price_mark(read_table(file), is_own=folder is not built_in_models)
                models[name] = merged(models.get(name, {}), read)
                if name not in tables:
                    tables[name], sources[name] = {}, str(file)
        backends = {name: _backend(name, table, sources[name], models.get(name, {})) for name, table in tables.items()}
        profiles = [_profile(read_table(built_in / "routing_profiles.toml"), "built-in routes")]
        if (own := first_found(dirs, "routing_profiles.toml")) is not None:
            profiles.insert(0, _profile(read_table(own), str(own)))
        if not isinstance(secrets, Secrets):
            secrets = Secrets(os.environ if secrets is None else secrets)
        return cls(backends, profiles, secrets)

    def enabled(self) -> list[Backend]:
        """The backends that may be used, in the order of the tables."""
        return [backend for backend in self._backends.values() if backend.enabled]

    def handles(self) -> list[str]:
        """The handles declared by model tables of enabled backends, sorted."""
        return sorted({handle for backend in self._backends.values() if backend.enabled for handle in backend.models})

    def every(self) -> tuple[Backend, ...]:
        """The backends known here, those that are disabled included."""
        return tuple(self._backends.values())

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The routes in the order in which they are asked: the user's own if there is one, then the built-in ones."""
        return self._profiles

    def models(self) -> list[tuple[Backend, ModelSpec]]:
        """The models declared by the tables of enabled backends, by backend."""
        enabled = (backend for backend in self._backends.values() if backend.enabled)
        return [
            (backend, _model_spec(backend, handle))
            for backend in enabled
            for handle, table in backend.models.items()
            if table.get("enabled", True)
        ]

    def declares(self, handle: str) -> bool:
        """Whether a model table, or an exact route, names the handle."""
        if any(handle in profile.routes for profile in self._profiles):
            return True
        return any(backend.enabled and handle in backend.models for backend in self._backends.values())

    def is_routed(self, handle: str) -> bool:
        """Whether some backend, callable or not, answers for the handle."""
        return self._routed(handle) is not None

    def route(self, handle: str, backend: str | None = None, *, family: str | None = None) -> Route:
        """The backend and model for a handle; `backend` overrides the routes.

        `family` (`llm`, `extract`, `img_gen`, `search`) says what the model is for. Raises
        ModelNotFoundError with the reason when nothing here can serve the handle.
        """
        found = self._named(backend, "the setting of the model") if backend else self._routed(handle)
        if found is None:
            raise ModelNotFoundError(
                f"no backend serves the model handle {handle!r}",
                hint=f"{did_you_mean(handle, self.handles())}; or route it in .pipelex/inference/routing_profiles.toml",
            )
        if not found.enabled:
            raise ModelNotFoundError(
                f"the model handle {handle!r} is routed to the backend {found.name!r}, which is disabled",
                where=found.source,
                hint=f"set enabled = true for {found.name}, or route the handle elsewhere in routing_profiles.toml",
            )
        model = _model_spec(found, handle, is_extractor=family == "extract")
        self._check_callable(found, model, family)
        return Route(found, model)

    def usable_sdks(self) -> list[tuple[Backend, str]]:
        """Each enabled backend whose key is here, with the sdk names of its language models."""
        usable = [item for item in self._backends.values() if item.enabled and self.has_credentials(item)]
        return [
            (item, sdk)
            for item in usable
            for sdk in dict.fromkeys(_sdk(item, {**item.model_defaults, **model}) for model in item.models.values())
            if sdk in _SDKS["llm"]
        ]

    def has_credentials(self, backend: Backend) -> bool:
        """Whether every variable that the backend needs is set here."""
        try:
            self.access(backend)
        except ConfigError:
            return False
        return True

    def access(self, backend: Backend) -> Access:
        """The endpoint and key of a backend, variables filled in. Raises CredentialError naming what is missing."""
        return Access(
            endpoint=(self._fill(self.endpoint(backend), backend) or "").strip().rstrip("/"),
            api_key=(self._fill(backend.api_key, backend) or "").strip() or None,
            others={key: (self._fill(text, backend) or "").strip() for key, text in backend.others.items()},
        )

    def endpoint(self, backend: Backend) -> str | None:
        """The endpoint as written, in the variable that replaces it or in the table."""
        return self._secrets.environ.get(backend.endpoint_variable or "") or backend.endpoint

    def secrets(self) -> frozenset[str]:
        """What no error may tell: the secrets found here, keys and headers as written, passwords of urls."""
        given = dict(self._secrets.environ) | {f"secret {name}": value for name, value in self._secrets.found.items()}
        for name, found in self._backends.items():
            given |= {f"{name}: key": found.api_key or "", f"{name}: endpoint": found.endpoint or ""}
            for table in (found.model_defaults, *found.models.values()):
                given |= {f"{name}: secret {key}": str(value) for key, value in table.items() if "-" in key}
        return secrets_among({name: value for name, value in given.items() if not VARIABLE.search(value)})

    def _fill(self, text: str | None, backend: Backend) -> str | None:
        if text is None:
            return None

        def value(found: re.Match[str]) -> str:
            if (secret := self._secrets.value(found[1])) is not None:
                return secret
            names = [form.strip().removeprefix("env:").removeprefix("secret:") for form in found[1].split("|")]
            if "" in names:
                # `${NAME|}` is a variable one can do without.
                return ""
            wanted = " or ".join(names)
            places = ("in .env of its folder", "in ~/.pipelex/.env", *self._secrets.places(found[1]))
            looked = "".join(f", nor {place}" for place in places)
            raise CredentialError(
                f"the backend {backend.name!r} needs the environment variable {wanted}, which is missing here: it is "
                f"neither in the environment of this process{looked}",
                where=backend.source,
                hint=f"export {names[0]}=...  or put it in .env; or run with --simulate, which needs no key",
            )

        return VARIABLE.sub(value, text)

    def _named(self, name: str, source: str) -> Backend:
        if name not in self._backends:
            raise ModelNotFoundError(
                f"there is no backend {name!r}", where=source, hint=did_you_mean(name, self._backends)
            )
        return self._backends[name]

    def _routed(self, handle: str) -> Backend | None:
        *own, built_in = self._profiles
        internal = self._backends.get("internal")
        if internal is not None and handle in internal.models and not any(handle in item.routes for item in own):
            return internal
        for profile in own:
            if (name := profile.find(handle, self._backends)) is not None:
                return self._named(name, profile.source)
        declarers = [item for item in self._backends.values() if item.enabled and handle in item.models]
        pattern = built_in.find(handle, self._backends)
        if pattern is not None and (not declarers or any(item.name == pattern for item in declarers)):
            return self._backends[pattern]
        served = [item for item in declarers if _model_spec(item, handle).sdk in ALL_SDKS]
        return next(iter(served or declarers), None)

    def _check_callable(self, backend: Backend, model: ModelSpec, family: str | None) -> None:
        if model.sdk == SIMULATED:
            return
        wanted = _SDKS.get(family or "", ALL_SDKS)
        if model.sdk in wanted:
            if model.sdk == LOCAL_SDK or backend.endpoint or backend.endpoint_variable:
                return
            raise ModelNotFoundError(
                f"the backend {backend.name!r} has no endpoint, so {model.handle!r} cannot be called",
                where=backend.source,
                hint=f'add endpoint = "https://.../v1" to [{backend.name}]',
            )
        raise ModelNotFoundError(
            f"backend {backend.name!r} needs the {model.sdk} SDK, which is not supported by this version "
            f"(model handle {model.handle!r})",
            where=backend.source,
            hint=_ADVICE.get(family or "", _COMPATIBLE),
        )


@dataclass(frozen=True)
class Profile:
    """Ordered patterns of handles and the backends they go to."""

    source: str
    routes: Mapping[str, str] = field(default_factory=dict)
    optional_routes: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    fallback_order: tuple[str, ...] = ()

    def find(self, handle: str, backends: Mapping[str, Backend]) -> str | None:
        """Exact name, then patterns in order, then the default, then the first enabled of the fallback order."""

        def is_enabled(name: str) -> bool:
            return name in backends and backends[name].enabled

        optional = {pattern: name for pattern, name in self.optional_routes.items() if is_enabled(name)}
        every = {**optional, **self.routes}
        if handle in every:
            return every[handle]
        for pattern, name in every.items():
            if _matches(pattern, handle):
                return name
        return self.default or next((name for name in self.fallback_order if is_enabled(name)), None)


def _matches(pattern: str, handle: str) -> bool:
    starts, ends, middle = pattern.endswith("*"), pattern.startswith("*"), pattern.strip("*")
    if starts and ends:
        return middle in handle
    return (starts and handle.startswith(middle)) or (ends and handle.endswith(middle))


def _backend_tables(built_in: Any, own: Path | None) -> tuple[dict[str, Table], dict[str, str]]:
    tables: dict[str, Table] = read_table(built_in)
    sources = dict.fromkeys(tables, "built-in backends")
    for name, given in read_table(own).items() if own is not None else ():
        table = check_table(given, f"{own}: [{name}]")
        under = dict(tables.get(name, {}))
        if "endpoint" in table:
            # An endpoint written in a file is meant; the variable only replaces the built-in one.
            under.pop("endpoint_variable", None)
        tables[name], sources[name] = merged(under, table), str(own)
    return tables, sources


def _backend(name: str, table: Table, source: str, models: Table) -> Backend:
    for key in ("endpoint", "api_key", "sdk", "endpoint_variable", *_ACCESS_KEYS):
        if not isinstance(table.get(key, ""), str):
            raise ConfigError(f"{key} is a text", where=place(f"{source}: [{name}]", key))
    return Backend(
        name=name,
        source=source,
        enabled=bool(table.get("enabled", True)),
        sdk=table.get("sdk"),
        endpoint=table.get("endpoint"),
        endpoint_variable=table.get("endpoint_variable"),
        api_key=table.get("api_key"),
        others={key: table[key] for key in _ACCESS_KEYS if key in table},
        models={handle: model for handle, model in models.items() if handle != "defaults" and is_table(model)},
        model_defaults=check_table(models.get("defaults", {}), f"{name}.toml: [defaults]"),
    )


def _profile(table: Table, source: str) -> Profile:
    active = table.get("active")
    profiles = check_table(table.get("profiles", {}), f"{source}: [profiles]")
    if active is None:
        return Profile(source)
    if active not in profiles:
        raise ConfigError(
            f"the active routing profile {active!r} is not defined",
            where=place(source, "active"),
            hint=did_you_mean(active, profiles),
        )
    chosen = check_table(profiles[active], f"{source}: [profiles.{active}]")
    return Profile(
        source=f"{source}: [profiles.{active}]",
        routes=dict(chosen.get("routes", {})),
        optional_routes=dict(chosen.get("optional_routes", {})),
        default=chosen.get("default"),
        fallback_order=tuple(chosen.get("fallback_order", ())),
    )


def _model_spec(backend: Backend, handle: str, *, is_extractor: bool = False) -> ModelSpec:
    """Read the table of a model, only when it is wanted: files hold hundreds, some for providers we do not call."""
    own = backend.models.get(handle)
    table = merged(backend.model_defaults, own or {})
    if not table.get("enabled", True):
        raise ModelNotFoundError(f"the model {handle!r} is disabled on the backend {backend.name!r}")
    where = f"backends/{backend.name}.toml: [{handle}]"
    headers = {key: str(value) for key, value in table.items() if "-" in key}
    for key in table:
        if key not in _MODEL_KEYS and key not in headers:
            raise ConfigError(f"unknown key {key!r}", where=where, hint=did_you_mean(key, _MODEL_KEYS))
    valued = table.get("valued_constraints", {})
    parameters = table.get("parameters")
    try:
        return ModelSpec(
            handle=handle,
            model_id=str(table.get("model_id", handle)),
            sdk=_sdk(backend, table),
            is_extractor=table.get("model_type", "text_extractor" if is_extractor else "llm") == "text_extractor",
            inputs=tuple(table.get("inputs", ("text", "images"))),
            costs={key: float(price) for key, price in table.get("costs", {}).items()},
            costs_from=str(table.get("costs_from", "")),
            max_tokens=None if table.get("max_tokens") in (None, "auto") else int(table["max_tokens"]),
            leaves_limit=table.get("max_tokens") == "auto",
            max_prompt_images=table.get("max_prompt_images"),
            constraints=tuple(table.get("listed_constraints", ())),
            fixed_temperature=valued.get("fixed_temperature") if is_table(valued) else None,
            headers=headers,
            structure_method=table.get("structure_method"),
            parameters=None if parameters is None else {key: str(name) for key, name in parameters.items()},
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"a value of this table has the wrong kind: {error}", where=where) from error


def _sdk(backend: Backend, table: Table) -> str:
    return str(table.get("sdk") or backend.sdk or ("openai" if backend.endpoint else "unknown"))
