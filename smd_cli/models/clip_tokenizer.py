"""CLIP's tokenizer (Radford et al., 2103.00020), read from a model folder. Knows no torch.

Of the files only the vocabulary, the merges and the names of special tokens count. How text becomes words is
as CLIP was trained, whatever a file says, so that none can make of a prompt what its writer did not mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from smd_cli.errors import AssetError
from smd_cli.models.configs import TOKENIZER_FILES, Config, read_json
from smd_cli.models.content import real_kind
from smd_cli.regular_files import MAX_VOCABULARY, read_text, why_unread

WHOLE, VOCABULARY, MERGES, _CONFIG, _SPECIAL, _ADDED = TOKENIZER_FILES

_START, _END = "<|startoftext|>", "<|endoftext|>"
_NAMES = {"bos_token": _START, "eos_token": _END, "pad_token": _END, "unk_token": _END}
"""Special tokens of a tokenizer whose files do not name them."""

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"  # as CLIP was trained
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_MAX_NUMBER = 2**31

Numbers = dict[str, int]
"""Tokens and their numbers."""


@dataclass(frozen=True)
class ClipTokenizer:
    """A tokenizer, and its tokens that mean something to the encoder.

    Attributes:
        tokenizer: makes tokens of text; it neither cuts, nor pads, nor adds any.
        start: number of the token that begins what is encoded.
        end: number of the one that ends it.
        padding: number of the one that fills up what is shorter than the encoder reads.
        last: the token of the highest number, and that.
        source: the file of the vocabulary, for errors.
    """

    tokenizer: Tokenizer
    start: int
    end: int
    padding: int
    last: tuple[str, int]
    source: Path

    def check_known(self, count: object, config: Path) -> None:
        """Check that an encoder knows all tokens, of which its config says that it has `count`.

        Raises:
            AssetError: it does not.
        """
        token, highest = self.last
        if isinstance(count, int) and highest >= count:
            raise AssetError(
                f"{self.source}: token {token!a:.80} has the number {highest}, and the text encoder has "
                f"only {count} tokens ({config}: vocab_size); the two belong to different models"
            )


def read_clip_tokenizer(folder: Path) -> ClipTokenizer:
    """Read a tokenizer folder: tokenizer.json, or vocab.json and merges.txt.

    Raises:
        AssetError: it is not there or cannot be read; names the file, and the token or key at fault.
    """
    stamps = []
    for name in TOKENIZER_FILES:
        if (path := folder / name).exists():
            status = path.stat()
            stamps.append((name, status.st_mtime_ns, status.st_size))
    return _read(folder, tuple(stamps))


@lru_cache(maxsize=4)
def _read(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> ClipTokenizer:
    """Read the files that are there, of these times and sizes; checks of a model and loading ask for it."""
    there = {name for name, *_ in stamps}
    config = _optional(folder, _CONFIG, there)
    added: dict[str, tuple[int, dict[str, bool]]] = {}
    if WHOLE in there:
        source = folder / WHOLE
        content = _read_json(source)
        vocabulary, written = _model(source, content)
        merges = list(_pairs(source, written))
        with _named(source, "added_tokens"):
            listed = content.get("added_tokens") or ()
            added |= {each["content"]: (each["id"], _flags(each)) for each in listed}
    else:
        source = folder / VOCABULARY
        if VOCABULARY not in there:
            raise AssetError(f"{folder}: no {WHOLE} and no {VOCABULARY}; the model folder is incomplete")
        vocabulary = _read_json(source)
        merges = list(_pairs(folder / MERGES, _read_merges(folder / MERGES)))
    with _named(folder / _ADDED):
        numbers = _optional(folder, _ADDED, there)
        added |= {token: (number, {"normalized": True}) for token, number in numbers.items()}
    with _named(folder / _CONFIG, "added_tokens_decoder"):
        decoder = config.get("added_tokens_decoder")
        added |= {each["content"]: (int(at), _flags(each)) for at, each in (decoder or {}).items()}
    # where the config lists all added tokens, it is the newer of the two
    special = config if decoder else config | _optional(folder, _SPECIAL, there)
    names = {key: _name(folder, special, key) for key in _NAMES}
    return _built(source, _numbers(source, vocabulary, added), merges, added, names)


def _model(source: Path, content: Config) -> tuple[Any, Any]:
    """Return vocabulary and merges of a tokenizer.json."""
    model = content.get("model")
    if not isinstance(model, dict):
        raise AssetError(f"{source}: no readable tokenizer (it has no model)")
    if (kind := model.get("type", "BPE")) != "BPE":
        raise AssetError(f"{source}: model.type: a tokenizer of the kind {kind!a:.40}; CLIP's is BPE")
    return model.get("vocab"), model.get("merges")


def _numbers(source: Path, vocabulary: Any, added: Mapping[str, tuple[int, Any]]) -> Numbers:  # noqa: ANN401
    """Return the numbers of all tokens, the added ones too."""
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise AssetError(f"{source}: no readable tokenizer (it has no vocabulary)")
    extra = {token: number for token, (number, _) in added.items()}
    for token, number in [*vocabulary.items(), *extra.items()]:
        if type(number) is not int or not 0 <= number < _MAX_NUMBER:
            raise AssetError(f"{source}: token {token!a:.80} has the number {number!a:.40}, which is none")
        if vocabulary.get(token, number) != number:
            raise AssetError(
                f"{source}: token {token!a:.80} has two numbers, {vocabulary[token]} and {number}"
            )
    return vocabulary | extra


def _built(
    source: Path,
    numbers: Numbers,
    merges: list[tuple[str, str]],
    added: Mapping[str, tuple[int, dict[str, bool]]],
    names: Mapping[str, str],
) -> ClipTokenizer:
    """Build the tokenizer."""
    for key, name in names.items():
        if name not in numbers:
            raise AssetError(f"{source}: its vocabulary lacks the token {name!a:.80} ({key})")
    try:
        model = BPE(
            vocab=numbers,
            merges=merges,
            unk_token=names["unk_token"],
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
        )
        tokenizer = _as_trained(model)
        tokenizer.add_tokens([AddedToken(token, **flags) for token, (_, flags) in added.items()])
        unlisted = sorted(set(names.values()) - added.keys())
        tokenizer.add_special_tokens([AddedToken(name, special=True) for name in unlisted])
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise AssetError(f"{source}: no readable tokenizer ({_line(error)})") from error
    last = max(numbers.items(), key=itemgetter(1))
    start, end, padding = (numbers[names[key]] for key in ("bos_token", "eos_token", "pad_token"))
    return ClipTokenizer(tokenizer, start, end, padding, last, source)


def _as_trained(model: BPE) -> Tokenizer:
    """Make a tokenizer that splits text into words as CLIP's did when it was trained."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _pairs(source: Path, merges: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - whatever a file holds
    """Yield merges as pairs of tokens, which files write as lists or with a space between them."""
    if not isinstance(merges, list):
        raise AssetError(f"{source}: no readable tokenizer (it has no list of merges)")
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair)):
            raise AssetError(f"{source}: merge {number} is {merge!a:.60}, not two tokens")
        yield pair[0], pair[1]


