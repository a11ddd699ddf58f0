"""The judge: labelled crops, its training, and the accuracy of the published weights."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from smd_cli.workshop.judge import crops
from smd_cli.workshop.judge.augment import distort
from smd_cli.workshop.judge.labels import NOTHING, QUESTIONS, UNASKED, indices_of
from smd_cli.workshop.judge.network import FEATURES, judge_crops, load_judge
from smd_cli.workshop.judge.train import COURSE, draw_one, evaluate
from smd_cli.workshop.prompts import PROMPTS
from smd_cli.workshop.world.palette import SHAPE_COLORS


@pytest.fixture(scope="module")
def drawn():
    return [crops.draw_crop(seed) for seed in range(450)]


def test_a_seed_is_a_crop():
    one, again, other = crops.draw_crop(3), crops.draw_crop(3), crops.draw_crop(4)
    assert one.answers == again.answers
    assert one.image.tobytes() == again.image.tobytes() != other.image.tobytes()
    assert one.image.size == (crops.SIDE, crops.SIDE)


def test_every_question_has_answers_from_its_list(drawn):
    asked = Counter(question for crop in drawn for question in crop.answers)
    assert set(asked) == set(QUESTIONS)
    for crop in drawn:
        assert all(answer in QUESTIONS[question] for question, answer in crop.answers.items())
        assert crop.answers.get("kind") != NOTHING or not {"color", "hair", "clothes", "whole"} & set(
            crop.answers
        )
    whole = Counter(crop.answers["whole"] for crop in drawn if "whole" in crop.answers)
    assert min(whole.values()) > 20


def test_shapes_show_their_colour(drawn):
    shapes = [c for c in drawn if "color" in c.answers and c.answers["kind"] in ("circle", "square")]
    assert len(shapes) > 20
    near = 0
    for crop in shapes:
        color = np.array(SHAPE_COLORS[crop.answers["color"]])
        near += (abs(np.asarray(crop.image).astype(int) - color).max(axis=2) < 60).mean() > 0.08
    assert near > 0.9 * len(shapes)


def test_unknown_answers_have_no_index():
    row = indices_of({"kind": "owl", "background": "sunset"})
    assert [QUESTIONS[q][n] for q, n in zip(QUESTIONS, row, strict=True) if n != UNASKED] == ["owl", "sunset"]


def test_the_share_hidden_by_a_patch_decides_between_whole_and_cut():
    ground = Image.new("RGB", (crops.CANVAS, crops.CANVAS), "white")
    stage = ground.copy()
    ImageDraw.Draw(stage).rectangle((100, 100, 199, 199), fill="red")
    half = Image.new("L", ground.size, 0)
    half.paste(255, (0, 0, 150, crops.CANVAS))
    assert crops._hidden(stage, ground, half) == pytest.approx(0.5)
    owl, circle = {"kind": "owl"}, {"kind": "circle", "color": "red"}
    assert crops._with_wholeness(owl, 0.0)["whole"] == "whole"
    assert crops._with_wholeness(owl, 0.3)["whole"] == "cut"
    assert "whole" not in crops._with_wholeness(owl, 0.1)
    assert crops._with_wholeness(owl, 0.6) == crops._with_wholeness(circle, 0.3) == {"whole": "cut"}
    square = {"kind": "square", "color": "red"}
    assert crops._with_wholeness(square, 0.3) == {}  # an oblong is no less whole
    assert crops._with_wholeness(square, 0.01)["whole"] == "whole"


def test_a_patch_surrounds_its_place():
    mask = np.asarray(crops._patch(random.Random(1), (0.5, 0.5), 0.2))
    assert mask[128, 128] == 255
    assert 0.01 < (mask > 0).mean() < 0.6


def test_accuracy_counts_right_answers():
    class Sure(torch.nn.Module):
        def forward(self, pixels):
            return {name: torch.eye(len(q))[:1].expand(len(pixels), -1) for name, q in QUESTIONS.items()}

    answers = torch.full((4, len(QUESTIONS)), UNASKED)
    answers[:, 0] = torch.tensor([0, 0, 0, 1])
    answers[0, 1:] = 0
    marks = evaluate(Sure(), {"crops": torch.zeros(4, 64, 64, 3, dtype=torch.uint8), "answers": answers})
    assert marks["kind"] == 0.75
    assert marks["hair"] == 1


def test_the_published_judge_recognises_unseen_drawings():
    """The test of docs/flatland-log.md on fewer crops: at least 97 % of the answers have to be right."""
    seen = [draw_one(COURSE.seeds[1] + 10_000 + i) for i in range(300)]
    verdict = judge_crops(load_judge(), [crop.image for crop in seen])
    assert verdict.features.shape == (300, FEATURES)
    pairs = [
        (crop.answers[question], found[question])
        for crop, found in zip(seen, verdict.answers, strict=True)
        for question in crop.answers
        if question != "whole"
    ]
    assert sum(wanted == named for wanted, named in pairs) > 0.97 * len(pairs)


def test_prompts_expect_what_the_judge_can_name():
    assert len(PROMPTS) == 24
    for answers in PROMPTS.values():
        assert all(answer in QUESTIONS[question] for question, answer in answers.items())


def test_distortion_keeps_plain_areas_and_moves_edges_a_little():
    plain = torch.full((8, 3, 64, 64), 0.3)
    assert torch.allclose(distort(plain, torch.Generator().manual_seed(0)), plain, atol=1e-5)
    halves = plain.clone()
    halves[..., 32:] = -0.7
    painted = distort(halves, torch.Generator().manual_seed(0))
    changed = (painted - halves).abs() > 0.05
    moved = changed.flatten(1).any(1)
    assert moved.any()
    assert not moved.all()  # some crops stay as they are drawn
    assert not changed[..., :12].any()
    assert not changed[..., 52:].any()
    again = distort(halves, torch.Generator().manual_seed(0))
    assert torch.equal(painted, again)
