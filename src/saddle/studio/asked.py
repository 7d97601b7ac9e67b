"""What the studio's page may ask, and how it is read: every field is checked before anything else sees it."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from saddle.studio.answers import Refused

_LARGEST_SEED = 2**63 - 1
_MOST_SETTINGS = 300
LONGEST_JSON = 2**18  # bytes of a request that is no picture
MARK = "x-saddle"  # a header that a page of another site cannot send without being asked


class Asked(BaseModel):
    """Fields that are known, and no others."""

    model_config = ConfigDict(extra="forbid")


class OfRun(Asked):
    run: str = Field(max_length=500)


class PictureQuery(OfRun):
    name: str = Field(pattern=r"^(data|[0-9]{1,12})$")


class CurvesQuery(OfRun):
    life: int = 0
    width: int = 0
    start: int = Field(0, ge=0)
    scores_life: int = 0
    scores_width: int = 0
    scores_start: int = Field(0, ge=0)


class WindowQuery(OfRun):
    first: int = Field(ge=0, le=2**62)
    last: int = Field(ge=0, le=2**62)


class CompareQuery(Asked):
    a: str = Field(max_length=500)
    b: str = Field(max_length=500)


class RecipeQuery(Asked):
    recipe: str = Field(max_length=100)


Text = dict[str, str]


class FormBody(Asked):
    recipe: str = Field(max_length=100)
    settings: Text = Field(default_factory=dict, max_length=_MOST_SETTINGS)


class StartBody(FormBody):
    out: str = Field(max_length=300)


class AskBody(OfRun):
    do: Literal["pause", "resume", "stop", "save", "sample", "edit", "turn_d", "turn_g", "back"]
    settings: Text = Field(default_factory=dict, max_length=_MOST_SETTINGS)
    to: int | None = Field(None, ge=0, le=10**12)


class ForkBody(OfRun):
    out: str = Field(max_length=300)
    at: int | None = Field(None, ge=0, le=10**12)
    settings: Text = Field(default_factory=dict, max_length=_MOST_SETTINGS)


class PlayQuery(OfRun):
    best: bool = False
    seed: int = Field(0, ge=0, le=_LARGEST_SEED)
    first: int = Field(0, ge=0, le=2**53)
    count: int = Field(25, ge=1, le=4096)
    truncation: float = Field(1.0, gt=0, le=1)
    shares: str = Field("", max_length=20_000, description="Of the classes, with commas; empty: in turn.")
    format: Literal["png", "zip", "npy"] = "png"
    start: str = Field("0:0", max_length=50)
    end: str = Field("0:1", max_length=50)
    steps: int = Field(10, ge=2, le=100)
    sum: str = Field("", max_length=2000)

    @property
    def parts(self) -> list[float]:
        """The shares of the classes.

        Raises:
            Refused: they are no numbers.
        """
        try:
            return [float(part) for part in self.shares.split(",")] if self.shares else []
        except ValueError:
            raise Refused(422, "these are no shares of classes", expected="numbers with commas") from None


Kind = TypeVar("Kind", bound=Asked)


def query_of(kind: type[Kind], request: Request) -> Kind:
    """What stands behind the question mark.

    Raises:
        Refused: a parameter is unknown, given twice, or not what it should be.
    """
    given = request.query_params
    if len(given.multi_items()) > len(given):
        raise Refused(422, "a parameter is given twice", expected="each at most once")
    return _checked(kind, dict(given))


async def body_of(kind: type[Kind], request: Request) -> Kind:
    """The JSON that a request brings.

    Raises:
        Refused: it is too long, no JSON, or not what it should be; or the header that our page sends is missing.
    """
    check_mark(request)
    content = await request.body()
    if len(content) > LONGEST_JSON:
        raise Refused(413, "the body of the request is too long", expected=f"at most {LONGEST_JSON:,} bytes")
    return _checked(kind, content)


def check_mark(request: Request) -> None:
    """Refuse what a form of another site could send.

    Raises:
        Refused: our page's header is missing.
    """
    if request.headers.get(MARK) != "1":
        raise Refused(403, "only the studio's own page may ask this", expected="the header X-Saddle: 1")


def _checked(kind: type[Kind], given: dict[str, Any] | bytes) -> Kind:
    try:
        return kind.model_validate_json(given) if isinstance(given, bytes) else kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the request"
        raise Refused(422, f"{name} cannot be used", expected=first["msg"]) from None
