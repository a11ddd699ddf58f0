"""The picture of the regions."""

from dataclasses import replace

from PIL import Image, ImageChops

from smd_cli.media.mask_images import paint_shape
from smd_cli.media.preview import LONG_SIDE, draw_preview
from smd_cli.media.scene_images import SceneImages
from smd_cli.scene.mask_specs import BoxMask


def painted(size: tuple[int, int], *boxes: tuple[float, float, float, float]) -> SceneImages:
    masks = tuple(paint_shape(BoxMask(box=box), size) for box in boxes)
    return SceneImages(masks, None, None, (), ())


def drawn(*tiles: tuple[int, int, int, int]) -> Image.Image:
    """What tiles add to the preview of a canvas of 128 x 64 px, which it shows eight times as large."""
    size = (128, 64)
    plain = draw_preview(["all"], painted(size, (0, 0, 1, 1)), size)
    return ImageChops.difference(draw_preview(["all"], painted(size, (0, 0, 1, 1)), size, tiles), plain)


def test_a_tile_is_outlined() -> None:
    found = drawn((16, 8, 48, 40))
    assert found.getbbox() == (128, 64, 384, 320)
    assert not found.crop((129, 65, 383, 319)).getbbox()


def test_a_tile_that_wraps_goes_on_at_the_left() -> None:
    found = drawn((112, 0, 144, 64))
    right, left = found.crop((896, 0, 1024, 512)), found.crop((0, 0, 128, 512))
    assert not found.crop((128, 0, 896, 512)).getbbox()
    assert (right.getbbox(), left.getbbox()) == ((0, 0, 128, 512), (0, 0, 128, 512))
    assert not right.crop((1, 1, 128, 511)).getbbox()  # open towards the seam
    assert not left.crop((0, 1, 127, 511)).getbbox()


def test_new_area_is_named() -> None:
    size = (128, 64)
    plain = painted(size, (0, 0, 1, 1))
    named = replace(plain, new_area=paint_shape(BoxMask(box=(0.75, 0, 1, 1)), size))
    found = ImageChops.difference(draw_preview([""], named, size), draw_preview([""], plain, size))
    box = found.getbbox()
    assert box is not None
    assert 768 < (box[0] + box[2]) // 2 < 1024


def test_each_region_has_its_own_colour_and_the_background_stays_white() -> None:
    size = (128, 64)
    image = draw_preview(["left", "top"], painted(size, (0, 0, 0.4, 1), (0.5, 0, 1, 0.4)), size)
    assert image.size == (LONG_SIDE, LONG_SIDE // 2)
    left, top, free = (image.getpixel(point) for point in ((20, 20), (980, 20), (980, 490)))
    assert free == (255, 255, 255)
    assert len({left, top, free}) == 3


def test_a_covered_part_has_the_later_region_s_colour() -> None:
    size = (64, 64)
    image = draw_preview(["a", "b"], painted(size, (0, 0, 1, 1), (0.5, 0, 1, 1)), size)
    alone = draw_preview(["a", "b"], painted(size, (0, 0, 0.5, 1), (0.5, 0, 1, 1)), size)
    assert image.getpixel((1000, 20)) == alone.getpixel((1000, 20))


def test_labels_of_regions_at_one_place_do_not_collide() -> None:
    """Labels are white boxes; drawn over one another they would leave fewer white pixels."""
    size = (64, 64)
    whole = (0.0, 0.0, 1.0, 1.0)

    def white(count: int) -> int:
        image = draw_preview(["same"] * count, painted(size, *[whole] * count), size)
        return image.convert("L").histogram()[255]

    assert white(5) > 4.9 * white(1)


def test_more_labels_than_room_are_drawn_all_the_same() -> None:
    size = (1024, 64)
    names = [f"a region with a long name {index}" for index in range(30)]
    assert isinstance(draw_preview(names, painted(size, *[(0, 0, 1, 1)] * 30), size), Image.Image)
