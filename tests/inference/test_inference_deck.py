import subprocess
import sys

import pytest

from pipelex.errors import ConfigError, CredentialError, ModelNotFoundError
from pipelex.inference.backends import Backends
from pipelex.inference.deck import Deck
from pipelex.language.pipes import PipeLLM
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.models import ModelAsk

LLM_NAMES = [
    "$writing-factual", "$engineering-structured", "$writing-creative", "$retrieval", "$vision",
    "$vision-cheap", "$vision-diagram", "$vision-table", "$img-gen-prompting", "$img-gen-prompting-cheap",
    "$engineering-code", "$engineering-codebase-analysis", "$synthesizing-data", "$deep-analysis",
    "$quick-reasoning", "$creative-writer", "$default", "$testing-text", "$testing-structured",
    "$writing-factual-cheap", "@default-general", "@default-premium", "@default-small",
    "@default-small-creative", "@default-large-context-text", "@default-premium-structured",
    "@default-premium-vision", "@default-small-vision", "@best-claude", "@best-gpt", "@best-gemini",
    "best-claude", "best-gpt",
]  # fmt: skip


def llm(choice) -> ModelAsk:
    return ModelAsk("llm", choice, "for_text")


def extract(choice) -> ModelAsk:
    return ModelAsk("extract", choice, "default")


def configured(tmp_path, environ=None, **files: str) -> Deck:
    """A deck with these files: the key is the path, with `__` for `/`."""
    for name, text in files.items():
        path = tmp_path / "inference" / (name.replace("__", "/") + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Deck.load([tmp_path], environ or {})


@pytest.mark.parametrize("name", LLM_NAMES)
def test_the_names_of_published_methods_resolve(name):
    assert Deck.load([], {}).setting(llm(name)).handle


@pytest.mark.parametrize(
    "name",
    [None, "@default-extract-document", "@default-text-from-pdf", "@default-extract-image", "pdf_text_extractor"],
)
def test_the_extraction_names_resolve(name):
    assert Deck.load([], {}).setting(extract(name)).handle == "pypdfium2-extract-pdf"


@pytest.mark.parametrize(
    ("key", "handle"),
    [
        (None, "gpt-4o"),
        ("OPENAI_API_KEY", "gpt-4o"),
        ("OPENROUTER_API_KEY", "openai/gpt-4o"),
        ("MISTRAL_API_KEY", "mistral-large-latest"),
        ("XAI_API_KEY", "grok-4"),
        ("GROQ_API_KEY", "groq-general"),
    ],
)
def test_the_one_key_that_is_here_decides_the_default(key, handle):
    deck = Deck.load([], {key: "x"} if key else {})
    assert deck.setting(llm(None)).handle == handle


def test_inline_settings():
    deck = Deck.load([], {})
    inline = {"model": "$writing-creative", "max_tokens": "auto", "reasoning_effort": "low"}
    found = deck.setting(llm(inline))
    assert (found.handle, found.temperature, found.max_tokens, found.reasoning_effort) == ("gpt-4o", None, None, "low")
    assert deck.setting(llm({"model": "gpt-4o-mini", "max_tokens": 50})).max_tokens == 50


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"model": "gpt-4o", "temprature": 0.1}, "did you mean 'temperature'"),
        ({"model": "gpt-4o", "temperature": 2}, "temperature = 2"),
        ({"model": "gpt-4o", "reasoning_effort": "low", "reasoning_budget": 5}, "keep one"),
        ({"temperature": 0.1}, "needs a model"),
        ("$writing-factul", "'writing-factual'"),
        ("$default-small", "write '@default-small'"),
        ("best-cluade", "'best-claude'"),
        ("", "not a model reference"),
        ("docling-extract-text", "backend 'docling' needs the docling_sdk SDK, which is not supported by this version"),
    ],
)
def test_wrong_choices_are_explained(choice, words):
    with pytest.raises(ConfigError) as caught:
        Deck.load([], {}).setting(llm(choice))
    assert words in caught.value.render()


def test_user_decks_are_laid_over_in_name_order(tmp_path):
    deck = configured(
        tmp_path,
        deck__1_llm="""
[llm.aliases]
mine = "gpt-4o"
other = "@mine"
[llm.presets.terse]
model = "@other"
temperature = 0.2
max_tokens = 9
""",
        deck__x_custom="""
[llm.aliases]
mine = "my-org/llama"
[llm.choice_overrides]
for_object = "$terse"
for_text = "disabled"
""",
        deck__2_img='[img_gen.presets.x]\nmodel = "y"\n[judgment]\nchoice_default = "z"',
    )
    setting = deck.setting(llm("$terse"))
    assert (setting.handle, setting.temperature, setting.max_tokens) == ("my-org/llama", 0.2, 9)
    assert deck.setting(ModelAsk("llm", None, "for_object")) == setting
    assert deck.setting(llm(None)).handle == "gpt-4o"


