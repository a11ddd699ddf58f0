"""How a scene specifies where a region lies. In every form, white is the region."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from smd_cli.scene.paths import Reference
from smd_cli.scene.section import Section

REST = "rest"
HEX_COLOR = r"^#[0-9a-fA-F]{6}$"
Coordinate = Annotated[float, Field(ge=-1, le=2)]


class ImageMask(Section):
    """A picture file whose brightness or transparency is the mask."""

    image: Reference = Field(description="Picture file, relative to the scene file.")
    channel: Literal["auto", "alpha", "luminance", "red", "green", "blue"] = Field(
        default="auto",
        description="What to read; `auto` is the alpha channel where there is one, else luminance.",
    )
    invert: bool = Field(default=False, description="Inverts the mask: black, or transparent, is the region.")


class ColorMask(Section):
    """One colour of a painted map, a picture that holds the masks of all regions.

    Each pixel of the map belongs to the nearest of its colours: those that the scene names, and others that
    fill areas of it. So soft edges and JPEG files lose nothing, and colours that no region names belong to
    nobody, as transparent parts do. `smd check` tells how much of a map that is.
    """

    image: Reference = Field(description="Picture file, relative to the scene file.")
    color: Annotated[str, Field(pattern=HEX_COLOR)] = Field(
        description='The colour of the region, quoted: "#f92f6c".'
    )
    tolerance: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None,
        description="In place of the nearest colour: the largest difference in red, green or blue that still "
        "counts as this one.",
    )


def _has_area(box: tuple[float, ...]) -> tuple[float, ...]:
    x0, y0, x1, y1 = box
    if x0 >= x1 or y0 >= y1:
        raise PydanticCustomError("shape", "a box is [x0, y0, x1, y1] with x0 below x1 and y0 below y1")
    return box


def _has_radii(ellipse: tuple[float, ...]) -> tuple[float, ...]:
    if min(ellipse[2:]) <= 0:
        raise PydanticCustomError("shape", "an ellipse is [cx, cy, rx, ry] with radii above 0")
    return ellipse


class BoxMask(Section):
    """A rectangle."""

    box: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...],
        Field(min_length=4, max_length=4),
        AfterValidator(_has_area),
    ] = Field(description="[x0, y0, x1, y1]: left, top, right and bottom edge, in fractions of the canvas.")


class EllipseMask(Section):
    """An ellipse. It may extend past the canvas; if the canvas wraps, it continues at the opposite edge."""

    ellipse: Annotated[
        tuple[Coordinate, ...], Field(min_length=4, max_length=4), AfterValidator(_has_radii)
    ] = Field(
        description="[cx, cy, rx, ry]: centre and radii, in fractions of the width and height of the canvas."
    )


class PolygonMask(Section):
    """A closed polygon. It may extend past the canvas, like an ellipse."""

    polygon: Annotated[
        tuple[Annotated[tuple[Coordinate, ...], Field(min_length=2, max_length=2)], ...],
        Field(min_length=3, max_length=1000),
    ] = Field(description="Corner points [x, y] in order, in fractions of the canvas.")


class RestMask(Section):
    """The part of the canvas that no other region covers; written as the word `rest`."""


FileMask = ImageMask | ColorMask
MaskSpec = FileMask | BoxMask | EllipseMask | PolygonMask | RestMask

# Tags are in angle brackets, so that no key of a scene can be taken for one in the place of an error.
MASK_FORMS: dict[str, type[Section]] = {
    "<color>": ColorMask,
    "<image>": ImageMask,
    "<box>": BoxMask,
    "<ellipse>": EllipseMask,
    "<polygon>": PolygonMask,
}


def _form(value: Any) -> str | None:  # noqa: ANN401 - what a file says, of any shape
    if isinstance(value, (str, RestMask)):
        return "<text>"
    if isinstance(value, Section):
        return next((tag for tag, form in MASK_FORMS.items() if isinstance(value, form)), None)
    keys = value if isinstance(value, dict) else ()
    return next((tag for tag in MASK_FORMS if tag[1:-1] in keys), None)


def _from_text(value: Any) -> ImageMask | RestMask:  # noqa: ANN401
    if isinstance(value, RestMask) or value == REST:
        return RestMask()
    return ImageMask(image=value)


_Text = Annotated[
    ImageMask | RestMask,
    PlainValidator(_from_text),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "description": "A picture file (alpha channel where there is one, else luminance; white is the "
            "region), or `rest`: what no other region covers.",
        }
    ),
]
AnyMask = Annotated[
    Annotated[_Text, Tag("<text>")]
    | Annotated[ColorMask, Tag("<color>")]
    | Annotated[ImageMask, Tag("<image>")]
    | Annotated[BoxMask, Tag("<box>")]
    | Annotated[EllipseMask, Tag("<ellipse>")]
    | Annotated[PolygonMask, Tag("<polygon>")],
    Discriminator(
        _form,
        custom_error_type="mask_form",
        custom_error_message="no form of a mask",
    ),
]


def mask_at(mask: MaskSpec, base_dir: Path) -> MaskSpec:
    """Return a mask of a scene in a folder, at which its file, where it has one, starts."""
    if isinstance(mask, FileMask):
        return mask.model_copy(update={"image": mask.image.at(base_dir)})
    return mask


def can_ease(before: MaskSpec, after: MaskSpec) -> bool:
    """Tell whether a mask can be eased into another: boxes, ellipses, polygons of as many corners can."""
    if isinstance(before, PolygonMask) and isinstance(after, PolygonMask):
        return len(before.polygon) == len(after.polygon)
    return isinstance(before, (BoxMask, EllipseMask)) and type(before) is type(after)
