"""The plan of a scene at each frame of a stream."""

from pathlib import Path
from typing import Any

import pytest

from smd_cli.scene.frame_times import EvenTimes, RecordedTimes
from smd_cli.scene.loader import load_text
from smd_cli.scene.mask_specs import BoxMask, EllipseMask, ImageMask, PolygonMask, mask_at
from smd_cli.scene.paths import Reference
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.timeline import plan_at, written_at

SCENE = """\
smd: 1
task: stream
canvas: {width: 384, height: 256}
negative_prefix: ugly
background: {prompt: the sea}
regions:
  - {name: owl, prompt: an owl, mask: {box: [0, 0, 0.5, 1]}, mask_std: 8, prompt_strength: 0.5}
  - {name: cat, prompt: a cat, mask: m.png}
"""


def plan(*keyframes: str, more: str = "") -> Plan:
    timeline = "".join(f"    - {{{keyframe}}}\n" for keyframe in keyframes) or "    []\n"
    text = f"{SCENE}stream:\n  fps: 10\n  timeline:\n{timeline}{more}"
    loaded = load_text(text, "s.yaml", "s", Path("/scenes"))
    return resolve(loaded.scene, loaded.name, loaded.base_dir)


def show(frame: int, *keyframes: str) -> Plan:
    return plan_at(plan(*keyframes), frame, EvenTimes.of(10))


def owl(frame: int, key: str, *keyframes: str) -> Any:
    return getattr(show(frame, *keyframes).regions[0], key)


def test_a_static_scene_is_the_same_at_every_frame() -> None:
    still = plan()
    shows = {plan_at(still, frame, EvenTimes.of(12)) for frame in (0, 1, 49, 10_000)}
    (only,) = shows
    assert only.background.prompt == PromptMix.of("the sea")
    assert only.background.image is None
    first = only.regions[0]
    assert first.name == "owl"
    assert (first.prompt, first.negative_prompt) == (PromptMix.of("an owl"), PromptMix.of("ugly"))
    assert (first.prompt_strength, first.mask_strength, first.mask_std, first.shift) == (0.5, 1, 8, (0, 0))
    assert first.mask == BoxMask(box=(0, 0, 0.5, 1))


def test_a_value_jumps_at_its_frame_and_stays() -> None:
    keyframe = "at: 20, region: owl, prompt: a dove, negative_prompt: blue, mask: rest"
    assert show(19, keyframe) == show(0)
    assert owl(20, "prompt", keyframe) == PromptMix.of("a dove")
    assert owl(20, "negative_prompt", keyframe) == PromptMix.of("ugly, blue")
    assert show(20, keyframe) == show(999, keyframe)
    assert show(20, keyframe).regions[1] == show(0).regions[1]


@pytest.mark.parametrize(
    ("ease", "shares"),
    [("linear", (0, 0.25, 0.5, 0.75, 1)), ("smooth", (0, 0.15625, 0.5, 0.84375, 1))],
)
def test_numbers_are_eased_from_the_first_frame(ease: str, shares: tuple[float, ...]) -> None:
    keyframe = f"at: 4, region: owl, mask_std: 16, prompt_strength: 0, ease: {ease}"
    found = [show(frame, keyframe).regions[0] for frame in range(5)]
    assert [state.mask_std for state in found] == [8 + 8 * share for share in shares]
    assert [state.prompt_strength for state in found] == [0.5 - 0.5 * share for share in shares]
    assert show(5, keyframe) == show(4, keyframe)


def test_each_value_is_eased_from_the_keyframe_that_named_it_last() -> None:
    keyframes = (
        "at: 20, region: owl, shift: [0.4, -0.2], ease: linear",
        "at: 10, region: owl, shift: [0.2, 0]",
        "at: 15, region: owl, mask_std: 0",
        "at: 15, region: cat, shift: [2, 2]",
    )
    found = [owl(frame, "shift", *keyframes) for frame in (9, 10, 15, 20, 30)]
    assert found == [(0, 0), (0.2, 0), pytest.approx((0.3, -0.1)), (0.4, -0.2), (0.4, -0.2)]


def test_a_shift_is_eased_from_the_region_s_own() -> None:
    text = SCENE.replace("mask: m.png", "mask: m.png, shift: [1, 0]")
    text += "stream: {timeline: [{at: 4, region: cat, shift: [0, 0.5], ease: linear}]}"
    shifted = resolve(load_text(text, "s.yaml").scene, "s", Path("/scenes"))
    found = [plan_at(shifted, frame, EvenTimes.of(12)).regions[1].shift for frame in (0, 2, 4)]
    assert found == [(1, 0), (0.5, 0.25), (0, 0.5)]


