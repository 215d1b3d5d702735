"""The base of every model that crosses a wire: frozen, closed, plain JSON. Runs on every side."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A frozen, closed pydantic model. Unknown keys are errors; contents are never mutated after construction."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")
