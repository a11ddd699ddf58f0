"""What a painter keeps from one plan to the next, and that nobody can tell but by its speed."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.digests import Stamp
from smd_cli.errors import AssetError, SceneError
from smd_cli.media import plan_images
from smd_cli.media.image_cache import ImageCache
from smd_cli.media.images import OpenedPicture
from smd_cli.media.paint import ScenePainter, paint_scene
from smd_cli.media.scene_images import SceneImages
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.timeline import plan_at

STREAM = """
smd: 1
task: stream
canvas: {width: 128, height: 64}
background: {image: b.png}
regions:
  - {name: file, prompt: x, mask: m.png}
  - {name: moving, prompt: x, mask: {ellipse: [0.1, 0.5, 0.2, 0.3]}}
  - {name: still, prompt: x, mask: {box: [0.1, 0, 0.4, 1]}, shift: [0.5, 0]}
stream: {frames: 8, timeline: [{at: 6, region: moving, shift: [0.5, 0.1], ease: linear}]}
"""
MOVING = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.radial_gradient("L").resize((64, 64)).save(tmp_path / "m.png")
    Image.effect_noise((100, 80), 90).convert("RGB").save(tmp_path / "b.png")
    return tmp_path


def planned(folder: Path, text: str = STREAM, size: tuple[int, int] | None = None) -> Plan:
    return resolve(load_text(text, "s.yaml", "s", folder).scene, "s", folder, size)


def frames(plan: Plan) -> Iterator[Plan]:
    for frame in range(8):
        yield plan_at(plan, frame, EvenTimes.of(12))


def pictures(images: SceneImages) -> list[Image.Image]:
    return [image for image in (*images.masks, images.background, images.new_area) if image]


def assert_equal(found: SceneImages, wanted: SceneImages) -> None:
    assert [image.tobytes() for image in pictures(found)] == [image.tobytes() for image in pictures(wanted)]
    assert (found.notes, found.warnings) == (wanted.notes, wanted.warnings)


def test_of_a_stream_s_frames_only_the_mask_that_moves_is_painted_again(folder: Path) -> None:
    painter, plan = ScenePainter(), planned(folder)
    painted = [painter.paint(at, may_leave=True) for at in frames(plan)]
    for before, after in pairwise(painted[:7]):
        kept = [one is other for one, other in zip(pictures(before), pictures(after), strict=True)]
        assert kept == [index != MOVING for index in range(4)]
    assert all(one is other for one, other in zip(pictures(painted[7]), pictures(painted[6]), strict=True))
    for found, at in zip(painted, frames(plan), strict=True):
        assert_equal(found, paint_scene(at, may_leave=True))


def test_the_work_is_done_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("open_picture", "read_mask", "paint_shape", "shift_mask", "paint_rest", "fit_picture"):

        def counted(
            *args: object, _name: str = name, _make: object = getattr(plan_images, name), **kw: object
        ) -> object:
            done.append(_name)
            return _make(*args, **kw)  # type: ignore[operator]

        monkeypatch.setattr(plan_images, name, counted)
    painter, plan = ScenePainter(), planned(folder)
    first, second, *_ = frames(plan)
    painter.paint(first, may_leave=True)
    assert sorted(done) == sorted(
        ["open_picture"] * 2 + ["read_mask"] + ["paint_shape"] * 2 + ["shift_mask"] * 3 + ["fit_picture"]
    )
    done.clear()
    painter.paint(first, may_leave=True)
    assert not done
    painter.paint(second, may_leave=True)
    assert done == ["shift_mask"]


def test_the_rest_is_kept_until_another_mask_changes(folder: Path) -> None:
    painter = ScenePainter()
    plan = planned(folder, STREAM.replace("mask: m.png", "mask: rest"))
    painted = [painter.paint(at, may_leave=True) for at in frames(plan)]
    assert painted[0].masks[0] is not painted[1].masks[0]
    assert painted[6].masks[0] is painted[7].masks[0]
    for found, at in zip(painted, frames(plan), strict=True):
        assert_equal(found, paint_scene(at, may_leave=True))


def test_notes_and_warnings_are_told_again(folder: Path) -> None:
    Image.new("L", (128, 64), 255).save(folder / "m.png")
    Image.new("RGBA", (64, 64), (9, 9, 9, 100)).save(folder / "b.png")
    painter, plan = ScenePainter(), planned(folder, STREAM.replace("m.png", "{image: m.png, invert: false}"))
    wanted = paint_scene(plan)
    assert (len(wanted.notes), len(wanted.warnings)) == (2, 1)
    for _ in range(3):
        assert_equal(painter.paint(plan), wanted)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("m.png", "gone.png"), AssetError),
        (("b.png", "gone.png"), AssetError),
        (("mask: m.png", "mask: {image: m.png, channel: alpha}"), SceneError),
        (("{image: b.png}", "{image: b.png, place: [0, 0]}"), SceneError),
        (("{image: b.png}", "{image: b.png, place: [900, 0]}"), SceneError),
        (("box: [0.1, 0, 0.4, 1]", "box: [0.1, 0, 0.101, 1]"), SceneError),
    ],
)
def test_problems_are_told_again(folder: Path, change: tuple[str, str], kind: type[Exception]) -> None:
    painter, plan = ScenePainter(), planned(folder)
    wrong = planned(folder, STREAM.replace(*change))
    with pytest.raises(kind) as wanted:
        paint_scene(wrong)
    good = painter.paint(plan)
    for _ in range(2):
        with pytest.raises(kind) as caught:
            painter.paint(wrong)
        assert caught.value.args == wanted.value.args
        assert all(
            one is other for one, other in zip(pictures(painter.paint(plan)), pictures(good), strict=True)
        )


def test_an_empty_mask_is_a_problem_only_where_it_must_not_be(folder: Path) -> None:
    painter = ScenePainter()
    plan = planned(folder, STREAM.replace("shift: [0.5, 0]", "shift: [1, 0]"))
    assert not painter.paint(plan, may_leave=True).masks[2].getbbox()
    with pytest.raises(SceneError, match="region 'still' has an empty mask"):
        painter.paint(plan)


def test_a_file_that_was_written_again_is_read_again(folder: Path) -> None:
    painter, plan = ScenePainter(), planned(folder)
    before = painter.paint(plan)
    Image.linear_gradient("L").save(folder / "m.png")
    Image.new("RGB", (128, 64), "red").save(folder / "b.png")
    for name in ("m.png", "b.png"):
        os.utime(folder / name, ns=(1, 1))
    after = painter.paint(plan)
    assert_equal(after, paint_scene(plan))
    assert (after.masks[0], after.background) != (before.masks[0], before.background)
    assert after.masks[MOVING] is before.masks[MOVING]
    (folder / "m.png").unlink()
    with pytest.raises(AssetError, match="no such file"):
        painter.paint(plan)


def test_a_file_that_was_written_again_within_a_tick_of_the_clock_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(status: os.stat_result) -> Stamp:
        return Stamp(status.st_dev, status.st_ino, status.st_size, now, now)

    now = time.time_ns()
    monkeypatch.setattr(Stamp, "of", coarse)
    painter, plan = ScenePainter(), planned(folder, STREAM.replace("b.png", "b.bmp"))
    for colour in ("red", "green"):
        Image.new("RGB", (128, 64), colour).save(folder / "b.bmp")
        assert_equal(painter.paint(plan), paint_scene(plan))


def test_what_masks_depend_on_is_told_apart(folder: Path) -> None:
    """One painter for many plans paints each as a fresh one does, in any order."""
    Image.effect_noise((101, 67), 90).convert("RGB").save(folder / "odd.png")
    wide = STREAM.replace("width: 128", "width: 256")
    follows = STREAM.replace("canvas: {width: 128, height: 64}\n", "").replace("b.png", "odd.png")
    plans = [
        planned(folder),
        planned(folder, wide),
        planned(folder, wide.replace("height: 64", "height: 64, wrap: x")),
        planned(folder, STREAM.replace("mask: m.png", "mask: {image: m.png, invert: true}")),
        planned(folder, STREAM.replace("mask: m.png", "mask: rest")),
        planned(folder, STREAM.replace("{image: b.png}", "{image: b.png, fit: contain, prompt: x}")),
        planned(folder, STREAM.replace("{image: b.png}", "{image: b.png, place: [3, 2], prompt: x}")),
        planned(folder, follows, (101, 67)),
        planned(folder, follows.replace("mask: m.png", "mask: rest"), (101, 67)),
    ]
    odd, head = (
        plans[-2],
        "smd: 1\ncanvas: {width: 128, height: 64}\nregions: [{name: r, prompt: x, mask: rest}]",
    )
    plans += [
        replace(odd, size=(104, 72)),
        replace(odd, canvas=odd.canvas.model_copy(update={"width": 112})),
        planned(folder, head),
        planned(folder, head.replace("128", "136")),
    ]
    moved = [
        replace(plan, regions=tuple(replace(r, shift=(0.9, 0.0)) for r in plan.regions)) for plan in plans
    ]
    painter = ScenePainter()
    for plan in [*plans, *moved, *plans[::-1]]:
        assert_equal(painter.paint(plan, may_leave=True), paint_scene(plan, may_leave=True))


def test_a_prompt_changes_no_picture(folder: Path) -> None:
    painter, plan = ScenePainter(), planned(folder)
    other = replace(plan, background=replace(plan.background, prompt="another"))
    assert painter.paint(plan).background is painter.paint(other).background


def test_a_cache_forgets_what_was_not_used_for_longest() -> None:
    cache: ImageCache[OpenedPicture] = ImageCache(250)
    made = {name: cache.get(name, lambda: OpenedPicture(Image.new("L", (10, 10)))) for name in "abc"}
    assert cache.get("a", pytest.fail) is made["a"]
    cache.trim()
    assert cache.get("a", pytest.fail) is made["a"]
    assert cache.get("c", pytest.fail) is made["c"]
    assert cache.get("b", lambda: made["a"]) is made["a"]
    cache.get("rgb", lambda: OpenedPicture(Image.new("RGB", (10, 10))))  # four bytes a pixel
    cache.trim()
    for name in ("a", "b", "c", "rgb"):
        with pytest.raises(KeyError):
            cache.get(name, lambda: {}["gone"])


def test_a_painter_forgets_what_takes_too_much_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_images, "_CACHE_LIMIT", 0)
    painter, plan = ScenePainter(), planned(folder)
    first, second = painter.paint(plan), painter.paint(plan)
    assert_equal(first, second)
    assert not any(one is other for one, other in zip(pictures(first), pictures(second), strict=True))
