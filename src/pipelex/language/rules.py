"""The numbered rules of MTHDS (section 22) as a table: what each asks, how strict it is, and its codes. Pure.

The checks are where the knowledge is; this table is what the reference page and the coverage test are made of.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["error", "warning or error", "warning"]


class Rule(NamedTuple):
    """One rule. `warning or error` is a warning in the standard profile and an error in the strict one."""

    number: int
    group: str
    text: str
    level: Level
    codes: tuple[str, ...]


_E: Level = "error"
_WE: Level = "warning or error"
_W: Level = "warning"

_STRUCTURE = "concept_structure_validation"
_MISMATCH = "input_stuff_spec_mismatch"
_CONCEPT = "inadequate_output_concept"
_MULTIPLICITY = "inadequate_output_multiplicity"
_MISSING = "missing_input_variable"
_SHAPE = "blueprint_validation"

_GROUPS: tuple[tuple[str, tuple[tuple[str, Level, tuple[str, ...]], ...]], ...] = (
    (
        "Document and header",
        (
            ("the file is TOML in UTF-8", _E, ("toml_parse_error",)),
            ("only known keys at the top", _E, ("unknown_key",)),
            ("a well-formed domain is given", _E, ("domain_code_error",)),
            ("the domain does not start with a reserved word", _E, ("reserved_domain",)),
            ("`main_pipe` is snake_case", _E, ("invalid_pipe_code_syntax",)),
            ("`main_pipe` is declared in the bundle", _E, ("unresolved_pipe_dependency",)),
            ("bundles of a domain agree on its description and system prompt", _W, ("domain_metadata_conflict",)),
        ),
    ),
    (
        "Concepts",
        (
            ("a concept code is PascalCase", _E, ("concept_code_error",)),
            ("a concept does not take the code of a native", _E, ("native_concept_redeclaration",)),
            ("only known keys, and a description", _E, (_STRUCTURE,)),
            ("not both `refines` and `structure`", _E, (_STRUCTURE,)),
            ("one definition per code in a domain", _E, ("duplicate_concept",)),
            ("`refines` names a concept", _E, ("unresolved_concept",)),
            ("refinement has no cycle", _E, ("concept_cycle",)),
            ("a field name is a legal name", _E, (_STRUCTURE,)),
            ("a field has a description", _E, (_STRUCTURE,)),
            ("a field type is known; only `choices` may stand without one", _E, (_STRUCTURE,)),
            ("choices are distinct texts, of a text or a number", _E, (_STRUCTURE,)),
            ("the items of a list have a known type", _E, (_STRUCTURE,)),
            ("a dict has both its types", _E, (_STRUCTURE,)),
            ("a concept field has its reference and no default", _E, (_STRUCTURE,)),
            ("references stand only where they mean something", _E, (_STRUCTURE,)),
            ("a default fits its type and choices", _E, (_STRUCTURE,)),
            ("a required field has no default", _WE, (_STRUCTURE,)),
            ("nested concepts resolve, without a cycle", _E, ("unresolved_concept", "concept_cycle")),
            ("a structure given as text names a known class", _WE, ("structure_class_error",)),
        ),
    ),
    (
        "Pipes, general",
        (
            ("a pipe code is snake_case", _E, ("invalid_pipe_code_syntax",)),
            ("the type is given and known", _E, ("unknown_pipe_type", "missing_pipe_type")),
            ("only known keys, and all required ones", _E, ("unknown_key", "missing_key")),
            ("one concrete pipe per code in a domain", _E, ("duplicate_pipe",)),
            ("a signature and its definition agree", _E, ("signature_mismatch",)),
            ("a signature has no type", _WE, ("legacy_signature_type",)),
            ("an input name is a plain name", _WE, ("invalid_input_name",)),
            ("a stored name is a plain name, not `_bound_…`", _WE, ("invalid_input_name",)),
            ("a slot is well formed", _E, ("slot_syntax",)),
            ("a presence mark stands where it may", _E, ("optional_marker_invalid",)),
            ("the concept of a slot resolves", _E, ("unresolved_concept", "nonlocal_reference")),
            ("only known keys in an expanded slot", _E, ("unknown_key",)),
        ),
    ),
    (
        "Templates",
        (
            ("a template can be parsed", _E, ("template_syntax",)),
            ("what a template reads is declared", _E, (_MISSING,)),
            ("what is declared is read (LLM, ImgGen, Search, Judge)", _E, ("extraneous_input_variable",)),
            ("what is declared is read (Compose, DocGen)", _WE, ("extraneous_input_variable",)),
            ("a template reads no private name", _E, ("template_private_name",)),
            ("an optional input is guarded", _E, ("optional_input_unguarded",)),
            ("a construct reads declared, public names", _E, (_MISSING, "template_private_name")),
            ("a dotted path exists on its concept", _W, ("unknown_field",)),
        ),
    ),
    (
        "Operators",
        (
            ("no model answers with an image", _E, ("llm_output_cannot_be_image",)),
            ("`preliminary_text` does not make a text", _E, ("pipe_validation",)),
            ("the model exists in the deck", _E, ("unknown_model",)),
            ("an inline setting has known keys, in range", _E, (_SHAPE,)),
            ("the model takes the setting", _E, ("llm_setting_refused_by_model",)),
            ("PipeStructure: one text in, a structure out", _E, (_MISMATCH, _CONCEPT)),
            ("PipeFunc names a function", _E, ("pipe_factory", "missing_key")),
            ("PipeImgGen: a prompt in, images out", _E, ("missing_key", _CONCEPT, _MULTIPLICITY)),
            ("PipeImgGen: ratio and size fit together", _E, (_SHAPE,)),
            ("PipeExtract: one file in, `Page[]` out", _E, (_MISMATCH, _CONCEPT, _MULTIPLICITY)),
            ("PipeSearch: a prompt in, one SearchResult out", _E, ("missing_key", _CONCEPT, _MULTIPLICITY, _SHAPE)),
            ("PipeJudge: well-formed questions, verdicts that fit", _E, ("pipe_validation",)),
            ("PipeCompose: one mode, one output that fits it", _E, ("pipe_factory", _CONCEPT, _MULTIPLICITY)),
            ("a construct fills fields that exist, all required ones", _E, ("construct_field_error",)),
            (
                "PipeDocGen: a known format, a template that fits it, one document out",
                _E,
                ("pipe_factory", "missing_key", _CONCEPT, _MULTIPLICITY),
            ),
        ),
    ),
    (
        "Controllers",
        (
            ("a sequence has steps, a parallel has branches", _E, (_SHAPE,)),
            ("a step has known keys, in pairs that fit", _E, (_SHAPE,)),
            ("a batch item has a name of its own", _E, ("batch_item_name_collision",)),
            ("a binding step is well formed", _E, ("binding_step_invalid",)),
            ("a binding path leads somewhere", _E, ("binding_path_unresolved",)),
            ("a called pipe exists", _E, ("unresolved_pipe_dependency",)),
            (
                "a package is there, and exports what is called",
                _E,
                ("unresolved_package_dependency", "unexported_pipe_dependency"),
            ),
            ("a bare name is found where the standard looks", _WE, ("nonlocal_reference",)),
            ("the inputs of a step are there", _E, (_MISSING,)),
            ("the inputs of a step fit", _E, (_MISMATCH,)),
            ("a list is not handed to a singular slot", _WE, (_MISMATCH,)),
            ("a single value is not handed to a list slot; counts agree", _E, (_MISMATCH,)),
            ("a sequence ends in its declared output", _E, (_CONCEPT, _MULTIPLICITY)),
            ("a parallel has distinct results that fit its output", _WE, (_CONCEPT,)),
            ("no required field is fed by a branch that may be absent", _E, ("optional_branch_required_field",)),
            ("a condition has one expression, outcomes and a default", _E, (_SHAPE, "missing_key")),
            ("the outcomes of a condition fit its output", _E, (_CONCEPT,)),
            ("an output that `continue` leaves out is optional", _WE, ("optional_output_required",)),
            ("a batch runs over a declared list", _E, (_MISMATCH,)),
            ("a batch makes a list of what its branch makes", _WE, (_MULTIPLICITY, _CONCEPT)),
            ("a value that may be absent does not leave by a plain output", _E, ("optional_not_handled",)),
            ("every pipe runs dry", _E, ("DryRunError",)),
        ),
    ),
    (
        "Advice",
        (
            ("`!` is needed", _W, ("optional_force_redundant",)),
            ("a mandatory input of the main pipe asks for something", _W, ("input_presence_vacuous",)),
            (
                "hints are known, and where they apply",
                _W,
                ("hint_unknown_key", "hint_unknown_intent", "hint_inapplicable_intent"),
            ),
            ("every signature has a definition", _W, ("pending_signatures",)),
            ("nothing is spelled as only older versions do", _WE, ("legacy_spelling",)),
        ),
    ),
    (
        "Manifest and lock",
        (
            ("a manifest has a package table", _E, ("manifest_package_missing",)),
            (
                "address, version, description and name are well formed",
                _E,
                ("manifest_field_invalid", "missing_key", "unknown_key"),
            ),
            (
                "a version constraint can be read, and this version of MTHDS satisfies the one on it",
                _E,
                ("version_constraint_invalid", "mthds_version_unsatisfied"),
            ),
            ("an alias is snake_case and unique", _E, ("dependency_alias_invalid", "toml_parse_error")),
            ("a dependency has an address", _E, ("dependency_address_invalid", "missing_key")),
            ("an exported domain is legal", _E, ("export_domain_invalid", "invalid_pipe_code_syntax")),
            ("an exported pipe exists", _WE, ("export_unresolved",)),
            ("the main pipe of a package exists", _E, ("unresolved_pipe_dependency", "invalid_pipe_code_syntax")),
            ("a lock has well-formed entries", _E, ("lock_field_invalid",)),
            ("what is installed has the hash of the lock", _E, ("lock_hash_mismatch",)),
            ("some version satisfies every dependent", _E, ("no_version_solution",)),
            ("packages do not depend on each other in a circle", _E, ("dependency_cycle",)),
        ),
    ),
)


def _numbered() -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for group, members in _GROUPS:
        for text, level, codes in members:
            rules.append(Rule(len(rules) + 1, group, text, level, codes))
    return tuple(rules)


RULES = _numbered()
"""All of them, in the order of their numbers from 1."""
