"""What every section of the config is made of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field

# Integers have ends, so that the product of some of them does not overflow. Names of files hold twelve digits.
Size = Annotated[int, Field(gt=0, le=1_000_000)]  # of what is there at the same time
Count = Annotated[int, Field(gt=0, lt=10**12)]  # of what comes one after the other
CountOrZero = Annotated[int, Field(ge=0, lt=10**12)]
PositiveFinite = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error.

    The text under each setting is its help: ``saddle settings`` shows it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )


class Role(Enum):
    """What a setting is for, where it does not make a run what it is once and for all. Stands in its annotation."""

    LENGTH = auto()  # how long the run is
    SEED = auto()  # which of many equal runs it is
    FOUND = auto()  # what the data and the machine are, once a session has looked
    CHOOSER = auto()  # who chooses a setting
    THREADS = auto()  # how the machine is used
    WATCH = auto()  # what is written down, and when; may change while a run goes on
    EVENTS = auto()  # what is written for other programs
    STEERED = auto()  # a number that makes a run what it is, and may change while it goes on
    BEST = auto()  # which generator is kept as the best one
    SCORES = auto()  # how generators are scored to find it


def chosen_by(key: str, default: str) -> Discriminator:
    """Choose a union's member by ``key``, which may be left out."""

    def choose(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, Mapping) else getattr(value, key, None)

    return Discriminator(choose)
