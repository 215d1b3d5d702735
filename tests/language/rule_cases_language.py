"""Files that keep or break each rule of MTHDS that one file alone can break: at least one of each for every rule.

Every text is a whole method, so that other suites can load it as a library too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class RuleCase:
    """One file. Valid with a code: accepted with exactly that warning. Valid without one: nothing is said of it.

    Not valid: refused for exactly that error, and nothing else is said.
    """

    rule: int
    code: str
    text: str
    is_valid: bool
    strict: bool = False


HEAD = 'domain = "tea"\n'
CONTRACT = '[pipe.rate]\ndescription = "d"\ninputs = { cup = "Text" }\noutput = "Text"\n'
"""A signature."""
RATE = CONTRACT + 'type = "PipeLLM"\nprompt = "$cup"\n'
"""A pipe for others to call."""


def keep(rule: int, text: str, code: str = "", *, strict: bool = False) -> RuleCase:
    return RuleCase(rule, code, text, is_valid=True, strict=strict)


def breach(rule: int, code: str, text: str, *, strict: bool = False) -> RuleCase:
    return RuleCase(rule, code, text, is_valid=False, strict=strict)


def dated(rule: int, code: str, text: str) -> list[RuleCase]:
    """A warning in the standard profile, an error in the strict one."""
    return [keep(rule, text, code), breach(rule, code, text, strict=True)]


def both(rule: int, text: str) -> list[RuleCase]:
    """Kept in both profiles."""
    return [keep(rule, text), keep(rule, text, strict=True)]


def pipe(kind: str, *lines: str, output: str = "Text", before: str = "") -> str:
    start = f'{HEAD}{before}[pipe.p]\ntype = "{kind}"\ndescription = "d"\n'
    return start + (f'output = "{output}"\n' if output else "") + "".join(f"{line}\n" for line in lines)


def llm(*lines: str, output: str = "Text", before: str = "") -> str:
    return pipe("PipeLLM", *lines, output=output, before=before)


def note(*lines: str) -> str:
    return (
        HEAD + '[concept.Note]\ndescription = "d"\n[concept.Note.structure]\n' + "".join(f"{line}\n" for line in lines)
    )


def field(keys: str) -> str:
    return note(f'a = {{ description = "d", {keys} }}')


def extract(*lines: str, output: str = "Page[]") -> str:
    return pipe("PipeExtract", *lines, output=output)


def image(*lines: str, output: str = "Image") -> str:
    return pipe("PipeImgGen", *lines, output=output)


def search(*lines: str, output: str = "SearchResult") -> str:
    return pipe("PipeSearch", *lines, output=output)


def judge(*lines: str, output: str = "YesNo") -> str:
    return pipe("PipeJudge", 'inputs = { a = "Text" }', 'prompt = "$a"', *lines, output=output)


def document(*lines: str, output: str = "Document") -> str:
    return pipe("PipeDocGen", 'inputs = { a = "Text" }', *lines, output=output)


def compose(*lines: str, output: str = "Text") -> str:
    return pipe("PipeCompose", *lines, output=output)


def structure(*lines: str, output: str = "Note") -> str:
    concept = '[concept.Note]\ndescription = "d"\nstructure = { a = "d" }\n'
    return pipe("PipeStructure", *lines, output=output, before=concept)


def sequence(steps: str, inputs: str = 'cup = "Text", cups = "Text[]"', output: str = "Text") -> str:
    return pipe("PipeSequence", f"inputs = {{ {inputs} }}", f"steps = [{steps}]", output=output) + RATE


def parallel(branches: str, output: str = "Composite") -> str:
    inputs = 'inputs = { cup = "Text", cups = "Text[]", page = "Page" }'
    return pipe("PipeParallel", inputs, f"branches = [{branches}]", output=output) + RATE


def condition(*lines: str, inputs: str = 'cup = "Text"') -> str:
    return pipe("PipeCondition", f"inputs = {{ {inputs} }}", *lines) + RATE


def batch(*lines: str, output: str = "Text[]") -> str:
    return pipe("PipeBatch", 'branch_pipe_code = "rate"', *lines, output=output) + RATE


def setting(keys: str) -> str:
    return f'model = {{ model = "m", {keys} }}'


OUTCOMES = 'outcomes = { x = "rate" }\ndefault_outcome = "fail"'
CUP_AND_CUPS = 'inputs = { cups = "Text[]", cup = "Text" }'
CUPS = 'inputs = { cups = "Text[]" }'
ITEM = 'input_list_name = "cups"\ninput_item_name = "cup"'
COPY = compose('construct = { x = { from = "a" } }', 'inputs = { a = "Page" }', output="Dynamic")
QUESTION = 'question = "Is it good?"'
LOW = '{ label = "low", description = "x" }'
CHOICE = 'options = { a = "x", b = "" }'

_HEADER = [
    *both(1, HEAD),
    breach(1, "toml_parse_error", "domain = tea\n"),
    breach(1, "toml_parse_error", HEAD + '[concept]\nA = "d"\nA = "d"\n'),
    *both(2, 'domain = "tea"\ndescription = "d"\nsystem_prompt = "s"\n[concept]\n[pipe]\n'),
    breach(2, "unknown_key", HEAD + 'descripton = "d"\n'),
    *both(3, 'domain = "tea.tasting_2"\n'),
    breach(3, "domain_code_error", 'description = "d"\n'),
    breach(3, "domain_code_error", 'domain = "Tea"\n'),
    breach(3, "domain_code_error", 'domain = "tea..x"\n'),
    *both(4, 'domain = "tea.native"\n'),
    breach(4, "reserved_domain", 'domain = "native.tea"\n'),
    breach(4, "reserved_domain", 'domain = "mthds"\n'),
    *both(5, HEAD + 'main_pipe = "rate"\n' + RATE),
    breach(5, "invalid_pipe_code_syntax", HEAD + 'main_pipe = "Rate"\n'),
    breach(5, "invalid_pipe_code_syntax", HEAD + 'main_pipe = "tea.rate"\n' + RATE),
    *both(6, llm().replace(HEAD, HEAD + 'main_pipe = "p"\n')),
    breach(6, "unresolved_pipe_dependency", HEAD + 'main_pipe = "rat"\n' + RATE),
]

_CONCEPTS = [
    *both(8, HEAD + '[concept]\nTea2Leaf = "d"\n'),
    breach(8, "concept_code_error", HEAD + '[concept]\nleaf = "d"\n'),
    breach(8, "concept_code_error", HEAD + '[concept]\nTea_Leaf = "d"\n'),
    *both(9, HEAD + '[concept]\nImgGenPrompt = "d"\n'),
    breach(9, "native_concept_redeclaration", HEAD + '[concept]\nImage = "d"\n'),
    breach(9, "native_concept_redeclaration", HEAD + '[concept]\nRating = "d"\n'),
    *both(10, HEAD + '[concept.A]\ndescription = "d"\nrefines = "Text"\nhints = { intent = "prose" }\n'),
    breach(10, "concept_structure_validation", HEAD + '[concept.A]\ndescription = "d"\nrefine = "Text"\n'),
    breach(10, "concept_structure_validation", HEAD + '[concept.A]\nrefines = "Text"\n'),
    breach(10, "concept_structure_validation", HEAD + "[concept]\nA = 3\n"),
    *both(11, HEAD + '[concept.A]\ndescription = "d"\nstructure = { a = "d" }\n'),
    breach(
        11,
        "concept_structure_validation",
        HEAD + '[concept.A]\ndescription = "d"\nrefines = "Text"\nstructure = { a = "d" }\n',
    ),
    *both(15, note(*(f'{name} = "d"' for name in ("type", "format", "items", "required", "text", "date", "path")))),
    breach(15, "concept_structure_validation", note('class = "d"')),
    breach(15, "concept_structure_validation", note('_a = "d"')),
    breach(15, "concept_structure_validation", note('"a b" = "d"')),
    breach(15, "concept_structure_validation", note('model_dump = "d"')),
    *both(16, note('a = { description = "d", type = "text" }')),
    breach(16, "concept_structure_validation", note('a = { type = "text" }')),
    *both(17, field('type = "datetime"')),
    *both(17, field('choices = ["x", "y"]')),
    breach(17, "concept_structure_validation", field('type = "string"')),
    breach(17, "concept_structure_validation", field("required = true")),
    keep(18, field('type = "integer", choices = ["1", "2"]')),
    keep(18, field('type = "text", choices = ["x"]'), "concept_structure_validation", strict=True),
    breach(18, "concept_structure_validation", field("choices = []")),
    breach(18, "concept_structure_validation", field('choices = ["x", "x"]')),
    breach(18, "concept_structure_validation", field("choices = [1, 2]")),
    breach(18, "concept_structure_validation", field('type = "date", choices = ["x"]')),
    *both(19, field('type = "list", item_type = "integer"')),
    *both(19, field('type = "list", item_type = "concept", item_concept_ref = "Text"')),
    keep(19, field('type = "list"'), "concept_structure_validation"),
    keep(19, field('type = "list"'), "concept_structure_validation", strict=True),
    *dated(19, "concept_structure_validation", field('type = "list", item_type = "Image"')),
    breach(19, "concept_structure_validation", field('type = "list", item_type = "txt"')),
    breach(19, "concept_structure_validation", field('type = "list", item_type = "concept"')),
    *both(20, field('type = "dict", key_type = "text", value_type = "Any"')),
    breach(20, "concept_structure_validation", field('type = "dict", key_type = "text"')),
    breach(20, "concept_structure_validation", field('type = "dict", value_type = "text"')),
    breach(20, "concept_structure_validation", field('type = "dict", key_type = "integer", value_type = "text"')),
    *both(21, field('type = "concept", concept_ref = "Text"')),
    breach(21, "concept_structure_validation", field('type = "concept"')),
    breach(21, "concept_structure_validation", field('type = "concept", concept_ref = "Text", default_value = "x"')),
    *both(22, field('type = "list", item_type = "text"')),
    breach(22, "concept_structure_validation", field('type = "text", concept_ref = "Text"')),
    breach(22, "concept_structure_validation", field('type = "text", item_concept_ref = "Text"')),
    breach(22, "concept_structure_validation", field('type = "list", item_type = "text", item_concept_ref = "Text"')),
]

_PIPES = [
    *both(27, llm().replace("pipe.p]", "pipe.p__draft_text]")),
    breach(27, "invalid_pipe_code_syntax", llm().replace("pipe.p]", "pipe.RateCup]")),
    *both(28, HEAD + CONTRACT),
    *both(28, HEAD + CONTRACT + 'signature_for = "PipeJudge"\n'),
    breach(28, "unknown_pipe_type", pipe("PipeJinja2")),
    breach(28, "unknown_pipe_type", HEAD + CONTRACT + 'signature_for = "PipeSignature"\n'),
    breach(28, "missing_pipe_type", HEAD + CONTRACT + 'prompt = "x"\n'),
    *both(29, llm('prompt = "x"', 'system_prompt = "y"', 'templating_style = "ticks"')),
    breach(29, "unknown_key", llm('promt = "x"')),
    breach(29, "unknown_key", compose('template = "x"', 'target_format = "html"')),
    breach(29, "unknown_key", image('prompt = "x"', 'templating_style = "ticks"')),
    breach(29, "missing_key", llm(output="")),
    breach(29, "missing_key", HEAD + '[pipe.p]\ntype = "PipeLLM"\noutput = "Text"\n'),
    breach(29, "missing_key", HEAD + '[pipe.p]\ndescription = "d"\n'),
    *both(32, HEAD + CONTRACT),
    *dated(32, "legacy_signature_type", HEAD + CONTRACT + 'type = "PipeSignature"\n'),
    *both(33, llm('inputs = { a_1 = "Text" }', 'prompt = "$a_1"')),
    *dated(33, "invalid_input_name", llm('inputs = { a = "Page", "a.page_view" = "Image" }', 'prompt = "$a"')),
    breach(33, "invalid_input_name", llm('inputs = { Cup = "Text" }', 'prompt = "$Cup"')),
    breach(33, "invalid_input_name", pipe("PipeFunc", 'function_name = "f"', 'inputs = { _bound_a = "Text" }')),
    *both(34, sequence('{ pipe = "rate", result = "r" }')),
    *dated(34, "invalid_input_name", sequence('{ pipe = "rate", result = "..." }')),
    breach(34, "invalid_input_name", sequence('{ pipe = "rate", result = "_bound_r" }')),
    breach(34, "invalid_input_name", batch(CUPS, 'input_list_name = "cups"', 'input_item_name = "_bound_cup"')),
    *dated(34, "invalid_input_name", condition('expression = "cup"', OUTCOMES, 'add_alias_from_expression_to = "A"')),
    *both(35, llm('inputs = { a = "Text[]", b = "tea.Cup[3]" }', 'prompt = "$a $b"', before='[concept]\nCup = "d"\n')),
    *both(35, llm('inputs = { a = "native.Text[1]" }', 'prompt = "$a"')),
    breach(35, "slot_syntax", llm('inputs = { a = "Text[0]" }', 'prompt = "$a"')),
    breach(35, "slot_syntax", llm('inputs = { a = "Text[][]" }', 'prompt = "$a"')),
    breach(35, "slot_syntax", llm('inputs = { a = "text" }', 'prompt = "$a"')),
    breach(35, "slot_syntax", llm('inputs = { a = "Kit->tea.Cup" }', 'prompt = "$a"')),
    breach(35, "slot_syntax", llm('inputs = { a = "kit/x->tea.Cup" }', 'prompt = "$a"')),
    *both(36, llm('inputs = { a = "Text?", b = "Text!" }', 'prompt = "@?a $b"', output="Text?")),
    breach(36, "optional_marker_invalid", llm('inputs = { a = "Text[]?" }', 'prompt = "@?a"')),
    breach(36, "optional_marker_invalid", llm('inputs = { a = "Text[3]!" }', 'prompt = "$a"')),
    breach(36, "optional_marker_invalid", llm(output="Text!")),
    *both(38, llm('inputs = { a = { concept = "Text", hints = { intent = "label" } } }', 'prompt = "$a"')),
    breach(38, "unknown_key", llm('inputs = { a = { concept = "Text", hint = {} } }', 'prompt = "$a"')),
]

_TEMPLATES = [
    *both(39, llm('inputs = { a = "Text[]" }', "prompt = '{% for x in a %}$x {{ \"%.2f\" % 1 }}{% endfor %}'")),
    *both(39, compose('template = { template = "{{ \'x\' | markdown | upper }}", category = "html" }')),
    breach(39, "template_syntax", llm('prompt = "{{ a"')),
    breach(39, "template_syntax", llm("prompt = \"{{ 'a' | uper }}\"")),
    breach(39, "template_syntax", search("prompt = \"{{ 'a' | with_images }}\"")),
    breach(39, "template_syntax", judge("question = \"{% include 'x' %}\"")),
    breach(39, "template_syntax", document('format = "pdf"', 'template = "$a {{"')),
    breach(39, "template_syntax", document('format = "pdf"', 'filename = "{{"')),
    breach(39, "template_syntax", condition('expression = "{{ cup }}"', OUTCOMES)),
    *both(40, llm('inputs = { a = "Text" }', 'prompt = "$a {$a} $5 $_nb_output me@example.org"')),
    *both(40, document('format = "pdf"', 'filename = "report-$a"')),
    breach(40, "missing_input_variable", llm('prompt = "$a"')),
    breach(40, "missing_input_variable", llm().replace(HEAD, HEAD + 'system_prompt = "$a"\n')),
    breach(40, "missing_input_variable", image('prompt = "x"', 'negative_prompt = "$a"')),
    breach(40, "missing_input_variable", search('prompt = "$a"')),
    breach(40, "missing_input_variable", judge('question = "Is $b good?"')),
    breach(40, "missing_input_variable", compose('template = "$a"')),
    breach(40, "missing_input_variable", document('format = "pdf"', 'template = "$a $b"')),
    breach(40, "missing_input_variable", document('format = "pdf"', 'filename = "$b"')),
    breach(40, "missing_input_variable", condition('expression = "other"', OUTCOMES)),
    *both(41, llm('inputs = { a = "Text", b = "Text" }', 'prompt = "$a"', 'system_prompt = "$b"')),
    *both(41, image('inputs = { a = "Text" }', 'prompt = "x"', 'negative_prompt = "$a"')),
    *both(41, judge('question = "Is it $a?"')),
    breach(41, "extraneous_input_variable", llm('inputs = { a = "Text" }')),
    breach(41, "extraneous_input_variable", image('inputs = { a = "Text" }', 'prompt = "x"')),
    breach(41, "extraneous_input_variable", search('inputs = { a = "Text" }', 'prompt = "x"')),
    breach(41, "extraneous_input_variable", judge(QUESTION).replace('"$a"', '"x"')),
    *both(42, compose('inputs = { a = "Text" }', 'template = "$a"')),
    *both(42, document('format = "pdf"')),
    *dated(42, "extraneous_input_variable", compose('inputs = { a = "Text" }', 'template = "x"')),
    *dated(42, "extraneous_input_variable", document('format = "pdf"', 'template = "x"')),
    *both(43, llm('inputs = { a = "Text" }', 'prompt = "{{ a._concept_code }}"')),
    breach(43, "template_private_name", llm('inputs = { a = "Dynamic" }', 'prompt = "{{ a._secret }}"')),
    breach(43, "template_private_name", llm('inputs = { a = "Dynamic" }', 'prompt = "$a._secret"')),
    *both(44, llm('inputs = { a = "Text?" }', "prompt = \"@?a {{ a.text if a else 1 }} {{ a | default('x') }}\"")),
    *both(44, llm('inputs = { a = "Text?" }', 'prompt = "{% if not a %}none{% else %}$a{% endif %}"')),
    breach(44, "optional_input_unguarded", llm('inputs = { a = "Text?" }', 'prompt = "@?a $a"')),
    breach(44, "optional_input_unguarded", llm('inputs = { a = "Text?" }', 'prompt = "@?a.text"')),
    breach(44, "optional_input_unguarded", image('inputs = { a = "Text?" }', 'prompt = "$a"')),
    breach(44, "optional_input_unguarded", search('inputs = { a = "Text?" }', "prompt = \"{{ a | upper | d('x') }}\"")),
    *both(45, COPY),
    breach(45, "missing_input_variable", COPY.replace('inputs = { a = "Page" }\n', "")),
    breach(45, "template_private_name", COPY.replace('from = "a"', 'from = "a._c"')),
]

_SETTINGS = [
    *both(50, llm('model = { model = "$x", temperature = 0, max_tokens = "auto", image_detail = "low" }')),
    *both(50, image('prompt = "x"', setting('quality = "low", guidance_scale = 1, safety_tolerance = 6'))),
    *both(50, extract('inputs = { a = "Image" }', setting("max_nb_images = 0, image_min_size = 5"))),
    *both(50, search('prompt = "x"', setting("include_inline_citations = true, max_results = 1"))),
    *both(50, judge(QUESTION, setting('description = "why"'))),
    breach(50, "blueprint_validation", llm(setting("temperature = 1.1"))),
    breach(50, "blueprint_validation", llm(setting("temprature = 1"))),
    breach(50, "blueprint_validation", llm(setting('reasoning_effort = "low", reasoning_budget = 9'))),
    breach(50, "blueprint_validation", llm('model_to_structure = { model = "m", max_tokens = 0 }')),
    breach(50, "blueprint_validation", structure('inputs = { a = "Text" }', setting('quality = "low"'))),
    breach(50, "blueprint_validation", image('prompt = "x"', setting('quality = "low", nb_steps = 4'))),
    breach(50, "blueprint_validation", image('prompt = "x"', setting("safety_tolerance = 7"))),
    breach(50, "blueprint_validation", extract('inputs = { a = "Image" }', setting("max_nb_images = -1"))),
    breach(50, "blueprint_validation", search('prompt = "x"', setting("max_results = 0"))),
    breach(50, "blueprint_validation", judge(QUESTION, setting("temperature = 0"))),
]

_OPERATORS = [
    *both(52, structure('inputs = { a = "Text" }', output="Note[]")),
    breach(52, "input_stuff_spec_mismatch", structure()),
    breach(52, "input_stuff_spec_mismatch", structure('inputs = { a = "Text", b = "Text" }')),
    breach(52, "input_stuff_spec_mismatch", structure('inputs = { a = "Text[]" }')),
    *both(53, pipe("PipeFunc", 'function_name = "some.f"', 'inputs = { a = "Text" }')),
    breach(53, "pipe_factory", pipe("PipeFunc", 'function_name = ""')),
    breach(53, "missing_key", pipe("PipeFunc")),
    *both(54, image('prompt = "x"', output="Image[3]")),
    breach(54, "missing_key", image()),
    breach(54, "inadequate_output_multiplicity", image('prompt = "x"', output="Image[]")),
    *both(55, image('prompt = "x"', 'size = "2k"', 'aspect_ratio = "portrait_1_8"', 'seed = "auto"')),
    *both(55, image('prompt = "x"', 'size = "1024x768"', "seed = 0", 'background = "auto"', "is_raw = true")),
    *both(55, image('prompt = "x"', "size = { width = 640, height = 480 }", 'output_format = "webp"')),
    breach(55, "blueprint_validation", image('prompt = "x"', 'aspect_ratio = "landscape"')),
    breach(55, "blueprint_validation", image('prompt = "x"', 'size = "0.5k"')),
    breach(55, "blueprint_validation", image('prompt = "x"', 'size = "0x768"')),
    breach(55, "blueprint_validation", image('prompt = "x"', "size = { width = 640 }")),
    breach(55, "blueprint_validation", image('prompt = "x"', 'size = "640x480"', 'aspect_ratio = "square"')),
    breach(55, "blueprint_validation", image('prompt = "x"', "seed = -1")),
    breach(55, "blueprint_validation", image('prompt = "x"', 'seed = "random"')),
    breach(55, "blueprint_validation", image('prompt = "x"', 'background = "black"')),
    breach(55, "blueprint_validation", image('prompt = "x"', 'output_format = "gif"')),
    *both(56, extract('inputs = { a = "Document" }', "page_image_captions = true", "render_js = false")),
    *both(56, extract('inputs = { a = "Image" }', "include_raw_html = true", "max_page_images = 0")),
    *dated(56, "inadequate_output_multiplicity", extract('inputs = { a = "Document" }', output="Page")),
    breach(56, "input_stuff_spec_mismatch", extract()),
    breach(56, "input_stuff_spec_mismatch", extract('inputs = { a = "Document", b = "Image" }')),
    breach(56, "input_stuff_spec_mismatch", extract('inputs = { a = "Document[]" }')),
    breach(56, "inadequate_output_concept", extract('inputs = { a = "Document" }', output="Text[]")),
    breach(56, "inadequate_output_multiplicity", extract('inputs = { a = "Document" }', output="Page[3]")),
    *both(57, search('prompt = "x"', 'from_date = "2030-02-28"', "to_date = 2030-02-28", "max_results = 1")),
    *both(57, search('prompt = "x"', 'include_domains = ["tea.org"]', 'exclude_domains = ["x.org"]')),
    breach(57, "missing_key", search()),
    breach(57, "blueprint_validation", search('prompt = "x"', 'from_date = "2030-02-30"')),
    breach(57, "blueprint_validation", search('prompt = "x"', "to_date = 2030-02-01T10:00:00")),
    breach(57, "blueprint_validation", search('prompt = "x"', 'from_date = "2030-02-02"', 'to_date = "2030-02-01"')),
    breach(57, "blueprint_validation", search('prompt = "x"', 'include_domains = "tea.org"')),
    breach(57, "blueprint_validation", search('prompt = "x"', 'exclude_domains = ["https://tea.org"]')),
    breach(57, "blueprint_validation", search('prompt = "x"', "max_results = 0")),
    breach(57, "inadequate_output_multiplicity", search('prompt = "x"', output="SearchResult[]")),
]

VERDICTS = (
    '[concept.V]\ndescription = "d"\n[concept.V.structure]\n'
    'fresh = { type = "concept", concept_ref = "YesNo", description = "d" }\n'
    'grade = { type = "concept", concept_ref = "Rating", description = "d" }\n'
)
SEVERAL = (
    '[pipe.p.questions.fresh]\nquestion = "x"\nthreshold = 0.7\ncriteria = { yes = "a", no = "b" }\n'
    '[pipe.p.questions.grade]\nquestion = "y"\nlevels = ["low", "high"]\n'
)


def several(text: str = SEVERAL) -> str:
    return judge(text, output="V").replace(HEAD, HEAD + VERDICTS)


_JUDGES = [
    *both(58, judge(QUESTION, "threshold = 0.7", 'criteria = { yes = "a", no = "b" }')),
    *both(58, judge(QUESTION, CHOICE, output="Choice")),
    *both(
        58,
        judge(QUESTION, f"levels = [{LOW}, {LOW.replace('low', 'high')}]", output="Rating"),
    ),
    *both(58, several()),
    breach(58, "pipe_validation", judge()),
    breach(58, "pipe_validation", several(QUESTION + "\n" + SEVERAL)),
    breach(58, "pipe_validation", several("threshold = 0.5\n" + SEVERAL)),
    breach(58, "pipe_validation", judge(QUESTION, "questions = {}").replace(QUESTION, "")),
    breach(58, "pipe_validation", judge(QUESTION, CHOICE, 'levels = ["a", "b"]')),
    breach(58, "pipe_validation", judge(QUESTION, 'options = { a = "x" }', output="Choice")),
    breach(58, "pipe_validation", judge(QUESTION, 'options = ["a", "b"]', output="Choice")),
    breach(58, "pipe_validation", judge(QUESTION, 'levels = ["a"]', output="Rating")),
    breach(58, "pipe_validation", judge(QUESTION, 'levels = ["a", "a"]', output="Rating")),
    breach(58, "pipe_validation", judge(QUESTION, f'levels = ["a", {LOW}]', output="Rating")),
    breach(58, "pipe_validation", judge(QUESTION, f"levels = [{LOW}, {LOW}]", output="Rating")),
    breach(58, "pipe_validation", judge(QUESTION, 'criteria = { yes = "a" }')),
    breach(58, "pipe_validation", judge(QUESTION, CHOICE, "threshold = 0.5", output="Choice")),
    breach(58, "pipe_validation", judge(QUESTION, "threshold = 1")),
    breach(58, "pipe_validation", judge(QUESTION, 'threshold = "0.5"')),
    breach(58, "pipe_validation", judge(QUESTION, output="YesNo[]")),
]

_COMPOSERS = [
    *both(59, compose('template = "x"')),
    *both(59, compose('template = "<b>x</b>"', output="Html")),
    breach(59, "pipe_factory", compose()),
    breach(59, "pipe_factory", compose('template = "x"', 'construct = { text = "x" }')),
    breach(59, "inadequate_output_multiplicity", compose('template = "x"', output="Text[]")),
    *both(61, document('format = "pdf"', 'template = "<b>$a</b>"', 'filename = "report"')),
    *both(61, document('format = "pdf"')),
    breach(61, "pipe_factory", document('format = "odt"')),
    breach(61, "missing_key", document()),
    breach(61, "pipe_factory", document('format = "pdf"', 'template = "$a"', 'template_file = "a.html"')),
    breach(61, "pipe_factory", document('format = "docx"', 'template = "$a"')),
    breach(61, "pipe_factory", document('format = "pptx"')),
    breach(61, "pipe_factory", document('format = "pdf"', 'template_file = "../a.html"')),
    breach(61, "pipe_factory", document('format = "pdf"', 'template_file = "/etc/a.html"')),
    breach(61, "inadequate_output_multiplicity", document('format = "pdf"', output="Document[]")),
]

BATCHED = '{ pipe = "rate", batch_over = "cups", batch_as = "cup", result = "r" }'
OVER_PATH = '{ pipe = "rate", batch_over = "page.names", batch_as = "cup" }'
NAMES = '{ type = "list", item_type = "text", description = "d" }'
SHELF = f'[concept.Shelf]\ndescription = "d"\nstructure.names = {NAMES}\n'
ON_PATH = sequence(OVER_PATH, 'page = "Shelf"', "Text[]").replace(HEAD, HEAD + SHELF)
BOUND = sequence('{ from = "page.text_and_images.text", result = "cup" }, { pipe = "rate" }', 'page = "Page"')
ONE = '{ pipe = "rate", result = "one" }'

_CONTROLLERS = [
    *both(62, sequence('{ pipe = "rate" }')),
    *both(62, parallel(ONE)),
    breach(62, "blueprint_validation", sequence("")),
    breach(62, "blueprint_validation", parallel("")),
    *both(63, sequence('{ pipe = "rate", nb_output = 3 }', output="Text[3]")),
    *both(63, sequence(BATCHED, output="Text[]")),
    breach(63, "blueprint_validation", sequence('{ pipe = "rate", resul = "x" }')),
    breach(
        63,
        "blueprint_validation",
        sequence('{ pipe = "rate", nb_output = 2, multiple_output = true }', output="Text[2]"),
    ),
    breach(63, "blueprint_validation", sequence('{ pipe = "rate", nb_output = 0 }')),
    breach(63, "blueprint_validation", sequence('{ pipe = "rate", batch_over = "cups" }')),
    breach(63, "blueprint_validation", sequence('{ pipe = "rate", batch_as = "cup" }')),
    breach(63, "blueprint_validation", sequence("3")),
    *both(64, batch(CUPS, ITEM)),
    breach(
        64,
        "batch_item_name_collision",
        sequence('{ pipe = "rate", batch_over = "cups", batch_as = "cups" }', output="Text[]"),
    ),
    breach(
        64, "batch_item_name_collision", batch(CUP_AND_CUPS, 'input_list_name = "cups"', 'input_item_name = "cups"')
    ),
    breach(64, "batch_item_name_collision", batch(CUP_AND_CUPS, ITEM)),
    *both(65, BOUND.replace('output = "Text"', 'output = "Text?"', 1)),
    *both(65, ON_PATH),
    breach(65, "binding_step_invalid", sequence('{ from = "cup" }')),
    breach(65, "binding_step_invalid", sequence('{ from = "cup", result = "c", pipe = "rate" }')),
    breach(65, "binding_step_invalid", sequence('{ from = "cups[0]", result = "c" }')),
    breach(65, "binding_step_invalid", sequence('{ from = "cup._text", result = "c" }')),
    breach(65, "binding_step_invalid", sequence('{ from = 3, result = "c" }')),
    breach(65, "binding_step_invalid", sequence('{ from = "cup", result = "_bound_c" }')),
    breach(65, "binding_step_invalid", sequence('{ from = "cup", result = "a.b" }')),
    breach(65, "binding_step_invalid", ON_PATH.replace("page.names", "page..names")),
    breach(65, "binding_step_invalid", parallel(ONE + ', { from = "page.page_view", result = "c" }')),
    breach(65, "binding_step_invalid", parallel(OVER_PATH.replace("}", ', result = "c" }'))),
    *both(75, parallel(ONE + ', { pipe = "rate", result = "two" }')),
    breach(75, "inadequate_output_concept", parallel(f"{ONE}, {ONE}")),
    *both(77, condition("expression = \"cup.text or 'x'\"", OUTCOMES)),
    *both(77, condition('expression_template = "{% if cup %}x{% endif %}"', OUTCOMES)),
    breach(77, "blueprint_validation", condition(OUTCOMES)),
    breach(77, "blueprint_validation", condition('expression = "cup"', 'expression_template = "{{ cup }}"', OUTCOMES)),
    breach(77, "blueprint_validation", condition('expression = "cup"', 'outcomes = {}\ndefault_outcome = "fail"')),
    breach(77, "missing_key", condition('expression = "cup"', 'outcomes = { x = "rate" }')),
    *both(80, batch(CUPS, ITEM, "max_concurrency = 3")),
    breach(80, "input_stuff_spec_mismatch", batch('inputs = { other = "Text[]" }', ITEM)),
    breach(80, "input_stuff_spec_mismatch", batch('inputs = { cups = "Text" }', ITEM)),
    *both(81, batch(CUPS, ITEM)),
    *dated(81, "inadequate_output_multiplicity", batch(CUPS, ITEM, output="Text")),
]

_SPELLINGS = [
    *both(86, field('type = "number", hints = { intent = "quantity" }')),
    *both(86, llm('inputs = { a = { concept = "Number", hints = { intent = "rating" } } }', 'prompt = "$a"')),
    keep(86, field('type = "text", hints = { colour = "red" }'), "hint_unknown_key"),
    keep(86, field('type = "text", hints = { intent = "proze" }'), "hint_unknown_intent", strict=True),
    keep(86, field('type = "text", hints = { intent = "rating" }'), "hint_inapplicable_intent"),
    keep(86, field('type = "boolean", hints = { intent = "label" }'), "hint_inapplicable_intent", strict=True),
    keep(86, HEAD + '[concept.A]\ndescription = "d"\nhints = { intent = "quantity" }\n', "hint_inapplicable_intent"),
    keep(
        86,
        llm('inputs = { a = { concept = "Image", hints = { intent = "prose" } } }', 'prompt = "$a"'),
        "hint_inapplicable_intent",
    ),
    *both(88, llm('prompt = "x"', 'structuring_method = "direct"')),
    *dated(88, "legacy_spelling", llm('prompt_template = "x"')),
    *dated(88, "legacy_spelling", llm('prompting_target = "openai"')),
    *dated(88, "legacy_spelling", llm(setting('prompting_target = "openai"'))),
    *dated(88, "legacy_spelling", field('type = "dict", key_type = "str", value_type = "text"')),
    *dated(88, "legacy_spelling", judge(QUESTION).replace('prompt = "$a"\n', "")),
    *dated(88, "legacy_spelling", parallel(ONE).replace('output = "Composite"', 'combined_output = "Composite"')),
    *dated(88, "legacy_spelling", batch(CUPS, 'input_item_name = "cup"')),
    *dated(
        88,
        "legacy_spelling",
        batch(CUPS, 'batch_params = { input_list_stuff_name = "cups", input_item_stuff_name = "cup" }'),
    ),
    *dated(88, "legacy_spelling", condition('expression = "cup"', 'pipe_map = { x = "rate" }')),
    *dated(
        88,
        "legacy_spelling",
        condition('expression = "cup"', 'outcomes = { x = "rate" }\ndefault_pipe_code = "rate"'),
    ),
]

RULES: tuple[RuleCase, ...] = (
    *_HEADER,
    *_CONCEPTS,
    *_PIPES,
    *_TEMPLATES,
    *_SETTINGS,
    *_OPERATORS,
    *_JUDGES,
    *_COMPOSERS,
    *_CONTROLLERS,
    *_SPELLINGS,
)


def rule_ids() -> list[str]:
    """An id for each case, in order: `rule-41-extraneous_input_variable-2`, `rule-41-kept-1-strict`."""
    seen: dict[str, count[int]] = {}
    ids: list[str] = []
    for case in RULES:
        what = case.code if not case.is_valid else f"kept-{case.code}" if case.code else "kept"
        name = f"rule-{case.rule}-{what}"
        ids.append(f"{name}-{next(seen.setdefault(name, count(1)))}" + ("-strict" if case.strict else ""))
    return ids
