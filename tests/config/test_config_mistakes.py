from __future__ import annotations

from pathlib import Path

import pytest

from pipelex.config.load import load_settings
from pipelex.errors import ConfigError


def mistakes(tmp_path: Path, text: str, **environ: str) -> ConfigError:
    (tmp_path / "home").mkdir()
    (tmp_path / ".pipelex").mkdir()
    (tmp_path / ".pipelex" / "pipelex.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path / "home"), **environ})
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("[temporal]\nis_enable = true", 2, 1, "unknown key 'is_enable' in [temporal]", "did you mean 'is_enabled'?"),
        ("[temporl]\nx = 1", 1, 2, "unknown section 'temporl'", "did you mean 'temporal'?"),
        (
            '[temporal]\nis_enabled = "perhaps"',
            *(
                2,
                1,
                "temporal.is_enabled: should be a valid boolean, unable to interpret input (it is 'perhaps')",
                None,
            ),
        ),
        (
            '\n[temporal.worker_config]\nrun_timeout = "soon"',
            *(
                3,
                1,
                "temporal.worker_config.run_timeout: should be a duration, such as '90s', '10m', '1h30m' or '0:10:00'",
            ),
            None,
        ),
        (
            '[temporal.activity_queues.act_llm_gen_text]\ndefaul = "q"',
            *(2, 1, "unknown key 'defaul' in [temporal.activity_queues.act_llm_gen_text]", "did you mean 'default'?"),
        ),
        (
            "[pipelex.storage_config]\nmethd = 'local'",
            2,
            1,
            "unknown key 'methd' in [storage]",
            "did you mean 'method'?",
        ),
        ("root = '/'", 1, 1, "unknown section 'root'", None),
        ("[library]\ndirs = 3", 2, 1, "library.dirs: should be a valid tuple (it is 3)", None),
    ],
)
def test_a_mistake_is_shown_where_it_was_written(
    tmp_path: Path, text: str, line: int, column: int, message: str, hint: str | None
) -> None:
    problem = mistakes(tmp_path, text).found[0]
    assert (problem.line, problem.column) == (line, column)
    assert problem.file == str(tmp_path / ".pipelex" / "pipelex.toml")
    assert problem.excerpt == text.splitlines()[line - 1]
    assert message in problem.message
    assert hint is None or problem.hint == hint


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    error = mistakes(tmp_path, "[storage]\nfoo = 1\n[temporal]\nbar = 2\nis_enabled = 'x'\n")
    assert [problem.line for problem in error.found] == [2, 4, 5]
    assert error.message == "3 settings are wrong"


def test_a_missing_variable_names_the_line_and_the_variable(tmp_path: Path) -> None:
    error = mistakes(tmp_path, '[storage]\nlocal_storage_path = "${NOT_THERE}/x"\n')
    assert [problem.line for problem in error.found] == [2]
    assert "needs the environment variable NOT_THERE" in error.found[0].message


def test_a_text_that_is_not_toml_is_shown_with_its_place(tmp_path: Path) -> None:
    error = mistakes(tmp_path, "[temporal\n")
    assert error.found[0].code == "toml_parse_error"
    assert error.found[0].line == 1


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    error = mistakes(tmp_path, "", PIPELEX__TEMPORAL__IS_ENABLD="true")
    assert error.found[0].file == "environment variable PIPELEX__TEMPORAL__IS_ENABLD"
    assert error.found[0].hint == "did you mean 'is_enabled'?"


def test_an_unknown_environment_is_refused(tmp_path: Path) -> None:
    assert "local, dev, staging, prod" in mistakes(tmp_path, "", PIPELEX_ENV="qa").found[0].message


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    error = mistakes(tmp_path, "[temporal.temporal_config.temporal_server_configs.x]\napi_key = 'hunter2'\n")
    assert error.found[0].line == 2
    assert "hunter2" not in error.render()


@pytest.mark.parametrize(
    "text",
    [
        'storage = "KEY"',
        '[temporal.temporal_config.temporal_server_configs]\nlocal = "KEY"',
        '[temporal.payloads.encryption.keys.one]\nvalue = "KEY"',
        '[storage.s3]\nbucket_name = "KEY',
    ],
    ids=["a table", "a profile", "an unknown key", "no TOML"],
)
def test_a_key_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    shown = mistakes(tmp_path, text.replace("KEY", "sk-hunter2hunter2")).render()
    assert "[key]" in shown
    assert "hunter2" not in shown


def test_the_whole_message_fits_one_screen_with_a_caret(tmp_path: Path) -> None:
    shown = mistakes(tmp_path, "[temporal]\nis_enable = true\n").render().replace(str(tmp_path), "")
    assert shown == (
        "/.pipelex/pipelex.toml:2:1: error: unknown key 'is_enable' in [temporal] [unknown_key]\n"
        "  2 | is_enable = true\n"
        "      ^\n"
        "  hint: did you mean 'is_enabled'?\n"
        "error: one setting is wrong [config-error]"
    )
