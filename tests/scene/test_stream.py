"""The section `stream`: its rules, told at their places, its defaults, and its plan."""

import json
from pathlib import Path
from typing import Any

import pytest

from smd_cli.errors import SceneError
from smd_cli.messages import Place
from smd_cli.scene.edits import conflicts_with_input, past_the_end
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.lints import lint
from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.overrides import override
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.stream_plan import Seconds
from smd_cli.scene.tree import dotted

SCENE = """\
smd: 1
task: stream
canvas: {width: 384, height: 256}
negative_prefix: ugly
background: {prompt: times square}
regions:
  - {name: boy, prompt: a boy, mask: rest}
  - {name: girl, prompt: a girl, mask: {ellipse: [0.75, 0.55, 0.2, 0.4]}}
"""


def plan(stream: str, scene: str = SCENE) -> Plan:
    loaded = load_text(f"{scene}stream: {stream}\n", "s.yaml", "s", Path("/scenes"))
    return resolve(loaded.scene, loaded.name, loaded.base_dir)


def problems(stream: str, scene: str = SCENE) -> list[str]:
    """What is wrong, without the places, which other tests hold."""
    with pytest.raises(SceneError) as caught:
        load_text(f"{scene}stream: {stream}\n", "s.yaml")
    return [line.split(": ", 1)[1] for line in caught.value.problems]


def warnings(stream: str, scene: str = SCENE) -> list[str]:
    return lint(plan(stream, scene), lambda *loc: Place(dotted(loc)))


def timeline(*keyframes: str) -> str:
    return f"{{timeline: [{', '.join(f'{{{keyframe}}}' for keyframe in keyframes)}]}}"


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        ("{fps: 0}", "stream.fps: 0 is below 0.01"),
        ("{frames: 0}", "stream.frames: 0 is below 1"),
        ("{frames: 5, seconds: 2}", "stream.seconds: does not go with frames: give one of them"),
        (
            "{seconds: 86400, fps: 100}",
            "stream.seconds: 86400 at 100 frames a second are 8,640,000 frames; at most 1,000,000 are "
            "possible",
        ),
        ("{buffer: 65}", "stream.buffer: 65 is above 64"),
        ("{mode: bach}", "stream.mode: 'bach' is not one of batch, sequential; did you mean batch?"),
        ("{variation: 1.5}", "stream.variation: 1.5 is above 1"),
        ("{strength: 0.5}", "stream.strength: is about input frames: give stream.input"),
        ("{input: a.gif, similarity: {threshold: 1}}", "stream.similarity.threshold: 1 is not below 1"),
        ("{input: a.gif, similarity: {max_skip: 0}}", "stream.similarity.max_skip: 0 is below 1"),
        ("{input: a.gif, similarity: 0.9}", "stream.similarity: should be a mapping (key: value), not 0.9"),
        ("{tempo: 3}", None),
    ],
)
def test_a_setting_that_cannot_be(stream: str, problem: str | None) -> None:
    told = problems(stream)
    assert told == [problem] if problem else "stream.tempo: unknown key" in told[0]


