"""What a step holds in memory, and that a background picture shows however many canvases there are."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.step import Method, denoise_step
from tests.core.models import ConvModel, lcm, training

SCHEDULE = lcm(training(), [0, 4, 12, 25, 37])
HEIGHT, WIDTH, TILE = 8, 24, 8
STEPS = (4, 1, 0)  # of the rows
BEHIND = frozenset({0})


class LargestTensor(TorchDispatchMode):
    """Finds how many elements the largest tensor has that is made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        results = [each for each in tree_leaves(made) if isinstance(each, Tensor)]
        self.elements = max([self.elements, *(each.numel() for each in results)])
        return made


def canvas(seed: int, rows: int = 1) -> Tensor:
    return torch.randn(rows, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def regions(behind: frozenset[int], background: Tensor | None) -> Regions:
    """Two regions at the sides of the canvas; the middle is bare."""
    masks = torch.zeros(2, len(SCHEDULE), 1, HEIGHT, WIDTH)
    masks[0, ..., :8], masks[1, ..., 16:] = 1, 1
    return arrange_regions(masks, TILE, behind=behind).over(background)


def step(behind: frozenset[int], background: Tensor | None, *, show_through: bool = False) -> Rows:
    bootstrap = Bootstrap(canvas(1), steps=2, leak_sensitivity=0.2, show_through=show_through)
    method = Method(SCHEDULE, Guidance(), bootstrap, batch=1)
    rows, noise = Rows(canvas(2, len(STEPS)), STEPS), canvas(3, len(STEPS))
    return denoise_step(rows, noise, regions(behind, background), method, ConvModel(prompts=4))


@pytest.mark.parametrize("background", [None, canvas(4)])
@pytest.mark.parametrize(
    ("behind", "show_through", "canvases"),
    [(frozenset(), False, 1), (frozenset(), True, 1), (BEHIND, False, 2), (BEHIND, True, 2)],
)
def test_a_step_makes_a_second_canvas_only_for_regions_behind_the_others(
    behind: frozenset[int], show_through: bool, canvases: int, background: Tensor | None
) -> None:
    with LargestTensor() as largest:
        estimates = step(behind, background, show_through=show_through)
    assert largest.elements == canvases * estimates.x.numel()
    assert (estimates.without_regions is not None) is (show_through and canvases == 2)


@pytest.mark.parametrize("behind", [frozenset(), BEHIND])
def test_a_background_picture_shows_where_no_region_is(
    behind: frozenset[int],
) -> None:
    picture = canvas(4)
    shown = (step(behind, picture).x - picture).abs().amax(1) < 1e-5
    assert shown[..., 8:16].all()
    assert shown[..., :8].float().mean() < 0.01
    assert shown[..., 16:].float().mean() < 0.01