def test_circles_and_unknown_keys_are_errors(tmp_path):
    deck = configured(tmp_path, deck__x='[llm.aliases]\na = "@b"\nb = "~c"\n[llm.waterfalls]\nc = ["@a"]')
    with pytest.raises(ConfigError, match="@a -> @b -> ~c -> @a"):
        deck.setting(llm("@a"))
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, deck__y="[llm.preset.x]\nmodel = 'y'")
    assert "did you mean 'presets'" in caught.value.render()
    assert "y.toml" in caught.value.render()
    with pytest.raises(ConfigError, match="not valid TOML"):
        configured(tmp_path, deck__y="[llm")


def test_the_first_folder_that_has_a_deck_wins(tmp_path):
    configured(tmp_path / "home", deck__a='[llm.aliases]\nhome = "gpt-4o"')
    configured(tmp_path / "project", deck__a='[llm.aliases]\nproject = "gpt-4o"')
    deck = Deck.load([tmp_path / "project", tmp_path / "home"], {})
    assert deck.setting(llm("@project")).handle == "gpt-4o"
    with pytest.raises(ModelNotFoundError):
        deck.setting(llm("@home"))


def image(choice) -> ModelAsk:
    return ModelAsk("img_gen", choice, "default")


def test_the_image_deck_of_earlier_kits_loads(tmp_path):
    deck = configured(
        tmp_path,
        deck__2_img_gen_deck="""
[img_gen]
default_quality = "medium"
choice_default = "$plain"
[img_gen.presets]
plain = { model = "gpt-image-1", description = "Without a quality" }
quick = { model = "gpt-image-1", quality = "low" }
steps = { model = "gpt-image-1", nb_steps = 4 }
""",
    )
    asked = [None, "$quick", "$steps", "gpt-image-1", {"model": "gpt-image-1", "quality": "high"}]
    assert [deck.setting(image(choice)).quality for choice in asked] == ["medium", "low", None, "medium", "high"]
    assert Deck.load([], {}).setting(image("gpt-image-1")).quality is None
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, deck__y='[img_gen]\ndefault_quality = "best"')
    assert "default_quality = 'best'" in caught.value.render()
    assert "hint: write one of low, medium, high" in caught.value.render()
    with pytest.raises(ConfigError, match="default_quality"):
        configured(tmp_path / "llm", deck__z='[llm]\ndefault_quality = "low"')


def test_what_kits_wrote_into_extraction_presets_changes_nothing_and_what_people_chose_is_told(tmp_path):
    deck = configured(
        tmp_path,
        deck__3_extract_deck="""
[extract.presets]
shipped = { model = "pypdfium2-extract-pdf", max_nb_images = 100, image_min_size = 50 }
chosen = { model = "pypdfium2-extract-pdf", max_nb_images = 3, image_min_size = 50 }
""",
    )
    assert deck.setting(extract("$shipped")) == deck.setting(extract("pypdfium2-extract-pdf"))
    with pytest.raises(ConfigError, match="max_nb_images is not supported"):
        deck.setting(extract("$chosen"))
    with pytest.raises(ConfigError, match="max_nb_images is not supported"):
        deck.setting(extract({"model": "pypdfium2-extract-pdf", "max_nb_images": 100}))


def test_routing_profiles(tmp_path):
    deck = configured(
        tmp_path,
        backends="""
[vllm]
endpoint = "http://gpu:8000/v1"
[other]
endpoint = "http://other/v1"
[off]
enabled = false
""",
        routing_profiles="""
active = "mine"
[profiles.mine]
default = "other"
fallback_order = ["off", "vllm"]
[profiles.mine.routes]
"exact" = "vllm"
"pre*" = "vllm"
"*-post" = "vllm"
"*mid*" = "vllm"
"off-*" = "off"
[profiles.mine.optional_routes]
"pre-x" = "off"
""",
    )
    for handle in ("exact", "prefix", "a-post", "a-mid-b", "pre-x"):
        assert deck.backends.route(handle).backend.name == "vllm", handle
    assert deck.backends.route("anything").backend.name == "other"
    assert deck.backends.route("pypdfium2-extract-pdf").backend.name == "internal"
    with pytest.raises(ModelNotFoundError, match="disabled"):
        deck.backends.route("off-1")


