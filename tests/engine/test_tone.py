"""New area takes on the tone of the picture that it extends, and keeps its own forms."""

import math

import pytest
import torch

from smd_cli.engine.soft_masks import SEAM
from smd_cli.engine.tone import CELL, Joint, fill_gaps, match_tone

SEAMS = range(3 * CELL, 4 * CELL)  # columns: every place that a seam can have in its cell


def test_what_is_known_stays_and_gaps_lie_between():
    values, weights = torch.rand(1, 3, 20, 27), torch.zeros(1, 1, 20, 27)
    weights[..., 3:17, 5] = 1
    filled = fill_gaps(values, weights)
    assert torch.equal(filled[..., 3:17, 5], values[..., 3:17, 5])
    low, high = values[..., 3:17, 5].amin(-1), values[..., 3:17, 5].amax(-1)
    assert (filled >= low[..., None, None] - 1e-6).all()
    assert (filled <= high[..., None, None] + 1e-6).all()


def test_one_value_is_carried_everywhere_and_none_is_zero():
    weights = torch.zeros(1, 1, 9, 14)
    weights[..., 2, 11] = 1
    values = torch.full((1, 3, 9, 14), 0.3) * weights
    assert torch.allclose(fill_gaps(values, weights), torch.tensor(0.3))
    assert fill_gaps(values, 0 * weights).eq(0).all()


def test_a_paler_extension_of_a_gradient_ends_as_dark_as_the_picture_and_keeps_its_forms():
    rows = torch.linspace(-0.5, 0.5, 8 * CELL)[:, None].expand(1, 3, -1, 16 * CELL)
    form = 0.4 * torch.randn(1, 1, 8 * CELL, 16 * CELL, generator=torch.Generator().manual_seed(0))
    known = torch.zeros(1, 1, 8 * CELL, 16 * CELL)
    known[..., : 8 * CELL] = 1
    reaching = torch.zeros_like(known)
    reaching[..., 6 * CELL :] = 1
    painted = rows + form + torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    better = match_tone(painted, rows + form, Joint(reaching, known))
    assert torch.equal(better[..., : 6 * CELL], painted[..., : 6 * CELL])
    assert torch.allclose(better[..., 6 * CELL :], (rows + form)[..., 6 * CELL :], atol=1e-5)


def joint(seam: int) -> Joint:
    """A picture left of a seam, and new area that reaches into it with the soft edge of a blurred mask."""
    columns = torch.arange(7 * CELL).expand(1, 1, 2 * CELL, -1)
    soft = torch.special.ndtr((columns - seam + 3 * SEAM) / SEAM)
    return Joint(soft.where(columns < seam, torch.tensor(1.0)), (columns < seam).float())


@pytest.mark.parametrize("seam", SEAMS)
def test_a_tone_is_matched_although_the_soft_edge_blends_it_with_the_picture(seam):
    """Where the edge is a blend, painting and picture differ by part of the tone; that is not measured."""
    joined, picture = joint(seam), torch.zeros(1, 3, 2 * CELL, 7 * CELL)
    painted = torch.lerp(picture, picture + 1, joined.new_area)
    better = match_tone(painted, picture, joined)
    assert better[..., seam:].abs().max() < 0.05


def test_most_of_a_form_is_not_taken_for_tone():
    """Forms differ between painting and picture, and average out where the tone is measured over a cell.

    The form is a wave as long as a cell, in two channels a quarter of it apart: their norm is what is left of
    the wave wherever its crest lies.
    """
    phase = 2 * math.pi / CELL * torch.arange(7 * CELL)
    wave = torch.stack([phase.cos(), phase.sin(), 0 * phase])[None, :, None].expand(-1, -1, 2 * CELL, -1)
    taken = []
    for seam in SEAMS:
        shift = match_tone(wave, torch.zeros_like(wave), joint(seam)) - wave
        taken.append(float(shift[..., seam:].norm(dim=1).max()))
    assert sum(taken) / len(taken) < 0.5
