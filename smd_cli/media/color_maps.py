"""Painted maps at the size of a canvas: which of the colours that a scene names each pixel belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smd_cli.digests import digest_of
from smd_cli.errors import SceneError
from smd_cli.media.canvas import resize_note
from smd_cli.media.images import OpenedPicture
from smd_cli.media.mask_images import read_mask
from smd_cli.scene.mask_specs import ColorMask
from smd_cli.scene.resolve import Plan, Size

MAX_COLORS = 254
"""How many colours of one map a scene can name."""
_SHOWN = 8  # colours of a map


@dataclass(frozen=True)
class ColorMap:
    """A painted map.

    Attributes:
        image: the index in `colors` of each pixel's colour, 255 where it has none of them (`L`).
        colors: what the scene names, each as `#rrggbb` in lower case; at most MAX_COLORS.
        notes: what was adapted, one line each.
    """

    image: Image.Image
    colors: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def mask(self, color: str) -> Image.Image:
        """Return the mask (`L`) of a colour that the scene names. Raises SceneError: they are too many."""
        if color.lower() not in self.colors:
            raise SceneError(f"at most {MAX_COLORS} colours of one map can be named")
        own = self.colors.index(color.lower())
        return self.image.point([255 * (label == own) for label in range(256)])


def color_masks(plan: Plan) -> dict[Path, list[ColorMask]]:
    """Return the masks that are colours of painted maps, by the map's path.

    Files of the same bytes are one map, wherever they lie: no picture depends on the names of files.
    """
    specs = [region.mask for region in plan.regions if isinstance(region.mask, ColorMask)]
    paths = {spec.image.path for spec in specs}
    maps = {path: _content(path) if len(paths) > 1 else "" for path in paths}
    return {
        path: [spec for spec in specs if maps[spec.image.path] == maps[path]]
        for path in dict.fromkeys(spec.image.path for spec in specs)
    }


def _content(path: Path) -> str:
    try:
        return digest_of([path])
    except OSError:  # which opening it reports
        return str(path)


def named_colors(specs: list[ColorMask]) -> tuple[str, ...]:
    """Return the colours of masks of one map, each once, in an order that does not depend on the masks'."""
    return tuple(sorted({spec.color.lower() for spec in specs}))


def read_color_map(path: Path, colors: tuple[str, ...], picture: OpenedPicture, size: Size) -> ColorMap:
    """Read the map that was opened from a path, of which the scene names `colors`, at a size."""
    from smd_cli.media.map_labels import label_pixels, resize_labels  # imports NumPy

    colors = colors[:MAX_COLORS]
    labels = label_pixels(picture.image, colors)
    if labels.size == size:
        return ColorMap(labels, colors, picture.notes)
    note = resize_note(path, labels.size, size)
    return ColorMap(resize_labels(labels, size), colors, (*picture.notes, note))


def why_no_mask(spec: ColorMask, picture: OpenedPicture) -> str:
    """Say that a picture has nothing of a mask's colour, and which colours it has; empty: it has some."""
    from smd_cli.media.map_labels import main_colors  # imports NumPy

    if read_mask(spec, picture, picture.image.size).image.getbbox():
        return ""
    missing = f"{spec.image.path}: has no {spec.color.lower()}"
    colors = main_colors(picture.image)
    if not colors:
        return missing
    more = f" and {len(colors) - _SHOWN} more" * (len(colors) > _SHOWN)
    return f"{missing}; its colours are {', '.join(colors[:_SHOWN])}{more}"
