"""The vectors of textual inversions, added to those of the words that a text encoder knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from smd_cli.models.spec import asked_for
from smd_cli.models.textual_inversions import TextualInversion
from smd_cli.models.weights import open_weights

Learned = dict[str, tuple[int, ...]]
"""The token numbers of each learned word, one for each of its vectors."""


def learn_words(encoder: Any, component: str, inversions: Iterable[TextualInversion]) -> Learned:  # noqa: ANN401
    """Add the vectors of textual inversions to a text encoder of transformers, and return their words.

    They follow the encoder's own, so that its tokenizer and files stay as they are.
    """
    own: nn.Embedding = encoder.get_input_embeddings()
    rows, learned = [own.weight], Learned()
    for index, inversion in enumerate(inversions):
        part = "textual_inversions", index
        with asked_for(inversion.path, *part), open_weights(inversion.path, "pt") as file:
            vectors = file.get_tensor(inversion.tensors[component]).reshape(-1, own.embedding_dim)
        start = sum(map(len, rows))
        learned[inversion.token] = tuple(range(start, start + len(vectors)))
        rows.append(vectors.to(own.weight))
    if learned:
        own.weight = nn.Parameter(torch.cat(rows), requires_grad=False)
        own.num_embeddings = len(own.weight)
    return learned
