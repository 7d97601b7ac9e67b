"""What every section of the config is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field

PositiveFinite = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def chosen_by(key: str, default: str) -> Discriminator:
    """Choose a union's member by ``key``, which may be left out."""

    def choose(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, Mapping) else getattr(value, key, None)

    return Discriminator(choose)
