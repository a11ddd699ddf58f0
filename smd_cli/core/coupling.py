"""Coupling: what a model is asked about a tile once, under the prompts of all regions in it.

A layer that attends to prompts does so to each of a row's, and mixes what it finds by how much of each latent
pixel every prompt has. So regions see each other through all other layers, and a tile takes one evaluation
instead of one a region.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d


@dataclass(frozen=True)
class Coupling:
    """Which of N rows attends to each of M prompts, and how much.

    Attributes:
        rows: M numbers of rows, in rising order; every row has at least one prompt.
        shares: (M, h, w), how much of a latent pixel of its row each prompt has; those of a row sum to 1.
    """

    rows: tuple[int, ...]
    shares: Tensor

    @classmethod
    def single(cls, rows: int, like: Tensor) -> "Coupling":
        """Return that of rows with one prompt each, in tiles (…, h, w) like this."""
        return cls(tuple(range(rows)), like.new_ones(rows, *like.shape[-2:]))

    def pairs(self, rows: Iterable[int]) -> list[int]:
        """Return the places of the prompts of some rows, row by row."""
        return [pair for row in rows for pair, has in enumerate(self.rows) if has == row]

    def at(self, rows: Sequence[int]) -> "Coupling":
        """Return that of some of the rows."""
        each = [self.pairs([row]) for row in rows]
        numbers = tuple(number for number, pairs in enumerate(each) for _ in pairs)
        return Coupling(numbers, self.shares[[pair for pairs in each for pair in pairs]])

    def append(self, others: "Coupling") -> "Coupling":
        """Return that of these rows followed by others."""
        rows = self.rows[-1] + 1
        numbers = self.rows + tuple(rows + row for row in others.rows)
        return Coupling(numbers, torch.cat([self.shares, others.shares]))

    def ranks(self) -> Iterator[tuple[list[int], list[int]]]:
        """Yield the places of the first prompt of each row, then of each second one, and those rows.

        No row appears twice in one rank.
        """
        each = [list(pairs) for _, pairs in groupby(range(len(self.rows)), self.rows.__getitem__)]
        for rank in range(max(map(len, each))):
            rows = [row for row, pairs in enumerate(each) if len(pairs) > rank]
            yield [each[row][rank] for row in rows], rows

    def halved(self, *, rounds_up: bool) -> "Coupling":
        """Return that at half the resolution: means over cells of 2x2, of fewer at the end of an odd side.

        Such a side is rounded up, or cut.
        """
        return Coupling(self.rows, avg_pool2d(self.shares, 2, ceil_mode=rounds_up))

    def shares_at(self, size: tuple[int, int]) -> Tensor:
        """Return the shares at a layer's (height, width), (M, height, width): means over its cells."""
        return adaptive_avg_pool2d(self.shares, size)

    def mean(self, of_prompts: Tensor) -> Tensor:
        """Return the mean vector of each row (N, D) of those of its prompts (M, D), by their shares."""
        weighted = self.shares.mean((1, 2)).to(of_prompts)[:, None] * of_prompts
        sums = of_prompts.new_zeros(self.rows[-1] + 1, of_prompts.shape[1])
        for pairs, rows in self.ranks():  # one after the other, so that a GPU sums in one order
            sums[rows] += weighted[pairs]
        return sums


def shares_of(masks: Tensor) -> Tensor:
    """Return the shares of the regions of a tile, (R, h, w), from their masks there.

    Where masks overlap each has its part; what none of them covers, all share alike.
    """
    total = masks.sum(0)
    return torch.where(total > 0, masks / torch.where(total > 0, total, 1), 1 / len(masks))