@pytest.mark.parametrize(
    ("keyframe", "problem"),
    [
        ("at: 1.5, region: girl, prompt: x", ".at: 1.5 is no frame; a time is written 1.5s"),
        (
            "at: soon, region: girl, prompt: x",
            ".at: 'soon' is neither a frame nor a time; a time is written 1.5s",
        ),
        ("at: true, region: girl, prompt: x", ".at: true is not a whole number"),
        ("at: -1, region: girl, prompt: x", ".at: -1 is below 0"),
        ("region: girl, prompt: x", ": at is missing"),
        ("at: 5, region: grl, prompt: x", ".region: no region is named 'grl'; did you mean girl?"),
        ("at: 5, prompt: x", ": names neither a region nor the background; a keyframe is about one of them"),
        (
            "at: 5, region: girl, background: {prompt: x}",
            ".background: does not go with region: a keyframe is about one of them",
        ),
        (
            "at: 5, region: girl, ease: linear",
            ": changes nothing: give prompt, negative_prompt, prompt_strength, mask, mask_strength, "
            "mask_std, shift or loras",
        ),
        (
            "at: 5, background: {}",
            ".background: changes nothing: give prompt, negative_prompt, image or loras",
        ),
        (
            "at: 5, background: {prompt: x}, negative_prompt: y",
            ".negative_prompt: is about a region, not the background; write background: {negative_prompt: …}",
        ),
        (
            "at: 5, background: {prompt: x}, mask_std: 3",
            ".mask_std: is about a region, not the background",
        ),
        ("at: 5, background: x", ".background: should be a mapping (key: value), not 'x'"),
        (
            "at: 5, background: {promt: x}",
            ".background.promt: unknown key; did you mean prompt?",
        ),
        ("at: 5, region: girl, promt: x", ".promt: unknown key; did you mean prompt?"),
        ("at: 5, regoin: girl, prompt: x", ".regoin: unknown key; did you mean region?"),
        ("at: 5, region: girl, shift: [0.1]", ".shift: has 1 items; at least 2 belong here"),
        ("at: 5, region: girl, shift: [0.1, 3]", ".shift[1]: 3 is above 2"),
        ("at: 5, region: girl, mask: {box: [0, 0, 1, 2]}", ".mask.box[3]: 2 is above 1"),
        ("at: 5, region: girl, mask: rest", ".mask: only one region can be the rest; at frame 5, 'boy' is"),
    ],
)
def test_a_keyframe_that_cannot_be_is_told_once(keyframe: str, problem: str) -> None:
    assert problems(timeline(keyframe)) == [f"stream.timeline[0]{problem}"]


class TestFights:
    GIRL = "at: 18, region: girl, prompt: x, mask_std: 3"

    def test_two_keyframes_that_set_the_same(self) -> None:
        told = problems(timeline(self.GIRL, "at: 1.5s, region: girl, prompt: y"))
        assert told == ["stream.timeline[1].prompt: fights with timeline[0], which sets it at frame 18 too"]

    def test_of_the_background(self) -> None:
        told = problems(
            timeline("at: 3, background: {prompt: a}", "at: 3, background: {prompt: b, image: c}")
        )
        assert told == [
            "stream.timeline[1].background.prompt: fights with timeline[0], which sets it at frame 3 too"
        ]

    @pytest.mark.parametrize(
        "other",
        [
            "at: 19, region: girl, prompt: y",
            "at: 18, region: boy, prompt: y",
            "at: 18, region: girl, mask_strength: 0.5",
            "at: 18, background: {prompt: y}",
        ],
    )
    def test_others_are_at_peace(self, other: str) -> None:
        assert len(plan(timeline(self.GIRL, other)).stream.timeline) == 2

    def test_a_time_fights_with_itself_before_the_input_s_rate_is_known(self) -> None:
        clip = timeline(*["at: 1.5s, region: girl, prompt: y"] * 2).replace("{", "{input: a.mp4, ", 1)
        assert problems(clip) == [
            "stream.timeline[1].prompt: fights with timeline[0], which sets it at 1.5s too"
        ]


class TestOneRest:
    def test_the_rest_can_be_handed_on(self) -> None:
        plan(timeline("at: 5, region: girl, mask: rest", "at: 5, region: boy, mask: {box: [0, 0, 1, 1]}"))

    def test_but_not_be_shared_later(self) -> None:
        told = problems(
            timeline(
                "at: 9, region: boy, mask: rest",
                "at: 3, region: boy, mask: {box: [0, 0, 1, 1]}",
                "at: 6, region: girl, mask: rest",
            )
        )
        assert told == ["stream.timeline[0].mask: only one region can be the rest; at frame 9, 'girl' is"]


