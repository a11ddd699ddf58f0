"""Every form of mask. White is the region."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from smd_cli.errors import SceneError
from smd_cli.media.images import OpenedPicture
from smd_cli.media.mask_images import covered_share, paint_rest, paint_shape, read_mask
from smd_cli.scene.mask_specs import BoxMask, ColorMask, EllipseMask, ImageMask, PolygonMask

SIZE = (64, 40)


def read(mask: ImageMask | ColorMask, image: Image.Image, size: tuple[int, int] = SIZE) -> Image.Image:
    return read_mask(mask, OpenedPicture(image), size)[0]


def rgba(color: tuple[int, int, int, int]) -> Image.Image:
    return Image.new("RGBA", SIZE, color)


def value(mask: Image.Image) -> int:
    """The one value of a mask."""
    ((_, found),) = mask.getcolors()
    assert isinstance(found, int)
    return found


class TestShapes:
    def test_a_box_covers_its_pixels_exactly(self) -> None:
        mask = paint_shape(BoxMask(box=(0.25, 0.5, 0.5, 1.0)), SIZE)
        assert mask.getbbox() == (16, 20, 32, 40)
        assert covered_share(mask) == 0.125

    @given(st.floats(0.01, 0.99))
    def test_neighbouring_boxes_share_no_pixel_and_leave_none(self, edge: float) -> None:
        left = paint_shape(BoxMask(box=(0.0, 0.0, edge, 1.0)), SIZE)
        right = paint_shape(BoxMask(box=(edge, 0.0, 1.0, 1.0)), SIZE)
        assert not ImageChops.multiply(left, right).getbbox()
        assert value(ImageChops.add(left, right)) == 255

    def test_an_ellipse_has_its_area_and_its_bounds(self) -> None:
        mask = paint_shape(EllipseMask(ellipse=(0.5, 0.5, 0.25, 0.25)), (400, 200))
        assert mask.getbbox() == (100, 50, 300, 150)
        assert covered_share(mask) == pytest.approx(3.14159 / 16, rel=0.01)

    def test_an_ellipse_over_the_edge_is_cut(self) -> None:
        whole = paint_shape(EllipseMask(ellipse=(0.5, 0.5, 0.2, 0.2)), (400, 400))
        quarter = paint_shape(EllipseMask(ellipse=(0.0, 0.0, 0.2, 0.2)), (400, 400))
        assert covered_share(quarter) == pytest.approx(covered_share(whole) / 4, rel=0.02)

    @pytest.mark.parametrize("turn", [-1, 0, 1])
    def test_on_a_canvas_that_wraps_a_shape_goes_on_at_the_other_side(self, turn: int) -> None:
        """A shape on the seam is the same shape inside, turned by half a width."""
        size = (400, 80)
        ellipse = paint_shape(EllipseMask(ellipse=(0.5, 0.5, 0.3, 0.3)), size)
        seam = paint_shape(EllipseMask(ellipse=(turn, 0.5, 0.3, 0.3)), size, wraps=True)
        assert not ImageChops.difference(ImageChops.offset(ellipse, 200, 0), seam).getbbox()
        triangle = PolygonMask(polygon=((0.2, 0.1), (0.7, 0.1), (0.4, 0.9)))
        moved = PolygonMask(polygon=tuple((x + 0.5 + min(turn, 0), y) for x, y in triangle.polygon))
        expected = ImageChops.offset(paint_shape(triangle, size), 200, 0)
        found = paint_shape(moved, size, wraps=True)
        assert covered_share(ImageChops.difference(expected, found)) < 0.001  # edges are rounded anew

    def test_shapes_within_a_canvas_that_wraps_stay_as_they_are(self) -> None:
        for shape in (BoxMask(box=(0.0, 0.0, 1.0, 0.5)), EllipseMask(ellipse=(0.3, 0.5, 0.2, 0.9))):
            assert paint_shape(shape, SIZE, wraps=True) == paint_shape(shape, SIZE)

    def test_a_shape_wider_than_a_canvas_that_wraps_goes_all_around(self) -> None:
        wide = EllipseMask(ellipse=(-1.0, 0.5, 2.0, 2.0))
        assert value(paint_shape(wide, SIZE, wraps=True)) == 255

    def test_a_polygon_has_its_area(self) -> None:
        mask = paint_shape(PolygonMask(polygon=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))), (400, 400))
        assert covered_share(mask) == pytest.approx(0.5, rel=0.01)
        assert (mask.getpixel((5, 5)), mask.getpixel((395, 395))) == (255, 0)

    def test_shapes_are_hard_edged(self) -> None:
        for shape in (
            EllipseMask(ellipse=(0.5, 0.5, 0.3, 0.4)),
            PolygonMask(polygon=((0, 0), (1, 0.3), (0.2, 1))),
        ):
            assert {found for _, found in paint_shape(shape, SIZE).getcolors()} == {0, 255}

    def test_less_than_a_pixel_is_empty(self) -> None:
        assert not paint_shape(BoxMask(box=(0.5, 0.0, 0.501, 1.0)), SIZE).getbbox()


class TestFiles:
    @pytest.mark.parametrize(
        ("color", "channel", "expected"),
        [
            ((255, 255, 255, 30), "auto", 30),
            ((255, 255, 255, 30), "luminance", 255),
            ((10, 20, 30, 40), "alpha", 40),
            ((10, 20, 30, 40), "red", 10),
            ((10, 20, 30, 40), "green", 20),
            ((10, 20, 30, 40), "blue", 30),
        ],
    )
    def test_channels(self, color: tuple[int, int, int, int], channel: str, expected: int) -> None:
        mask = ImageMask.model_validate({"image": "x.png", "channel": channel})
        assert value(read(mask, rgba(color))) == expected

    def test_without_alpha_white_is_the_region(self) -> None:
        mask = ImageMask(image="x.png")
        assert value(read(mask, Image.new("L", SIZE, 255))) == 255
        assert value(read(mask, Image.new("RGB", SIZE))) == 0

    def test_invert(self) -> None:
        assert value(read(ImageMask(image="x.png", invert=True), rgba((0, 0, 0, 0)))) == 255

    def test_no_alpha_to_read(self) -> None:
        with pytest.raises(SceneError, match=r"x\.png: has no alpha channel"):
            read(ImageMask(image="x.png", channel="alpha"), Image.new("RGB", SIZE))

    @pytest.mark.parametrize(("off", "expected"), [(0, 255), (16, 255), (17, 0)])
    def test_a_colour_and_its_tolerance(self, off: int, expected: int) -> None:
        painted = Image.new("RGB", SIZE, (0xF9, 0x2F + off, 0x6C - off))
        assert value(read(ColorMask(image="x.png", color="#F92f6c", tolerance=16), painted)) == expected

    def test_a_transparent_colour_is_not_there(self) -> None:
        mask = ColorMask(image="x.png", color="#102030", tolerance=0)
        assert value(read(mask, rgba((0x10, 0x20, 0x30, 255)))) == 255
        assert value(read(mask, rgba((0x10, 0x20, 0x30, 0)))) == 0

    def test_another_size_is_resized_with_a_note_and_stays_hard(self) -> None:
        image = Image.new("L", (7, 5))
        image.paste(255, (0, 0, 3, 5))
        mask, notes = read_mask(ImageMask(image="a/x.png"), OpenedPicture(image), SIZE)
        assert mask.size == SIZE
        assert {found for _, found in mask.getcolors()} == {0, 255}
        assert notes == (
            f"{Path('a/x.png').absolute()}: resized from 7x5 to 64x40, stretched to other proportions",
        )

    def test_soft_edges_stay_soft(self) -> None:
        image = Image.linear_gradient("L")
        assert len(read(ImageMask(image="x.png"), image).getcolors()) > 20

    def test_the_same_proportions_are_not_stretched(self) -> None:
        _, notes = read_mask(ImageMask(image="x.png"), OpenedPicture(Image.new("L", (32, 20))), SIZE)
        assert notes == (f"{Path('x.png').absolute()}: resized from 32x20 to 64x40",)


def test_the_rest_is_what_the_others_leave() -> None:
    boxes = [paint_shape(BoxMask(box=box), SIZE) for box in ((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.75, 0.5))]
    rest = paint_rest(boxes, SIZE)
    assert covered_share(rest) == pytest.approx(1 - 0.5 - 0.125)
    assert value(paint_rest([], SIZE)) == 255
