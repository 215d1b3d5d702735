"""Every key of MTHDS sections 1, 4, 8, 9 and 9A, with a document that has it."""

from __future__ import annotations

from typing import Final

HEAD: Final = 'domain = "tea"\n'
_TEXT: Final = 'output = "Text"\n'
_STEP: Final = 'pipe = "q", '


def _pipe(kind: str, rest: str) -> str:
    return f'{HEAD}[pipe.p]\ntype = "{kind}"\ndescription = "d"\n{rest}\n'


def _field(rest: str) -> str:
    return (
        f'{HEAD}[concept.Leaf]\ndescription = "d"\n[concept.Note]\ndescription = "d"\n'
        f'[concept.Note.structure]\nf = {{ description = "f", {rest} }}\n'
    )


def _of(kind: str, always: str, **rows: str) -> dict[str, str]:
    """Documents of one kind of pipe; `always` are the keys that the kind cannot do without."""
    return {key: _pipe(kind, f"{always}{line}") for key, line in rows.items()}


def _lines(*pairs: str) -> dict[str, str]:
    """`key = value` lines by their key."""
    return {pair.partition(" = ")[0]: pair for pair in pairs}


_LLM = _TEXT
_IMAGE = 'output = "Image"\nprompt = "a cup"\n'
_PAGES = 'inputs = { doc = "Document" }\noutput = "Page[]"\n'
_FOUND = 'output = "SearchResult"\nprompt = "tea"\n'
_JUDGED = 'inputs = { cup = "Text" }\nprompt = "$cup"\n'
_YES = f'{_JUDGED}output = "YesNo"\nquestion = "Fresh?"\n'
_LIST = 'inputs = { cups = "Text[]" }\noutput = "Text[]"\n'
_ROUTE = 'inputs = { cup = "Text" }\noutput = "Text"\n'
_OUTCOMES = 'outcomes = { a = "q" }\ndefault_outcome = "q"\n'
_EACH = f'{_LIST}branch_pipe_code = "q"\ninput_list_name = "cups"\ninput_item_name = "cup"\n'
_NOTE = 'inputs = { cup = "Text", cups = "Text[]" }\noutput = "Note"\n'
_STYLE = '{ tag_style = "xml", text_format = "plain" }'


def _steps(kind: str, step: str) -> str:
    steps, output = ("steps", "Text[]") if kind == "PipeSequence" else ("branches", "Composite")
    return _pipe(kind, f'inputs = {{ cups = "Text[]", cup = "Text" }}\noutput = "{output}"\n{steps} = [{{ {step} }}]')


def _question(rest: str, output: str) -> str:
    return _pipe("PipeJudge", f'{_JUDGED}output = "{output}"\nquestions = {{ fresh = {{ {rest} }} }}\n')


