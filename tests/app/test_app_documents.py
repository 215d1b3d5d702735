from __future__ import annotations

from pathlib import Path

import pytest

from pipelex.app import Runtime
from pipelex.app import method as method_module
from pipelex.config.load import load_settings
from pipelex.errors import ConfigError

LETTER = """
domain = "letters"
main_pipe = "print_letter"
[pipe.print_letter]
type = "PipeDocGen"
description = "Print a letter"
inputs = { body = "Text" }
output = "Document"
format = "pdf"
"""


async def test_only_the_process_that_writes_a_document_needs_what_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_module, "document_formats", lambda: ("xlsx",))
    async with Runtime.open(load_settings(cwd=tmp_path, environ={}).settings) as runtime:
        method = runtime.load(LETTER)
        assert [warning.hint for warning in method.warnings] == ['pip install "pipelex[documents]"']
        await runtime.run(None, {"body": "x"}, method=method, dry_run=True, durable=False)
        with pytest.raises(ConfigError, match="'print_letter' writes a pdf, and nothing is installed here") as caught:
            await runtime.run(None, {"body": "x"}, method=method, durable=False)
        assert caught.value.hint == 'pip install "pipelex[documents]", or run it on a worker that has it'
