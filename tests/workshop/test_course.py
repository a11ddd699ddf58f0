"""A course: what it draws is drawn once, and the weights that it writes are those that it was tested with."""

from dataclasses import replace

import torch

from smd_cli.workshop.judge.segmenter import Segmenter, load_segmenter
from smd_cli.workshop.judge.train_segmenter import COURSE
from smd_cli.workshop.train.config import Budget


def test_a_course_draws_teaches_tests_and_writes(tmp_path):
    drawn, tested = [], []

    def draw(seeds):
        drawn.append(seeds)
        return COURSE.draw(seeds)

    def evaluate(network: Segmenter, data):
        tested.append((network, len(data["maps"])))
        return {"thing": 0.5}

    course = replace(
        COURSE, seeds=(100, 200), lessons=6, exam=2, budget=Budget(2, 2, 1e-3), draw=draw, evaluate=evaluate
    )
    assert course.run(tmp_path) == course.run(tmp_path) == {"thing": 0.5}
    assert drawn == [range(100, 106), range(200, 202)], "the second run has them stored"
    assert [count for _, count in tested] == [2, 2]
    written = load_segmenter(tmp_path / "segmenter.safetensors").state_dict()
    for name, tensor in tested[0][0].state_dict().items():
        assert written[name].dtype == torch.float32
        torch.testing.assert_close(written[name], tensor, rtol=1e-3, atol=1e-4)
