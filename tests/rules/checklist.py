"""Where each item of the coverage checklist of MTHDS (section 27) is proven."""

from __future__ import annotations

from typing import Final

HERE: Final = "rules/test_rules_checklist.py"
_INPUTS: Final = "values/test_values_inputs.py::test_what_fits"
_REFUSED: Final = "values/test_values_inputs.py::test_what_is_refused"
_LIGHT: Final = f"{HERE}::test_a_light_value"
_RENDERS: Final = "pipes/test_pipes_templates.py::test_renders"
_SIGILS: Final = "language/test_language_templates.py::test_sigils"
_CONTROLLERS: Final = "pipes/test_pipes_controllers.py"
_BATCH: Final = "pipes/test_pipes_batch.py"
_SCOPE: Final = "library/test_library_scope.py"
_RUN: Final = "cli/test_cli_run.py"

CHECKLIST: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "parser": {
        "every key of sections 1, 4, 8, 9 and 9A": (
            f"{HERE}::test_every_key_is_accepted",
            f"{HERE}::test_a_key_that_is_nearly_right_is_refused",
            f"{HERE}::test_the_table_of_keys_is_that_of_the_language",
        ),
        "every key of older versions": (f"{HERE}::test_old_keys_are_accepted_with_a_warning",),
    },
    "values": {
        "each native of section 5, from JSON to a content and back": (
            f"{HERE}::test_a_native_goes_from_json_to_a_content_and_back",
            f"{HERE}::test_the_table_of_natives_is_that_of_the_language",
        ),
        "concepts of any shape": ("values/test_values_roundtrip.py::test_a_mock_goes_all_the_way_round",),
        "lists": ("values/test_values_roundtrip.py::test_lists_go_all_the_way_round",),
    },
    "slots": {
        "X, X[], X[N], X[1], X?, X!": (
            'values/test_values_contracts.py::test_slots_are_read_and_written "Text" "a.b.Note[]" "Note[3]" "Note[1]" '
            '"Note?" "Note!"',
        ),
        "X[0], X[][]": ('values/test_values_contracts.py::test_what_is_not_a_slot "Note[0]" "Note[][]"',),
        "X[]?, X[3]!": ('values/test_values_contracts.py::test_what_is_not_a_slot "Note[]?" "Note[3]!"',),
        "X! on an output": (
            'language/test_language_parse.py::test_a_mistake_has_its_code_and_its_place "output = \\"Text!\\"" '
            '"optional_marker_invalid"',
        ),
    },
    "templates": {
        "$p": (f'{_SIGILS} "$p"', f'{_RENDERS} "$note.text and $note"'),
        "@p": (f'{_SIGILS} "@p"', f'{_RENDERS} "@note"'),
        "@?p": (f'{_SIGILS} "@?p"', f'{_RENDERS} "@?missing"'),
        "$$ and @@": (f'{_SIGILS} "@@media, $$x"', f'{_RENDERS} "$10 $$x a@b.test"'),
        "the tag has the whole path for a name": (f'{_SIGILS} "@page.text_and_images"',),
        "a dot after a path is punctuation": (f'{_SIGILS} "$a.b." "Pay $fee. Or $5."',),
        "what is no sigil": (f'{_SIGILS} "@2.0 $ 5" "bob@example.org"',),
        "underscores": (f'{_SIGILS} "$_nb_output"',),
        "loops": (f'{_RENDERS} "{{% for line in order.items %}}" "{{% for group in nested %}}"',),
        ".items": (f'{_RENDERS} "{{% for line in lines.items %}}"',),
        "dates": (f'{_RENDERS} "strftime" "toordinal"',),
        "% formatting": (f'{_RENDERS} "%.2f"',),
        "an optional input that is absent": (
            "pipes/test_pipes_operators.py::test_an_absent_optional_input_is_undefined",
        ),
        "HTML is escaped": ("pipes/test_pipes_templates.py::test_html_escapes_and_trims",),
    },
    "controllers": {
        "a sequence shares the memory of its caller": (
            f"{_CONTROLLERS}::test_a_nested_sequence_shares_the_memory_of_its_caller",
        ),
        "so does the outcome of a condition": (f"{_CONTROLLERS}::test_what_the_chosen_pipe_stores_stays_visible",),
        "a branch of a parallel has a copy": (
            f"{_CONTROLLERS}::test_branches_do_not_see_each_other",
            f"{_CONTROLLERS}::test_branches_that_are_no_fields_make_a_composite_and_may_be_stored",
        ),
        "so has a branch of a batch": (
            f"{HERE}::test_what_a_branch_of_a_batch_stores_stays_there",
            "library/test_library_flow.py::test_names_stored_inside_a_batch_do_not_leak",
        ),
        "the entry pipe has a fresh memory, and the caller sees all of it": (
            f"{_RUN}::test_the_working_memory_holds_the_inputs_and_the_alias",
            "app/test_app_runtime.py::test_a_run_gives_typed_access_to_its_result",
        ),
        "nested batch": (f"{_BATCH}::test_lists_nest_and_are_handed_on_one_by_one",),
        "dotted batch": ("pipes/test_pipes_binding.py::test_bindings_and_dotted_batches_in_a_sequence",),
        "compaction": (f"{_BATCH}::test_absent_results_contribute_no_item",),
        "a chain of absence through three steps": (f"{HERE}::test_an_absence_is_told_through_three_steps",),
        "a condition to a list and to a single one under Anything": (
            f"{HERE}::test_outcomes_under_anything_may_be_a_list_or_a_single_one",
        ),
        "a parallel as older versions declare it": (
            f"{HERE}::test_a_parallel_of_an_older_version_makes_a_composite",
            "library/test_library_flow.py::test_other_outputs_of_a_parallel_are_an_old_form_that_makes_a_composite",
        ),
        "a parallel that makes a Composite": (f"{_CONTROLLERS}::test_branches_make_a_composite",),
    },
    "inputs: light values (14.3)": {
        "texts": (f'{_INPUTS} "oolong"', f'{_REFUSED} "found the number 3"', f'{HERE}::test_a_light_value "text"'),
        "Number": (f'{HERE}::test_a_light_value "number"',),
        "YesNo": (f'{HERE}::test_a_light_value "yes_no"', f'{_REFUSED} "native.YesNo"'),
        "Date, Time": (
            f'{_INPUTS} "native.Date" "native.Time"',
            f'{_REFUSED} "20310203"',
            f'{HERE}::test_a_light_value "date"',
        ),
        "Image, Document": (f'{HERE}::test_a_light_value "file"',),
        "Choice, Rating": (f'{_INPUTS} "native.Choice" "native.Rating"',),
        "JSON": (f'{_INPUTS} "native.JSON"', f'{HERE}::test_a_light_value "json"'),
        "Html": (f'{HERE}::test_a_light_value "html"',),
        "structures": (f'{_INPUTS} "tea.Note"', f'{HERE}::test_a_light_value "structure"'),
        "structures from CSV files": ("values/test_values_inputs.py::test_csv_files_become_rows",),
        "Page, TextAndImages, SearchResult, Composite": (
            f'{_INPUTS} "native.SearchResult"',
            f'{HERE}::test_a_light_value "object"',
        ),
        "Anything, Dynamic": (f'{_INPUTS} "native.Anything" "native.Dynamic"',),
        "X[], X[N]": (f'{_INPUTS} "tea.Note[]" "tea.Note[2]"', f'{_REFUSED} "expected exactly 3 items, found 1"'),
        "X given an array": (
            f'{_REFUSED} "expected one Note, found a list of 1 item"',
            "values/test_values_inputs.py::test_a_list_for_one_passes_with_a_warning_when_its_concept_is_said",
        ),
        "fields are told by their path, and unknown ones left out": (
            f'{_REFUSED} "it[1].score"',
            "values/test_values_inputs.py::test_unknown_fields_of_structures_are_left_out_with_a_warning",
        ),
    },
    "inputs: envelopes (14.2)": {
        "concept and content": (f'{_INPUTS} "envelope(\\"tea.Cup\\", \\"x\\")"',),
        "stuff_name and stuff_code": (f'{_INPUTS} "stuff_code"',),
        "a structure with fields of these names": (f"{HERE}::test_fields_named_like_an_envelope_need_an_envelope",),
        "a bare concept: native, of the domain, alone in the library": (
            f'{_INPUTS} "envelope(\\"Cup\\", \\"x\\")" "envelope(\\"Jug\\", \\"x\\")"',
            f"{HERE}::test_a_bare_concept_of_an_envelope_is_a_native_first",
        ),
        "a bare concept that several have": ("values/test_values_inputs.py::test_a_name_that_several_concepts_have",),
        "a concept with [] or [N]": (f'{_INPUTS} "envelope(\\"Note[]\\""', f"{HERE}::test_a_concept_with_a_count"),
        "the concept that is told is kept": (f'{_INPUTS} "envelope(\\"Verdict\\""',),
        "a concept that does not fit": (f'{_REFUSED} "a Cup was given, which is not a Note"',),
        "content as a text, a list, or items": (
            f'{_INPUTS} "envelope(\\"Note\\", [{{\\"aroma\\"" "envelope(\\"Note\\", {{\\"items\\""',
        ),
        "a list of envelopes": (f'{_INPUTS} "[envelope(\\"Verdict\\", NOTE), envelope(\\"Note\\", NOTE)]"',),
        "the concept as an object with a code": (f'{_INPUTS} "domain_code"',),
    },
    "packages": {
        "a sibling by its address": (
            "packages/test_packages_loading.py::test_an_address_needs_no_declaration_when_the_package_is_a_sibling",
        ),
        "a private pipe is refused": (
            f'{_SCOPE}::test_what_a_package_does_not_give_is_told "unexported_pipe_dependency"',
        ),
        "an export names the pipe wherever it is": (
            f"{_SCOPE}::test_an_export_may_name_the_pipe_wherever_it_is",
            f"{_SCOPE}::test_a_name_found_only_in_another_package_is_taken_with_a_warning",
        ),
    },
    "command line": {
        "inputs on stdin": (f"{_RUN}::test_inputs_can_come_on_stdin",),
        "the output of another run on stdin, by name and to a single input": (
            f"{_RUN}::test_a_run_feeds_another",
            "values/test_values_earlier.py::test_inputs_are_found_by_name_and_through_aliases",
            "values/test_values_earlier.py::test_an_input_that_is_alone_takes_the_main_stuff",
        ),
        "exit code 0": (
            "cli/test_cli_validate.py::test_a_valid_bundle_gives_0",
            f"{_RUN}::test_an_absent_result_is_a_document_of_its_own",
        ),
        "exit code 1": (
            "cli/test_cli_validate.py::test_an_invalid_bundle_gives_1_and_every_problem_with_its_place",
            f"{_RUN}::test_with_json_a_failure_is_a_document",
        ),
        "exit code 2": (
            "cli/test_cli_validate.py::test_a_missing_file_gives_no_verdict",
            "cli/test_cli_main.py::test_wrong_usage_gives_2",
        ),
        "exit code 130": ("cli/test_cli_main.py::test_an_interruption_gives_130",),
    },
    "methods": {
        "valid ones have no error": (
            "library/test_library_library.py::test_the_examples_load_without_a_warning",
            "fuzz/test_fuzz_targets.py::test_every_case_gives_a_value_or_one_of_our_errors",
        ),
        "invalid ones have the code of their rule": (
            "language/test_language_rules.py::test_a_rule_is_kept_or_told_by_its_code",
            "library/test_library_rules.py::test_a_rule_says_exactly_what_it_should",
            "packages/test_packages_rules.py::test_rule",
            "rules/test_rules_coverage.py::test_every_rule_has_a_case_that_keeps_it_and_one_that_breaks_it",
        ),
    },
}
"""Part of the checklist -> item -> the tests that prove it: `folder/file.py::function "part of its cases"…`."""