KEYS: Final[dict[str, dict[str, str]]] = {
    "header": {
        "domain": HEAD,
        "description": f'{HEAD}description = "d"\n',
        "system_prompt": f'{HEAD}system_prompt = "d"\n',
        "main_pipe": f'{HEAD}main_pipe = "p"\n[pipe.p]\ndescription = "d"\noutput = "Text"\n',
        "concept": f"{HEAD}[concept]\n",
        "pipe": f"{HEAD}[pipe]\n",
    },
    "Concept": {
        "description": f'{HEAD}[concept.Note]\ndescription = "d"\n',
        "structure": f'{HEAD}[concept.Note]\ndescription = "d"\nstructure = {{ a = "a" }}\n',
        "refines": f'{HEAD}[concept.Note]\ndescription = "d"\nrefines = "Text"\n',
        "hints": f'{HEAD}[concept.Note]\ndescription = "d"\nhints = {{ intent = "prose" }}\n',
    },
    "Field": {
        "description": _field('type = "text"'),
        "type": _field('type = "integer"'),
        "required": _field('type = "date", required = true'),
        "default_value": _field('type = "number", default_value = 2.5'),
        "choices": _field('choices = ["a", "b"]'),
        "item_type": _field('type = "list", item_type = "text"'),
        "item_concept_ref": _field('type = "list", item_type = "concept", item_concept_ref = "Leaf"'),
        "concept_ref": _field('type = "concept", concept_ref = "Leaf"'),
        "key_type": _field('type = "dict", key_type = "text", value_type = "Any"'),
        "value_type": _field('type = "dict", key_type = "text", value_type = "integer"'),
        "hints": _field('type = "text", hints = { intent = "label" }'),
    },
    "InputTable": {
        "concept": _pipe("PipeFunc", _TEXT + 'function_name = "f"\ninputs = { a = { concept = "Text" } }'),
        "hints": _pipe(
            "PipeFunc",
            _TEXT + 'function_name = "f"\ninputs = { a = { concept = "Text", hints = { intent = "prose" } } }',
        ),
    },
    "PipeSignature": {
        key: f'{HEAD}[pipe.p]\ndescription = "d"\noutput = "Text"\n{line}\n'
        for key, line in {
            "description": "",
            "output": "",
            "inputs": 'inputs = { a = "Text" }',
            "signature_for": 'signature_for = "PipeLLM"',
        }.items()
    },
    "PipeLLM": _of(
        "PipeLLM",
        _LLM,
        type="",
        description="",
        output="",
        inputs='inputs = { a = "Text" }\nprompt = "$a"',
        **_lines(
            'prompt = "x"',
            'system_prompt = "x"',
            'model = "$x"',
            'structuring_method = "direct"',
            'model_to_structure = "$x"',
            'templating_style = "ticks"',
        ),
    ),
    "PipeStructure": _of("PipeStructure", 'inputs = { a = "Text" }\noutput = "Number"\n', model='model = "@x"'),
    "PipeFunc": _of("PipeFunc", _TEXT, function_name='function_name = "f.g"'),
    "PipeImgGen": _of(
        "PipeImgGen",
        _IMAGE,
        prompt="",
        **_lines(
            'negative_prompt = "x"',
            'model = { model = "m", quality = "low" }',
            'aspect_ratio = "landscape_16_9"',
            'size = "2k"',
            "is_raw = true",
            "seed = 7",
            'background = "opaque"',
            'output_format = "webp"',
        ),
    ),
    "PipeExtract": _of(
        "PipeExtract",
        _PAGES,
        **_lines(
            'model = "@x"',
            "max_page_images = 0",
            "page_image_captions = true",
            "page_views = true",
            "page_views_dpi = 72",
            "render_js = true",
            "include_raw_html = true",
        ),
    ),
    "PipeSearch": _of(
        "PipeSearch",
        _FOUND,
        prompt="",
        **_lines(
            'model = "$standard"',
            "include_images = true",
            "max_results = 3",
            'from_date = "2030-01-31"',
            "to_date = 2030-02-01",
            'include_domains = ["tea.org"]',
            'exclude_domains = ["milk.org"]',
        ),
    ),
    "PipeJudge": {
        **_of("PipeJudge", _YES, prompt="", question="", model='model = "@x"', threshold="threshold = 0.7"),
        "criteria": _pipe("PipeJudge", f'{_YES}criteria = {{ yes = "y", no = "n" }}'),
        "options": _pipe("PipeJudge", _YES.replace("YesNo", "Choice") + 'options = { a = "", b = "b" }'),
        "levels": _pipe("PipeJudge", _YES.replace("YesNo", "Rating") + 'levels = ["bad", "good"]'),
        "questions": _question('question = "Fresh?"', "Verdicts"),
    },
    "Question": {
        "question": _question('question = "Fresh?"', "Verdicts"),
        "options": _question('question = "Which?", options = { a = "", b = "b" }', "Verdicts"),
        "levels": _question(
            'question = "How?", levels = [{ label = "a", description = "b" }, { label = "c", description = "d" }]', "V"
        ),
        "criteria": _question('question = "Fresh?", criteria = { yes = "y", no = "n" }', "Verdicts"),
        "threshold": _question('question = "Fresh?", threshold = 0.2', "Verdicts"),
    },
    "PipeCompose": {
        "template": _pipe("PipeCompose", _TEXT + 'template = "x"'),
        "construct": _pipe("PipeCompose", _NOTE + "construct = { a = 1 }"),
    },
    "TemplateTable": {
        key: _pipe("PipeCompose", f'{_TEXT}template = {{ template = "x", category = "markdown"{rest} }}')
        for key, rest in {
            "template": "",
            "category": "",
            "templating_style": f", templating_style = {_STYLE}",
            "extra_context": ", extra_context = { year = 2031 }",
        }.items()
    },
    "Construct": {
        "from": _pipe("PipeCompose", _NOTE + 'construct = { a = { from = "cup.text" } }'),
        "list_to_dict_keyed_by": _pipe(
            "PipeCompose", _NOTE + 'construct = { a = { from = "cups", list_to_dict_keyed_by = "text" } }'
        ),
        "template": _pipe("PipeCompose", _NOTE + 'construct = { a = { template = "$cup" } }'),
    },
    "PipeDocGen": {
        key: _pipe("PipeDocGen", f'output = "Document"\nformat = "pdf"\n{line}')
        for key, line in {
            "format": "",
            "template": 'template = "<p>x</p>"',
            "template_file": 'template_file = "pages/x.html"',
            "filename": 'filename = "made"',
        }.items()
    },
    "PipeSequence": {"steps": _steps("PipeSequence", 'pipe = "q"')},
    "Step": {
        "pipe": _steps("PipeSequence", 'pipe = "q"'),
        "result": _steps("PipeSequence", _STEP + 'result = "r"'),
        "nb_output": _steps("PipeSequence", _STEP + "nb_output = 3"),
        "multiple_output": _steps("PipeSequence", _STEP + "multiple_output = true"),
        "batch_over": _steps("PipeSequence", _STEP + 'batch_over = "cups", batch_as = "c"'),
        "batch_as": _steps("PipeSequence", _STEP + 'batch_over = "page.images", batch_as = "c"'),
    },
    "Binding": {
        "from": _steps("PipeSequence", 'from = "cup.text", result = "r"'),
        "result": _steps("PipeSequence", 'from = "cup", result = "r"'),
    },
    "PipeParallel": {
        "branches": _steps("PipeParallel", _STEP + 'result = "r"'),
        "add_each_output": _steps("PipeParallel", _STEP + 'result = "r"') + "add_each_output = true\n",
    },
    "PipeCondition": {
        **_of(
            "PipeCondition",
            f'{_ROUTE}{_OUTCOMES}expression = "cup.text"\n',
            expression="",
            outcomes="",
            default_outcome="",
        ),
        "expression_template": _pipe("PipeCondition", f'{_ROUTE}{_OUTCOMES}expression_template = "{{{{ cup.text }}}}"'),
        "add_alias_from_expression_to": _pipe(
            "PipeCondition", f'{_ROUTE}{_OUTCOMES}expression = "cup.text"\nadd_alias_from_expression_to = "chosen"'
        ),
    },
    "PipeBatch": _of(
        "PipeBatch",
        _EACH,
        branch_pipe_code="",
        input_list_name="",
        input_item_name="",
        max_concurrency="max_concurrency = 2",
    ),
}
"""Table of the language -> its keys -> a document that the strict profile takes."""

