"""T5's tokenizer (Raffel et al., 1910.10683), read from a model folder. Knows no torch.

Of tokenizer.json only the vocabulary, its scores, the table of characters that are the same and the added
tokens count. How text becomes words is as T5 was trained, whatever a file says.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from smd_cli.errors import AssetError
from smd_cli.models.bpe_files import WHOLE, Stamps, building, check_highest, flags_of, named, stamps_of
from smd_cli.models.configs import Config, read_json
from smd_cli.regular_files import MAX_VOCABULARY

_END, _PADDING, _UNKNOWN = "</s>", "<pad>", "<unk>"
_SENTENCEPIECE = "spiece.model"
_SPACE = "▁"  # how pieces write it


@dataclass(frozen=True)
class T5Tokenizer:
    """A tokenizer, and its tokens that mean something to the encoder.

    Attributes:
        tokenizer: makes tokens of text; it neither cuts, nor pads, nor adds any.
        end: number of the token that ends what is encoded.
        padding: number of the one that fills up what is shorter than the encoder reads.
        last: the token of the highest number, and that.
        source: the file, for errors.
        start: nothing begins what is encoded.
    """

    tokenizer: Tokenizer
    end: int
    padding: int
    last: tuple[str, int]
    source: Path
    start: None = None

    def check_known(self, count: object, config: Path) -> None:
        """Raise AssetError unless an encoder knows all tokens, of which it has `count` by its config."""
        check_highest(self.source, self.last, count, config)


def read_t5_tokenizer(folder: Path) -> T5Tokenizer:
    """Read a tokenizer folder.

    Raises:
        AssetError: there is no tokenizer.json, or it cannot be read; names the key at fault.
    """
    return _read(folder, stamps_of(folder))


@lru_cache(maxsize=2)
def _read(folder: Path, stamps: Stamps) -> T5Tokenizer:
    """Read the file that is there, of these times and sizes; checks of a model and loading ask for it."""
    source = folder / WHOLE
    if not source.exists() and (folder / _SENTENCEPIECE).exists():
        raise AssetError(
            f"{folder}: has {_SENTENCEPIECE}, which is not read, but no {WHOLE}; download that too, which "
            "Stable Diffusion 3 is published with (folder tokenizer_3)"
        )
    content = read_json(source, MAX_VOCABULARY)
    with named(source, "model"):
        model = content["model"]
        if (kind := model["type"]) != "Unigram":
            raise ValueError(f"a tokenizer of the kind {kind!a:.40}; T5's is Unigram")
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
    numbers = {piece: number for number, (piece, _) in enumerate(pieces)}
    with named(source, "added_tokens"):
        added = {str(each["content"]): flags_of(each) for each in content.get("added_tokens") or ()}
        numbers |= {str(each["content"]): int(each["id"]) for each in content.get("added_tokens") or ()}
    for token in (_END, _PADDING, _UNKNOWN):
        if token not in numbers:
            raise AssetError(f"{source}: its vocabulary lacks the token {token}")
    with building(source):
        tokenizer = Tokenizer(Unigram(pieces, numbers[_UNKNOWN], byte_fallback=False))
        _as_trained(tokenizer, content)
        tokenizer.add_tokens([AddedToken(token, **flags) for token, flags in added.items()])
        for token in added:
            if (place := tokenizer.token_to_id(token)) != numbers[token]:
                raise ValueError(f"token {token!a:.80} has the number {numbers[token]}, not {place}")
    last = max(numbers.items(), key=lambda each: each[1])
    return T5Tokenizer(tokenizer, numbers[_END], numbers[_PADDING], last, source)


def _as_trained(tokenizer: Tokenizer, content: Config) -> None:
    """Let a tokenizer split text into words as T5's did when it was trained."""
    if tables := list(_character_tables(content.get("normalizer"))):
        tokenizer.normalizer = normalizers.Precompiled(b64decode(tables[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always", split=True),
        ]
    )


def _character_tables(normalizer: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a file holds
    """Yield SentencePiece's tables of characters that are the same, alone or in a list of steps."""
    if not isinstance(normalizer, dict):
        return
    if normalizer.get("type") == "Precompiled":
        yield str(normalizer.get("precompiled_charsmap"))
    for step in normalizer.get("normalizers") or ():
        yield from _character_tables(step)
