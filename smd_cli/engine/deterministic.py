"""Pictures that do not depend on how work is shared out: among batches, threads, or the frames of a stream.

Kernels choose their order of summing by the shape of the whole batch, and on a CPU by the threads too. So a
deterministic backbone is asked for one row at a time, by construction the same question however rows come. On
a CPU each is computed on one thread, as many of them side by side as torch had threads.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.engine.device import cpu_threads
from smd_cli.models.backbone import Backbone, InnerBackbone
from smd_cli.models.conditioning import Conditioning

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class DeterministicBackbone(InnerBackbone):
    """A backbone that answers each row by itself."""

    def __init__(self, inner: Backbone, pool: ThreadPoolExecutor | None) -> None:
        super().__init__(inner)
        self.pool = pool

    @classmethod
    def of(cls, backbone: Backbone) -> "DeterministicBackbone":
        """Make a backbone deterministic."""
        return cls(backbone, _one_thread_each() if backbone.device.type == "cpu" else None)

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows."""
        return Conditioning.joined(self._each(lambda prompt: self.inner.encode_prompts([prompt]), prompts))

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""
        rows = self._each(lambda row: self.inner.prepare(table.rows([row])).keys, range(len(table)))
        keys = [of_row for of_row in rows if of_row is not None]
        return replace(table, keys=tuple(map(torch.cat, zip(*keys, strict=True)))) if keys else table

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows under M rows of conditioning."""
        return torch.cat(
            self._each(
                lambda row: self.inner.predict(asked.at([row]), conditioning.rows(asked.pairs([row]))),
                range(len(asked)),
            )
        )

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) into scaled latents (B, C, h, w)."""
        return torch.cat(
            self._each(partial(self.inner.encode_image, precise=precise), torch.split(pixels, 1))
        )

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W)."""
        decode = partial(self.inner.decode, precise=precise)
        return torch.cat(self._each(decode, torch.split(latents, 1)))

    def _each(self, answer: Callable[[Row], Answer], rows: Sequence[Row]) -> list[Answer]:
        """Answer each row; what goes wrong with one is raised, and no other is begun."""
        if self.pool is None:
            return [answer(row) for row in rows]

        def infer(row: Row) -> Answer:
            with torch.inference_mode():  # which holds for one thread
                return answer(row)

        begun: list[Future[Answer]] = []
        try:
            begun = [self.pool.submit(copy_context().run, infer, row) for row in rows]
            return [each.result() for each in begun]
        finally:
            for each in begun:
                each.cancel()


@contextmanager
def fixed_order(backbone: Backbone) -> Iterator[None]:
    """Within the block, what is computed beside a deterministic model is summed in one order too."""
    if not isinstance(backbone, DeterministicBackbone):
        yield
        return
    with cpu_threads(1), _fixed_kernels():
        yield


@contextmanager
def _fixed_kernels() -> Iterator[None]:
    """Let cuDNN choose its kernels by shape alone, among those that always sum in one order."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32):
        yield


def _one_thread_each() -> ThreadPoolExecutor:
    """Start as many threads as torch has; torch computes on one in each of them."""
    count = torch.get_num_threads()
    begun = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # the first call in a thread takes over what others have set last
        torch.set_num_threads(1)
        begun.wait()

    pool = ThreadPoolExecutor(count, "evaluation", begin)
    for _ in range(count):
        pool.submit(int)  # starts one, since none is idle before all have begun
    begun.wait()
    torch.set_num_threads(count)  # what threads start with that begin from now on
    return pool
