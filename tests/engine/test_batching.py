"""Batches: fewer evaluations at once where memory ends, and the same predictions."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from smd_cli.core.coupling import Coupling
from smd_cli.core.guidance import ModelInput
from smd_cli.engine.batching import Evaluator, views_at_once
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.layout import make_layout
from smd_cli.models.conditioning import Conditioning
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.core.models import model_input
from tests.embedded import backbone


@dataclass
class Cramped:
    """A model that runs out of memory when it is given more rows than it can hold."""

    holds: int
    calls: tuple[int, ...] = ()
    device = torch.device("cpu")

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        self.calls += (len(asked),)
        if len(asked) > self.holds:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        times, bias = asked.timesteps, asked.mean_of(conditioning.embeds.mean((1, 2))[:, None])[:, 0]
        return asked.latents * times[:, None, None, None] + bias[:, None, None, None]


def asked(count: int) -> ModelInput:
    return model_input(torch.randn(count, 4, 2, 2), torch.arange(count))


def test_batches_are_halved_until_they_fit_and_stay_so(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("smd_cli"), "propagate", True)
    table = Conditioning(torch.randn(8, 3, 5))
    cramped, roomy = Cramped(2), Cramped(8)
    evaluate, rows = Evaluator(cramped, table), asked(8)
    assert torch.equal(evaluate(rows), Evaluator(roomy, table)(rows))
    assert cramped.calls == (8, 4, 2, 2, 2, 2)
    assert "going on with 2" in caplog.text
    evaluate(rows)
    assert cramped.calls[6:] == (2, 2, 2, 2)


def test_rows_of_several_prompts_keep_theirs_in_smaller_batches():
    rows = (0, 0, 0, 1, 2, 2, 3, 4, 4)
    shares = torch.rand(len(rows), 2, 2, generator=torch.Generator().manual_seed(1))
    shares[[3, 6]] = 1  # of rows with one prompt
    several = replace(
        asked(5),
        prompts=torch.tensor([7, 1, 0, 3, 3, 6, 2, 5, 4]),
        coupling=Coupling(rows, shares),
    )
    table, cramped = Conditioning(torch.randn(8, 3, 5)), Cramped(2)
    whole = Evaluator(Cramped(8), table)(several)
    assert torch.equal(Evaluator(cramped, table)(several), whole)
    assert cramped.calls == (5, 2, 2, 1)
    alone = torch.cat(
        [Cramped(1).predict(several.at([row]), table.rows(several.at([row]).prompts)) for row in range(5)]
    )
    assert torch.equal(alone, whole)


def test_one_row_that_does_not_fit_is_an_error():
    with pytest.raises(RuntimeError, match="allocate"):
        Evaluator(Cramped(0), Conditioning(torch.randn(8, 3, 5)))(asked(3))


def test_other_errors_are_not_mistaken_for_a_lack_of_memory():
    class Broken(Cramped):
        def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Evaluator(Broken(8), Conditioning(torch.randn(8, 3, 5)))(asked(8))


@pytest.mark.parametrize(("free", "views"), [(10**12, 8), (10**7, 1), (0, 1)])
def test_auto_takes_as_many_views_as_fit_the_free_memory(free, views, monkeypatch):
    monkeypatch.setattr("smd_cli.engine.batching.free_memory_bytes", lambda device: free)
    text = "smd: 1\ncanvas: {width: 256, height: 256}\nbackground: {prompt: grass}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    layout = make_layout(plan, CanvasImages(()), backbone().facts, backbone().schedules)
    assert views_at_once("auto", layout, backbone()) == views
    assert views_at_once(3, layout, backbone()) == 3