class TestOnceTheInputIsKnown:
    CLIP = "{input: a.mp4, " + timeline(
        "at: 20, region: girl, prompt: x",
        "at: 2s, region: girl, prompt: y, mask: rest",
        "at: 1.2s, region: boy, mask: {box: [0, 0, 1, 1]}",
    ).removeprefix("{")

    def told(self, fps: float) -> list[str]:
        found = conflicts_with_input(plan(self.CLIP), EvenTimes.of(fps))
        return [f"{dotted(problem.loc)}: {problem.text}" for problem in found]

    def test_all_fits(self) -> None:
        assert self.told(fps=25) == []

    def test_two_that_turn_out_to_fight(self) -> None:
        assert self.told(fps=10) == [
            "stream.timeline[1].prompt: fights with timeline[0], which sets it at frame 20 too"
        ]

    def test_too_late(self) -> None:
        made, times = plan(self.CLIP), EvenTimes.of(25)
        late = past_the_end(made, times, 20)
        assert late is not None
        assert f"{dotted(late.loc)}: {late.text}" == (
            "stream.timeline[0].at: frame 20 is past the last frame, 19, and not reached; nor are 2 others"
        )
        assert past_the_end(made, times, 51) is None


class TestKeyframesPastTheEnd:
    """They are no mistake: a preview is shorter than its timeline."""

    def test_each_length_that_a_scene_can_tell(self) -> None:
        late = "stream.timeline[0].at: frame {} is past the last frame, {}, and not reached"
        for stream, frame, last in (
            ("{timeline: [{at: 50, region: girl, prompt: x}]}", 50, 49),
            ("{frames: 3, timeline: [{at: 3, region: girl, prompt: x}]}", 3, 2),
            ("{seconds: 1, timeline: [{at: 2.5s, region: girl, prompt: x}]}", 30, 11),
        ):
            assert warnings(stream) == [late.format(frame, last)]
        assert warnings("{frames: 4, timeline: [{at: 3, region: girl, prompt: x}]}") == []

    def test_several_are_one_warning_about_the_first(self) -> None:
        keyframes = ("at: 9, region: girl, prompt: x", "at: 5, region: boy, prompt: x")
        (told,) = warnings(
            timeline(*keyframes, "at: 1s, background: {prompt: x}").replace("{", "{frames: 5, ", 1)
        )
        assert told == (
            "stream.timeline[1].at: frame 5 is past the last frame, 4, and not reached; nor are 2 others"
        )

    def test_of_an_input_nothing_is_known_yet(self) -> None:
        assert warnings("{input: a.mp4, frames: 5, timeline: [{at: 9, region: girl, prompt: x}]}") == []


def test_a_short_keyframe_and_a_one_step_schedule_are_fine() -> None:
    scene = f"{SCENE}sampler: {{indices: [0]}}\n"
    (keyframe,) = plan(timeline("at: 20, region: girl, prompt: ' a cat '"), scene).stream.timeline
    changes = dict(keyframe.changes)
    assert (keyframe.at, keyframe.region, changes) == (20, "girl", {"prompt": PromptMix.of("a cat")})


@pytest.mark.parametrize("kind", ["self", "initialize"])
def test_residual_guidance_needs_a_sampler_of_few_steps(kind: str) -> None:
    told = problems("{}", f"{SCENE}sampler: {{kind: ddim, guidance_scale: 2, guidance: {kind}}}\n")
    assert told == [f"sampler.guidance: {kind} needs the lcm or tcd sampler; ddim goes with none and full"]
    scene = f"{SCENE}sampler: {{guidance_scale: 2, guidance: {kind}, delta: 0.5}}\n"
    assert plan("{}", scene).sampler.delta == 0.5
    assert warnings("{}", scene) == []


def test_a_stream_repaints_the_picture_or_the_input() -> None:
    scene = SCENE.replace("square}", "square, image: b.png, strength: 0.5}")
    told = "background.strength: does not go with stream.input, whose frames are what is repainted: give "
    assert problems("{input: a.gif}", scene) == [f"{told}stream.strength"]
    assert plan("{input: a.gif}", scene.replace("task: stream", "task: generate")).task == "generate"


