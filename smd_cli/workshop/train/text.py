"""The tokenizer, a small byte-pair one, and the text encoder, pretrained to name the words of captions.

A text encoder that is trained from scratch together with the UNet learns too slowly to condition it. So it is
pretrained without pictures: it learns to name the words and word pairs of a caption from its hidden state at
any position from the end token on. Those are the padding positions, most of what the UNet attends to.
"""

import json
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.loop import MovingAverage, train
from smd_cli.workshop.world import draw_picture

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
WIDTH = 128
MERGES = 900
RARE = 20


def caption_sample(config: Config) -> list[str]:
    """Return captions of pictures that no later stage trains on, drawn at 8 px: only the words matter."""
    return [draw_picture(config.seed + 20_000_000 + i, size=8).caption for i in range(config.captions)]


def build_tokenizer(captions: list[str]) -> CLIPTokenizer:
    """Train a byte-pair tokenizer with CLIP's vocabulary: bytes, word-final bytes, merges, special tokens."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES + 128, min_frequency=RARE, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in _merges(learner)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(letter + "</w>" for letter in alphabet), *dict.fromkeys(a + b for a, b in merges)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    """Read what `build_tokenizer` has made from the folder where it was saved."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    return CLIPTokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], model_max_length=LENGTH
    )


def _merges(learner: Tokenizer) -> list[list[str]]:
    return [
        pair if isinstance(pair, list) else pair.split(" ")
        for pair in json.loads(learner.to_str())["model"]["merges"]
    ]


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return token ids (N, 77), padded with the end token as in SD1.5."""
    encoded = tokenizer(
        captions, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    ids: Tensor = encoded.input_ids
    return ids


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained CLIP text model with three layers of width 128."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            pad_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _units(caption: str) -> set[str]:
    """Return the words of a caption and its pairs of adjacent words."""
    words = re.findall(r"[a-z0-9-]+", caption.lower())
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))}


def word_targets(captions: list[str]) -> Tensor:
    """Return (N, U) uint8, 1 where a caption contains a unit: a word or pair that `RARE` captions have."""
    counts = Counter(unit for caption in captions for unit in _units(caption))
    frequent = {unit: i for i, unit in enumerate(sorted(u for u, n in counts.items() if n >= RARE))}
    targets = torch.zeros(len(captions), len(frequent), dtype=torch.uint8)
    for row, caption in enumerate(captions):
        targets[row, [frequent[unit] for unit in _units(caption) if unit in frequent]] = 1
    return targets


class WordNamer(nn.Module):
    """The encoder with a linear head that predicts the units of a caption from one hidden state."""

    def __init__(self, encoder: CLIPTextModel, units: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(WIDTH, units)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Return the logits (N, U) read at one position of each caption."""
        hidden = self.encoder(ids).last_hidden_state
        logits: Tensor = self.head(hidden[torch.arange(len(ids)), positions])
        return logits


def train_text(config: Config) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Train the tokenizer, and train (or resume) the encoder."""
    torch.manual_seed(config.seed)
    folder = config.stage("text")
    captions = caption_sample(config)
    tokenizer = build_tokenizer(captions)
    tokenizer.save_pretrained(folder / "tokenizer")
    ids, targets = (t.to(config.device) for t in (token_ids(tokenizer, captions), word_targets(captions)))
    ends = (ids == tokenizer.eos_token_id).int().argmax(dim=1)
    namer = WordNamer(build_encoder(tokenizer), targets.shape[1]).to(config.device)

    def loss(module: WordNamer, step: int) -> Tensor:
        rng = random.Random(config.seed * 1_000_003 + step)  # noqa: S311
        rows = torch.tensor(rng.sample(range(len(ids)), config.text.batch))
        positions = torch.tensor([rng.randint(end, LENGTH - 1) for end in ends[rows].tolist()])
        logits = module(ids[rows], positions).float()
        return (
            F.binary_cross_entropy_with_logits(logits, targets[rows].float(), reduction="none").sum(1).mean()
        )

    trained = train(namer, loss, budget=config.text, folder=folder, average=MovingAverage(namer, 0.99))
    return tokenizer, trained.encoder
