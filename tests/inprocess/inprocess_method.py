"""A batch of sequences of one call each: the method that the tests of the host and of its record run."""

SOURCE = """
domain = "t"
main_pipe = "main"
[pipe.each]
type = "PipeLLM"
description = "One"
inputs = { word = "Text" }
output = "Text"
prompt = "$word"
[pipe.wrap]
type = "PipeSequence"
description = "Two levels"
inputs = { word = "Text" }
output = "Text"
steps = [{ pipe = "each" }]
[pipe.main]
type = "PipeSequence"
description = "Steps"
inputs = { words = "Text[]" }
output = "Text[]"
steps = [{ pipe = "wrap", batch_over = "words", batch_as = "word", result = "said" }]
"""