def test_prompts_are_on_their_way_from_one_to_the_other() -> None:
    keyframe = "at: 4, background: {prompt: the desert, negative_prompt: fog}, ease: linear"
    found = [show(frame, keyframe).background for frame in (0, 1, 4, 5)]
    assert [state.prompt for state in found] == [
        PromptMix.of("the sea"),
        PromptMix((("the sea", 0.75), ("the desert", 0.25))),
        PromptMix.of("the desert"),
        PromptMix.of("the desert"),
    ]
    assert found[1].negative_prompt == PromptMix((("ugly", 0.75), ("ugly, fog", 0.25)))


def test_a_prompt_that_stays_the_same_is_not_on_its_way() -> None:
    keyframe = "at: 4, region: owl, prompt: ' an owl ', mask_std: 8, ease: linear"
    assert len({show(frame, keyframe) for frame in range(6)}) == 1


def test_what_a_keyframe_at_frame_0_says_holds_from_the_beginning() -> None:
    keyframes = (
        "at: 0, region: owl, mask_std: 0, ease: linear",
        "at: 4, region: owl, mask_std: 8, ease: linear",
    )
    assert [owl(frame, "mask_std", *keyframes) for frame in (0, 2, 4)] == [0, 4, 8]


@pytest.mark.parametrize(
    ("first", "second", "halfway"),
    [
        ("{box: [0, 0, 0.5, 1]}", "{box: [0.5, 0, 1, 0.5]}", BoxMask(box=(0.25, 0, 0.75, 0.75))),
        (
            "{ellipse: [0, 0, 1, 1]}",
            "{ellipse: [0.5, 1, 0.5, 0.5]}",
            EllipseMask(ellipse=(0.25, 0.5, 0.75, 0.75)),
        ),
        (
            "{polygon: [[0, 0], [1, 0], [1, 1]]}",
            "{polygon: [[1, 0], [1, 1], [0, 0]]}",
            PolygonMask(polygon=((0.5, 0), (1, 0.5), (0.5, 0.5))),
        ),
    ],
)
def test_shapes_of_one_kind_are_eased(first: str, second: str, halfway: object) -> None:
    keyframes = (f"at: 2, region: owl, mask: {first}", f"at: 4, region: owl, mask: {second}, ease: linear")
    assert owl(3, "mask", *keyframes) == halfway
    assert owl(4, "mask", *keyframes).model_dump() == owl(9, "mask", *keyframes).model_dump()


@pytest.mark.parametrize(
    "after", ["{ellipse: [0, 0, 1, 1]}", "rest", "n.png", "{polygon: [[0, 0], [1, 0], [1, 1]]}"]
)
def test_other_masks_jump_while_the_rest_is_eased(after: str) -> None:
    keyframe = f"at: 4, region: owl, mask: {after}, shift: [1, 0], ease: linear"
    on_its_way = show(3, keyframe).regions[0]
    assert (on_its_way.mask, on_its_way.shift) == (BoxMask(box=(0, 0, 0.5, 1)), (0.75, 0))
    assert show(4, keyframe).regions[0].mask != on_its_way.mask


def test_polygons_of_unlike_corners_jump() -> None:
    keyframes = (
        "at: 2, region: owl, mask: {polygon: [[0, 0], [1, 0], [1, 1]]}",
        "at: 4, region: owl, mask: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}, ease: smooth",
    )
    assert [len(owl(frame, "mask", *keyframes).polygon) for frame in (2, 3, 4)] == [3, 3, 4]


def test_pictures_jump() -> None:
    keyframe = "at: 4, background: {prompt: the desert, image: b.png}, ease: linear"
    assert [show(frame, keyframe).background.image for frame in (3, 4)] == [
        None,
        Reference("b.png", Path("/scenes")),
    ]
    assert show(9, "at: 4, region: cat, mask: n.png").regions[1].mask == mask_at(
        ImageMask(image="n.png"), Path("/scenes")
    )