class TestDefaults:
    @pytest.mark.parametrize(
        ("stream", "frames", "fps"),
        [
            ("{}", 50, 12),
            ("{fps: 24}", 50, 24),
            ("{seconds: 4}", 48, 12),
            ("{seconds: 0.01}", 1, 12),
            ("{seconds: 2, fps: 7.5}", 15, 7.5),
            ("{input: a.mp4}", None, None),
            ("{input: a.mp4, fps: 30}", None, 30),
            ("{input: a.mp4, frames: 7}", 7, None),
            ("{input: a.mp4, seconds: 2, fps: 30}", 60, 30),
            ("{input: a.mp4, seconds: 2}", Seconds(2), None),
        ],
    )
    def test_length_and_rate(self, stream: str, frames: object, fps: object) -> None:
        found = plan(stream).stream
        assert (found.frames, found.fps) == (frames, fps)

    @pytest.mark.parametrize(
        ("stream", "sampler", "strength", "bootstrap"),
        [
            ("{}", "", None, 2),
            ("{input: a.mp4}", "", 0.5, 0),
            ("{input: a.mp4, strength: 0.25}", "", 0.25, 0),
            ("{input: a.mp4}", "sampler: {indices: [25, 37]}", None, 0),
            ("{input: a.mp4, strength: 0.25}", "sampler: {indices: [25, 37]}", 0.25, 0),
            ("{input: a.mp4}", "bootstrap: {steps: 1}", 0.5, 1),
        ],
    )
    def test_how_far_input_is_repainted(
        self, stream: str, sampler: str, strength: object, bootstrap: int
    ) -> None:
        found = plan(stream, f"{SCENE}{sampler}\n")
        assert (found.stream.strength, found.bootstrap.steps) == (strength, bootstrap)

    def test_paths_start_at_the_scene_and_prompts_are_joined(self) -> None:
        found = plan(
            "{input: clips/*.png, timeline: [{at: 1, region: girl, mask: m.png, negative_prompt: blue}, "
            "{at: 2, background: {image: b.png, negative_prompt: ''}}]}"
        ).stream
        girl, behind = found.timeline
        assert found.input.path == Path("/scenes/clips/*.png")
        assert girl.region == "girl"
        assert girl.get("negative_prompt") == PromptMix.of("ugly, blue")
        assert girl.get("mask").image.path == Path("/scenes/m.png")
        assert behind.region is None
        assert (behind.get("prompt"), behind.get("negative_prompt")) == (None, PromptMix.of("ugly"))
        assert behind.get("image").path == Path("/scenes/b.png")

    def test_a_time_is_a_frame_where_the_rate_is_known(self) -> None:
        keyframe = "{at: 1.25s, region: girl, prompt: x}"
        assert plan(f"{{fps: 10, timeline: [{keyframe}]}}").stream.timeline[0].at == 12
        assert plan(f"{{input: a.mp4, timeline: [{keyframe}]}}").stream.timeline[0].at == Seconds(1.25)

    def test_an_option_takes_a_value_away(self) -> None:
        changes = [
            override("--seconds 2", ("stream", "seconds"), 2),
            override("--seconds 2", ("stream", "frames"), None),
        ]
        loaded = load_text(f"{SCENE}stream: {{frames: 99}}\n", "s.yaml", asked=Asked(overrides=changes))
        assert resolve(loaded.scene, "s", Path()).stream.frames == 24


