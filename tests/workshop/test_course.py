"""Courses: the networks that look at pictures are taught, resumed and tested, each by its own."""

from dataclasses import replace

import pytest
import torch

from smd_cli.workshop.judge import train, train_critic, train_segmenter
from smd_cli.workshop.judge.course import Course
from smd_cli.workshop.judge.labels import QUESTIONS
from smd_cli.workshop.judge.pairs import FLAWS
from smd_cli.workshop.judge.segmenter import CLASSES, Segmenter, load_segmenter
from smd_cli.workshop.train.config import Budget


@pytest.mark.parametrize(
    ("course", "drawn", "names"),
    [
        (train.COURSE, {"crops": (64, 64, 3), "answers": (len(QUESTIONS),)}, QUESTIONS),
        (train_segmenter.COURSE, {"maps": (128, 128, 5), "backgrounds": ()}, CLASSES),
        (
            train_critic.COURSE,
            {"crops": (2, 64, 64, 3), "backgrounds": (), "rows": (2,), "flaws": ()},
            FLAWS,
        ),
    ],
    ids=["judge", "segmenter", "critic"],
)
def test_a_network_is_taught_resumed_and_tested(course: Course, drawn, names, tmp_path):
    course = replace(course, budget=Budget(3, 4, 1e-3))
    data = course.draw(range(24))
    assert {name: tuple(tensor.shape) for name, tensor in data.items()} == {
        name: (24, *shape) for name, shape in drawn.items()
    }
    learned = course.teach(data, tmp_path).state_dict()
    torch.manual_seed(0)
    begun = course.network().state_dict()
    assert not all(torch.equal(tensor, learned[name]) for name, tensor in begun.items())
    log = (tmp_path / "log.jsonl").read_text()
    again = course.teach(data, tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == log, "no step again"
    assert all(torch.equal(learned[name], tensor) for name, tensor in again.state_dict().items())
    marks = course.evaluate(again, data)
    assert set(marks) == set(names)
    assert all(0 <= mark <= 1 for mark in marks.values())


def test_a_course_draws_teaches_tests_and_writes(tmp_path):
    """What it draws is drawn once, and the weights that it writes are those that it was tested with."""
    drawn, tested = [], []

    def draw(seeds):
        drawn.append(seeds)
        return train_segmenter.COURSE.draw(seeds)

    def evaluate(network: Segmenter, data):
        tested.append((network, len(data["maps"])))
        return {"thing": 0.5}

    course = replace(
        train_segmenter.COURSE,
        seeds=(100, 200),
        lessons=6,
        exam=2,
        budget=Budget(2, 2, 1e-3),
        draw=draw,
        evaluate=evaluate,
    )
    assert course.run(tmp_path) == course.run(tmp_path) == {"thing": 0.5}
    assert drawn == [range(100, 106), range(200, 202)], "the second run has them stored"
    assert [count for _, count in tested] == [2, 2]
    written = load_segmenter(tmp_path / "segmenter.safetensors").state_dict()
    for name, tensor in tested[0][0].state_dict().items():
        assert written[name].dtype == torch.float32
        torch.testing.assert_close(written[name], tensor, rtol=1e-3, atol=1e-4)