def test_times_are_told_by_the_rate() -> None:
    keyframe = "at: 1.5s, region: owl, prompt: a dove"
    clip = plan(keyframe, more="  input: a.mp4\n").stream
    assert clip.timeline[0].at == 15  # the scene says fps
    text = SCENE + f"stream: {{input: a.mp4, timeline: [{{{keyframe}}}]}}"
    film = resolve(load_text(text, "s.yaml").scene, "s", Path("/scenes"))
    for fps, frame in ((10, 15), (24, 36), (29.97, 45)):
        shows = (plan_at(film, number, EvenTimes.of(fps)) for number in (frame - 1, frame))
        before, there = (each.regions[0].prompt for each in shows)
        assert (before, there) == (PromptMix.of("an owl"), PromptMix.of("a dove"))


UNEVEN = RecordedTimes(20, (0, 60, 61, 62, 63, 64), 65)  # the first frame lasts 3 s, the others 50 ms


def test_a_time_is_the_frame_that_begins_nearest() -> None:
    for at, frame in ((0.2, 0), (1.4, 0), (1.6, 1), (3, 1), (3.04, 2), (3.2, 5)):
        keyframe = f"{{at: {at}s, region: owl, prompt: a dove}}"
        text = f"{SCENE}stream: {{input: a.mp4, timeline: [{keyframe}]}}"
        film = resolve(load_text(text, "s.yaml").scene, "s", Path("/scenes"))
        shown = [plan_at(film, number, UNEVEN).regions[0].prompt.text for number in range(6)]
        assert shown.index("a dove") == frame


def test_values_are_eased_over_time_not_over_frames() -> None:
    text = f"{SCENE}stream: {{input: a.mp4, timeline: [{{at: 4, region: owl, mask_std: 16, ease: linear}}]}}"
    film = resolve(load_text(text, "s.yaml").scene, "s", Path("/scenes"))
    blurred = [plan_at(film, number, UNEVEN).regions[0].mask_std for number in range(6)]
    assert blurred == pytest.approx([8, 8 + 8 * 60 / 63, 8 + 8 * 61 / 63, 8 + 8 * 62 / 63, 16, 16])


def test_a_preview_shows_the_frames_of_the_whole_stream() -> None:
    """A value is eased towards a keyframe that the preview does not reach."""
    ease = "at: 8s, region: owl, mask_std: 16, ease: linear"
    text = f"{SCENE}stream: {{input: a.mp4, timeline: [{{{ease}}}]}}"
    film = resolve(load_text(text, "s.yaml").scene, "s", Path("/scenes"))
    whole = RecordedTimes(10, tuple(range(100)), 100)
    for frame in range(3):
        assert plan_at(film, frame, whole.cut(3)) == plan_at(film, frame, whole)


def test_the_plan_of_a_frame_is_one_without_a_timeline() -> None:
    film = plan("at: 4, region: owl, prompt: a dove, shift: [1, 0], ease: linear")
    before, during = plan_at(film, 0, EvenTimes.of(10)), plan_at(film, 3, EvenTimes.of(10))
    assert before.stream.timeline == during.stream.timeline == ()
    assert before.regions == film.regions
    assert plan_at(during, 9, EvenTimes.of(10)) == during
    assert during.to_dict()["regions"][0]["prompt"] == "a dove"
    assert (during.canvas, during.sampler, during.background) == (film.canvas, film.sampler, film.background)


def test_a_prompt_eased_to_none_is_there_until_then() -> None:
    keyframe = "at: 4, background: {prompt: ''}, ease: linear"
    assert [bool(show(frame, keyframe).background.prompt) for frame in (0, 1, 3, 4)] == [
        True,
        True,
        True,
        False,
    ]


def test_where_a_value_is_written() -> None:
    shown = plan(
        "at: 2, region: cat, mask: a.png",
        "at: 8, region: owl, mask: {box: [0, 0, 1, 1]}",
        "at: 5, region: cat, mask: b.png",
        "at: 5, background: {image: c.png}",
        "at: 7, region: cat, prompt: a lynx",
    )
    mask, image = ("regions", 1, "mask"), ("background", "image")
    for loc, frame, keyframe in ((mask, 2, 0), (mask, 4, 0), (mask, 5, 2), (mask, 99, 2), (image, 5, 3)):
        assert written_at(shown, loc, frame, EvenTimes.of(10)) == ("stream", "timeline", keyframe)
    for loc, frame in ((mask, 1), (image, 4), (("regions", 0, "mask"), 7), (("background", "place"), 9)):
        assert written_at(shown, loc, frame, EvenTimes.of(10)) == loc