def test_a_profile_of_backends_that_cannot_be_called_is_explained(tmp_path):
    deck = configured(
        tmp_path,
        backends='[pipelex_gateway]\nendpoint = "https://gateway"\napi_key = "${PIPELEX_GATEWAY_API_KEY}"',
        backends__pipelex_gateway='[defaults]\nsdk = "gateway_completions"\n["gpt-4o"]\ninputs = ["text"]',
        routing_profiles='active = "all"\n[profiles.all]\ndefault = "pipelex_gateway"',
    )
    with pytest.raises(ModelNotFoundError) as caught:
        deck.setting(llm("gpt-4o"))
    assert "backend 'pipelex_gateway' needs the gateway_completions SDK" in caught.value.render()
    assert "OpenAI-compatible" in caught.value.render()
    assert deck.setting(llm("gpt-4o"), simulate=True).backend == "simulated"


def test_model_tables(tmp_path):
    deck = configured(
        tmp_path,
        backends='[lab]\nendpoint = "http://lab/v1"',
        backends__lab="""
[defaults]
model_type = "llm"
X-Team = "blue"
[gpt-lab]
model_id = "lab/1"
inputs = ["text"]
costs = { input = 1, output = 2 }
[typo]
model_idd = "x"
""",
    )
    route = deck.backends.route("gpt-lab")
    assert route.backend.name == "lab"
    assert (route.model.model_id, route.model.inputs, dict(route.model.headers)) == (
        "lab/1",
        ("text",),
        {"X-Team": "blue"},
    )
    with pytest.raises(ConfigError, match="model_idd"):
        deck.backends.route("typo")


def test_keys_are_looked_up_only_when_a_backend_is_used(tmp_path):
    files = {"backends": '[openrouter]\napi_key = "${env:MY_KEY|secret:THEIR_KEY}"'}
    backends = configured(tmp_path, {}, **files).backends
    with pytest.raises(CredentialError) as caught:
        backends.access(backends.route("a/b").backend)
    for words in ("'openrouter'", "MY_KEY or THEIR_KEY", "backends.toml", "export MY_KEY=", "--simulate"):
        assert words in caught.value.render()
    backends = configured(tmp_path, {"THEIR_KEY": "s3cret"}, **files).backends
    assert backends.access(backends.route("a/b").backend).api_key == "s3cret"
    assert "s3cret" not in repr(backends.access(backends.route("a/b").backend))


def test_the_endpoint_of_openai(tmp_path):
    environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://mine/v1/"}
    backends = Backends.load([], environ)
    assert backends.access(backends.route("gpt-4o").backend).endpoint == "http://mine/v1"
    backends = Backends.load([], {"OPENAI_API_KEY": "k"})
    assert backends.access(backends.route("gpt-4o").backend).endpoint == "https://api.openai.com/v1"
    backends = configured(tmp_path, environ, backends='[openai]\nendpoint = "http://file/v1"').backends
    assert backends.access(backends.route("gpt-4o").backend).endpoint == "http://file/v1"


def test_settings_for_a_crate_name_the_pipe_that_asks():
    def pipe(model):
        return PipeLLM(type="PipeLLM", description="d", output="native.Text", prompt="p", model=model)

    crate = LibraryCrate(pipes={"a.one": pipe("$default"), "a.two": pipe("$default"), "a.three": pipe(None)})
    settings = Deck.load([], {}).settings_for(crate)
    assert {key: setting.handle for key, setting in settings.items()} == {
        "llm:=$default": "gpt-4o",
        "llm:for_text": "gpt-4o",
    }
    simulated = Deck.load([], {}).settings_for(crate, simulate=True)
    assert {setting.backend for setting in simulated.values()} == {"simulated"}
    with pytest.raises(ModelNotFoundError) as caught:
        Deck.load([], {}).settings_for(LibraryCrate(pipes={"a.one": pipe("$nope")}))
    assert "pipe a.one" in caught.value.render()


def test_reading_settings_and_decks_loads_nothing_heavy():
    code = (
        "import sys, pipelex.inference.settings, pipelex.inference.deck as d; d.Deck.load([], {});"
        "print([m for m in ('httpx2', 'pypdfium2', 'jsonschema_rs', 'PIL', 'temporalio') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