def _read_json(path: Path) -> Config:
    return read_json(path, MAX_VOCABULARY)


def _read_merges(path: Path) -> list[str]:
    """Return the lines of a merges.txt but its first, which tells the version."""
    try:
        lines = read_text(path, MAX_VOCABULARY).splitlines()
    except OSError as error:
        raise AssetError(f"{path}: {why_unread(error)}") from error
    except ValueError as error:
        raise AssetError(f"{path}: no readable tokenizer ({real_kind(path) or error})") from error
    return [line for line in lines if line and not line.startswith("#version")]


def _optional(folder: Path, name: str, there: Iterable[str]) -> Config:
    return _read_json(folder / name) if name in there else {}


def _name(folder: Path, special: Config, key: str) -> str:
    """Return the name of a special token, which files write by itself or with its flags."""
    given = special.get(key) or _NAMES[key]
    name = given.get("content") if isinstance(given, dict) else given
    if not isinstance(name, str):
        raise AssetError(f"{folder}: {key}: {given!a:.60} is no token ({_CONFIG}, {_SPECIAL})")
    return name


def _flags(token: Mapping[str, Any]) -> dict[str, bool]:
    return {flag: token[flag] is True for flag in _FLAGS if flag in token}


@contextmanager
def _named(path: Path, key: str = "") -> Iterator[None]:
    """Report what a file holds in place of a list of tokens."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{path}: {key}" if key else str(path)
        raise AssetError(f"{where}: no list of tokens ({_line(error)})") from error


def _line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:160]
