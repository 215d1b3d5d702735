from __future__ import annotations

from pathlib import Path

import pytest

from pipelex.config.load import Loaded, load_settings
from pipelex.config.project import find_project


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with `~/.pipelex` and a project `work` with `.pipelex`."""
    (tmp_path / "home" / ".pipelex").mkdir(parents=True)
    (tmp_path / "work" / ".pipelex").mkdir(parents=True)
    return tmp_path


def load(place: Path, *, overrides: dict[str, object] | None = None, **environ: str) -> Loaded:
    return load_settings(cwd=place / "work", environ={"HOME": str(place / "home"), **environ}, overrides=overrides)


def user(place: Path, text: str, name: str = "pipelex.toml") -> None:
    (place / "home" / ".pipelex" / name).write_text(text)


def project(place: Path, text: str, name: str = "pipelex.toml") -> None:
    (place / "work" / ".pipelex" / name).write_text(text)


QUEUE = '[temporal.worker_config]\ndefault_task_queue = "{}"\n'


def queue(loaded: Loaded) -> str:
    return loaded.settings.temporal.worker_config.default_task_queue


def test_without_any_file_the_defaults_hold_and_nothing_is_created(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    loaded = load_settings(cwd=work, environ={"HOME": str(home)})
    assert loaded.settings.temporal.is_enabled is False
    assert loaded.warnings == ()
    assert loaded.settings.root == work
    assert list(home.iterdir()) == []


def test_each_layer_wins_over_the_former(place: Path) -> None:
    user(place, QUEUE.format("user"))
    assert queue(load(place)) == "user"
    user(place, QUEUE.format("user_override"), "pipelex_override.toml")
    assert queue(load(place)) == "user_override"
    project(place, QUEUE.format("project"))
    assert queue(load(place)) == "project"
    for variant in ("local", "dev", "normal", "override", "temporary_override"):
        project(place, QUEUE.format(variant), f"pipelex_{variant}.toml")
        assert queue(load(place)) == variant
    variable = {"PIPELEX__TEMPORAL__WORKER_CONFIG__DEFAULT_TASK_QUEUE": "variable"}
    assert queue(load(place, **variable)) == "variable"
    override = {"temporal": {"worker_config": {"default_task_queue": "program"}}}
    assert queue(load(place, overrides=override, **variable)) == "program"


def test_tables_merge_key_by_key_and_lists_are_replaced(place: Path) -> None:
    user(place, '[temporal]\nis_enabled = true\n[temporal.search_attributes]\nattributes = ["UserId", "PipeCode"]\n')
    project(place, '[temporal.search_attributes]\nattributes = ["DomainCode"]\n')
    temporal = load(place).settings.temporal
    assert temporal.is_enabled is True
    assert temporal.search_attributes.attributes == ("DomainCode",)


def test_the_environment_chooses_the_variant(place: Path) -> None:
    project(place, QUEUE.format("prod"), "pipelex_prod.toml")
    assert queue(load(place)) == "temporal_task_queue"
    assert queue(load(place, PIPELEX_ENV="prod")) == "prod"


def test_pipelex_home_replaces_the_directory_of_the_user(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pipelex.toml").write_text(QUEUE.format("elsewhere"))
    user(place, QUEUE.format("user"))
    loaded = load(place, PIPELEX_HOME=str(elsewhere))
    assert queue(loaded) == "elsewhere"
    assert loaded.settings.config_dirs == (place / "work" / ".pipelex", elsewhere)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PIPELEX__TEMPORAL__IS_ENABLED", "true", ("is_enabled", True)),
        ("PIPELEX__TEMPORAL__IS_ENABLED", "0", ("is_enabled", False)),
        (
            "PIPELEX__TEMPORAL__SEARCH_ATTRIBUTES__ATTRIBUTES",
            '["UserId"]',
            ("search_attributes.attributes", ["UserId"]),
        ),
        ("PIPELEX__TEMPORAL__EXECUTION__BATCH_WINDOW", "7", ("execution.batch_window", 7)),
    ],
)
def test_variables_are_read_as_what_the_setting_is(
    place: Path, name: str, value: str, expected: tuple[str, object]
) -> None:
    found = load(place, **{name: value}).settings.temporal.model_dump(mode="json")
    path, wanted = expected
    for key in path.split("."):
        found = found[key]
    assert found == wanted


def test_variables_reach_keys_that_are_not_lower_case(place: Path) -> None:
    project(place, '[temporal.temporal_config.temporal_server_configs.EU-1]\nnamespace = "one"\n')
    name = "PIPELEX__TEMPORAL__TEMPORAL_CONFIG__TEMPORAL_SERVER_CONFIGS__EU-1__NAMESPACE"
    servers = load(place, **{name: "two"}).settings.temporal.temporal_config.temporal_server_configs
    assert servers["EU-1"].namespace == "two"


def test_texts_take_variables_of_the_environment(place: Path) -> None:
    project(place, QUEUE.format("${QUEUE}-${env:ZONE}-${env:NONE|secret:LAST}"))
    assert queue(load(place, QUEUE="q", ZONE="z", LAST="l")) == "q-z-l"


def test_servers_that_are_not_selected_keep_their_placeholders(place: Path) -> None:
    servers = "[temporal.temporal_config.temporal_server_configs.testing]\ntarget_host = '${TESTING_HOST}'\n"
    project(place, servers)
    found = load(place).settings.temporal.temporal_config.temporal_server_configs
    assert found["testing"].target_host == "${TESTING_HOST}"


def test_dotenv_completes_the_environment_and_never_undoes_it(place: Path) -> None:
    (place / "home" / ".pipelex" / ".env").write_text("A=user\nB=user\nC=user\n")
    (place / "work" / ".env").write_text("B=project\nC=project\n")
    loaded = load(place, C="process")
    assert [loaded.environ[name] for name in "ABC"] == ["user", "project", "process"]


def test_dotenv_can_hold_settings(place: Path) -> None:
    (place / "work" / ".env").write_text("PIPELEX__TEMPORAL__IS_ENABLED=true\n")
    assert load(place).settings.temporal.is_enabled is True


def test_library_directories_are_relative_to_the_project_and_pipelexpath_replaces_them(place: Path) -> None:
    project(place, '[library]\ndirs = ["methods"]\n')
    assert load(place).settings.library.dirs == (place / "work" / "methods",)
    found = load(place, PIPELEXPATH="/one:two").settings.library.dirs
    assert found == (Path("/one"), place / "work" / "two")


def test_sections_of_earlier_releases_are_named_and_what_means_the_same_is_kept(place: Path) -> None:
    project(
        place,
        '[pipelex.storage_config]\nlocal_storage_path = "there"\n[pipelex.log_config]\nlevel = "INFO"\n'
        "[cogt]\nx = 1\n[inference.llm]\ny = 1\n",
    )
    loaded = load(place)
    assert loaded.settings.storage.local_storage_path == "there"
    assert len(loaded.warnings) == 1
    assert "pipelex.log_config, cogt, inference.llm" in loaded.warnings[0]


def test_every_value_knows_where_it_was_written(place: Path) -> None:
    user(place, QUEUE.format("user"))
    project(place, "[temporal]\nis_enabled = true\n")
    sources = load(place).sources
    assert sources["temporal.is_enabled"] == str(place / "work" / ".pipelex" / "pipelex.toml")
    assert sources["temporal.worker_config.default_task_queue"] == str(place / "home" / ".pipelex" / "pipelex.toml")


@pytest.mark.parametrize("mark", [".git", "pyproject.toml", ".pipelex"])
def test_the_root_is_the_nearest_directory_with_a_mark(tmp_path: Path, mark: str) -> None:
    below = tmp_path / "root" / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "root" / mark).mkdir()
    assert find_project(below, {"HOME": str(tmp_path)}).root == tmp_path / "root"


def test_the_home_directory_is_never_a_root(tmp_path: Path) -> None:
    (tmp_path / ".pipelex").mkdir()
    below = tmp_path / "a"
    below.mkdir()
    found = find_project(below, {"HOME": str(tmp_path)})
    assert found.root == below
    assert found.config_dirs == (tmp_path / ".pipelex",)
