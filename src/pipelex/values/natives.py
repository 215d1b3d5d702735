"""The native concepts (MTHDS section 5). Pure; replayed."""

from pipelex.values.concepts import Concept

NATIVES: dict[str, Concept] = {}