@pytest.mark.parametrize(
    "stream",
    [
        "{input: a.mp4, seconds: 2, similarity: {}, strength: 0.75, loop: 3}",
        "{input: a.mp4, timeline: [{at: 1.25s, region: girl, shift: [0.1, 0], ease: smooth}]}",
        "{timeline: [{at: 9, background: {image: b.png, negative_prompt: x}, ease: linear}]}",
        "{timeline: [{at: 9, region: boy, mask: {polygon: [[0, 0], [1, 0], [1, 1]]}, prompt_strength: 0}]}",
        "{timeline: [{at: 3, region: boy, mask: {image: m.png, invert: true}, mask_std: 4},"
        " {at: 9, region: boy, mask: rest, mask_strength: 0.5}]}",
    ],
)
def test_a_plan_written_as_a_scene_resolves_to_itself(stream: str) -> None:
    first = plan(stream)
    written: dict[str, Any] = json.loads(json.dumps(first.to_dict()))
    again = load_text(json.dumps(written), "recipe").scene
    assert resolve(again, first.name, Path("/scenes")) == first


class TestLints:
    @pytest.mark.parametrize(
        ("stream", "warning"),
        [
            ("{similarity: {}}", "stream.similarity: has no effect without stream.input"),
            ("{fit: stretch}", "stream.fit: has no effect without stream.input"),
            (
                timeline("at: 5, background: {prompt: x, image: b.png}, ease: linear"),
                "stream.timeline[0].background.image: jumps; pictures cannot be eased",
            ),
            (
                timeline("at: 0, region: girl, mask_std: 3, ease: smooth"),
                "stream.timeline[0].ease: has no effect at frame 0, which nothing precedes",
            ),
            (
                timeline(
                    "at: 9, region: girl, mask: {box: [0, 0, 1, 1]}, ease: linear",
                    "at: 5, region: girl, mask: m.png",
                ),
                "stream.timeline[0].mask: jumps; only boxes, ellipses, and polygons with as many corners can "
                "be eased into each other (shift eases any mask)",
            ),
            (
                timeline("at: 5, region: boy, shift: [0, 0.5]"),
                "stream.timeline[0].shift: has no effect on the mask rest, which lies where the others do "
                "not",
            ),
        ],
    )
    def test_what_has_no_effect(self, stream: str, warning: str) -> None:
        assert warnings(stream) == [warning]

    @pytest.mark.parametrize(
        "stream",
        [
            "{input: a.gif, similarity: {}, fit: contain}",
            timeline("at: 5, background: {prompt: x}, ease: linear"),
            timeline("at: 5, region: girl, mask: m.png, mask_std: 3"),
            timeline("at: 5, region: girl, mask: {ellipse: [0.25, 0.5, 0.2, 0.4]}, ease: smooth"),
            timeline("at: 5, region: boy, mask: m.png", "at: 9, region: boy, shift: [0, 1], ease: smooth"),
        ],
    )
    def test_what_has_an_effect(self, stream: str) -> None:
        assert warnings(stream) == []

    def test_a_rest_that_is_shifted_from_the_beginning(self) -> None:
        shifted = SCENE.replace("mask: rest", "mask: rest, shift: [0.5, 0]")
        (said,) = warnings("{}", shifted)
        assert said.startswith("regions[0].shift: has no effect on the mask rest")

    def test_of_guidance(self) -> None:
        def said(sampler: str) -> list[str]:
            return warnings("{}", f"{SCENE}sampler: {{{sampler}}}\n")

        assert said("guidance: self") == ["sampler.guidance: self has no effect with guidance_scale: 1"]
        assert said("guidance: none, guidance_scale: 3") == [
            "sampler.guidance_scale: 3 has no effect with guidance: none"
        ]
        assert said("guidance_scale: 2, delta: 0.5") == ["sampler.delta: has no effect with guidance: full"]
        assert said("guidance_scale: 2, guidance: self, delta: 0.5") == []
        assert said("guidance: self, delta: 0.5")[1:] == [
            "sampler.delta: has no effect with guidance_scale: 1"
        ]
        assert said("guidance_rescale: 0.5") == [
            "sampler.guidance_rescale: has no effect with guidance: none"
        ]
        assert said("guidance: full, guidance_rescale: 0.5")[1:] == [
            "sampler.guidance_rescale: has no effect with guidance_scale: 1"
        ]