OLD_KEYS: Final[dict[str, str]] = {
    "prompt_template": _pipe("PipeLLM", _TEXT + 'prompt_template = "x"'),
    "prompting_target": _pipe("PipeLLM", _TEXT + 'prompting_target = "openai"'),
    "model.prompting_target": _pipe("PipeLLM", _TEXT + 'model = { model = "m", prompting_target = "openai" }'),
    "PipeJudge without prompt": _pipe("PipeJudge", 'inputs = { cup = "Text" }\noutput = "YesNo"\nquestion = "Fresh?"'),
    "combined_output": _steps("PipeParallel", _STEP + 'result = "r"') + 'combined_output = "Note"\n',
    "pipe_map": _pipe("PipeCondition", f'{_ROUTE}expression = "cup.text"\npipe_map = {{ a = "q" }}'),
    "default_pipe_code": _pipe(
        "PipeCondition", f'{_ROUTE}expression = "cup.text"\noutcomes = {{ a = "q" }}\ndefault_pipe_code = "q"'
    ),
    "batch_params": _pipe(
        "PipeBatch",
        f'{_LIST}branch_pipe_code = "q"\n'
        'batch_params = { input_list_stuff_name = "cups", input_item_stuff_name = "cup" }',
    ),
    "PipeSignature": _pipe("PipeSignature", _TEXT),
    "item_type": _field('type = "list", item_type = "Leaf"'),
    "key_type": _field('type = "dict", key_type = "str", value_type = "text"'),
}
"""What older versions wrote: taken with a warning, refused by the strict profile."""
