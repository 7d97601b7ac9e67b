"""The settings of augmentation: how samples, real and generated alike, are changed before D sees them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, Tag, model_validator

from saddle.config.schedules import ShareNumber
from saddle.config.section import Count, Role, Section, chosen_by

GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
COLORS = ("brightness", "contrast", "lumaflip", "hue", "saturation")

_Name = TypeVar("_Name", bound=Hashable)


def _once(names: Sequence[_Name]) -> Sequence[_Name]:
    if len(set(names)) < len(names):
        raise ValueError(f"game.augment.transformations names one of them twice: {', '.join(map(str, names))}")
    return names


class NoAugmentConfig(Section):
    """D sees samples as they are."""

    kind: Literal["none"] = "none"
    """what is done to the samples that D sees"""


class DiffAugmentConfig(Section):
    """DiffAugment (Zhao et al. 2020): three strong transformations of every image."""

    kind: Literal["diffaugment"] = "diffaugment"
    """what is done to the samples that D sees"""
    transformations: Annotated[
        tuple[Literal["color", "translation", "cutout"], ...], Field(min_length=1), AfterValidator(_once)
    ] = ("color", "translation", "cutout")
    """color: brightness, saturation and contrast; translation: by up to an eighth; cutout: a square hole"""
    strength: Annotated[ShareNumber, Role.STEERED] = 1.0
    """probability with which each of them falls on an image"""


class PipelineConfig(Section):
    """The transformations of ADA (Karras et al. 2020, appendix B), whatever decides how often they occur."""

    kind: Literal["stochastic", "ada"]
    """what is done to the samples that D sees"""
    transformations: Annotated[
        tuple[
            Literal[
                "xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac", "brightness", "contrast", "lumaflip",
                "hue", "saturation", "cutout",
            ],
            ...,
        ],
        Field(min_length=1),
        AfterValidator(_once),
    ] = (*GEOMETRY, *COLORS)  # fmt: skip
    """mirrored, turned by quarters, shifted by whole pixels, scaled, rotated, stretched and shifted by any length, then
    the five of colours; cutout: a square hole. The default is the paper's pipeline bgc"""
    color_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """brightness, contrast, lumaflip, hue and saturation fall on an image with this share of the strength"""

    @model_validator(mode="after")
    def _share_of_something(self) -> Self:
        if self.color_share != 1 and not set(COLORS) & {*self.transformations}:
            raise ValueError(f"game.augment.color_share has no effect without one of {', '.join(COLORS)}")
        return self


class StochasticConfig(PipelineConfig):
    """The transformations of ADA, as often as you say (Karras et al. 2020, section 2)."""

    kind: Literal["stochastic"] = "stochastic"  # pyright: ignore[reportIncompatibleVariableOverride]
    """what is done to the samples that D sees"""
    strength: Annotated[ShareNumber, Role.STEERED]
    """probability with which each of them falls on an image"""


class ADAConfig(PipelineConfig):
    """ADA: they occur more often while D tells real images too surely (Karras et al. 2020, section 3)."""

    kind: Literal["ada"] = "ada"  # pyright: ignore[reportIncompatibleVariableOverride]
    """what is done to the samples that D sees"""
    target: Annotated[float, Field(gt=0, lt=1), Role.STEERED] = 0.6
    """r_t, the mean sign of D's logits on real images, above which the strength rises and below which it falls"""
    rise: Count = 500_000
    """images seen while the strength goes from 0 to 1"""


AugmentConfig = Annotated[
    Annotated[NoAugmentConfig, Tag("none")]
    | Annotated[DiffAugmentConfig, Tag("diffaugment")]
    | Annotated[StochasticConfig, Tag("stochastic")]
    | Annotated[ADAConfig, Tag("ada")],
    chosen_by("kind", "none"),
]
