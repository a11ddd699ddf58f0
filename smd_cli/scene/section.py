"""The base class of the scene language's mappings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of a scene: frozen, strict about types, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
