"""What no error tells: the secrets of the environment, the passwords of urls, whatever looks like a key."""

from __future__ import annotations

import pytest

from pipelex.errors import FunctionError
from pipelex.inference.redaction import redact, secrets_among, shown_url, without_secrets

ENVIRON = {
    "OPENAI_API_KEY": "key-of-a-provider",
    "WAREHOUSE_TOKEN": "token-of-a-warehouse",
    "DB_PASSWORD": "hunter2-hunter2",
    "DATABASE_URL": "postgres://ada:password-in-a-url@db:5432/x",
    "TLS_KEY_FILE": "/etc/tls/client.key",
    "SHORT_KEY": "stub",
    "HOME": "/home/ada",
}


def test_secrets_are_found_by_the_names_of_variables_and_in_urls() -> None:
    assert secrets_among(ENVIRON) == {
        "key-of-a-provider",
        "token-of-a-warehouse",
        "hunter2-hunter2",
        "password-in-a-url",
    }


def test_an_error_keeps_all_but_the_secrets() -> None:
    error = FunctionError("token-of-a-warehouse expired", where="at hunter2-hunter2", hint="renew hunter2-hunter2")
    without_secrets(error, secrets_among(ENVIRON))
    assert (error.message, error.where, error.hint) == ("[key] expired", "at [key]", "renew [key]")
    assert str(error) == "[key] expired"


def test_of_two_secrets_one_in_the_other_nothing_is_left() -> None:
    assert redact("it is secret-and-more", {"secret", "secret-and-more", ""}) == "it is [key]"
    assert redact("you gave sk-proj-12**89", ()) == "you gave [key]"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://llm.example/v1", "https://llm.example/v1"),
        ("https://llm.example/v1?code=q7#part", "https://llm.example/v1"),
        ("https://ada:lovelace@llm.example:8443/v1/?code=q7", "https://llm.example:8443/v1/"),
        ("https://ada:love?lace@x@llm.example", "https://llm.example"),
        ("https://token@llm.example/at@home", "https://llm.example/at@home"),
        ("ada:lovelace@temporal.example:7233", "temporal.example:7233"),
        ("temporal.example:7233", "temporal.example:7233"),
        ("llm.example/v1?next=https://other.example", "llm.example/v1"),
        ("https://${HOST}/v1?code=${CODE}", "https://${HOST}/v1"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret_in_it(url: str, shown: str) -> None:
    assert shown_url(url) == shown
