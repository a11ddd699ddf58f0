"""The files of a tokenizer that pairs bytes (BPE): its tokens, their numbers and its merges, checked.

What makes tokens of text is built from them by the module of each kind of tokenizer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from smd_cli.errors import AssetError
from smd_cli.models.configs import TOKENIZER_FILES, Config, read_json
from smd_cli.models.content import real_kind
from smd_cli.regular_files import MAX_VOCABULARY, read_text, why_unread

WHOLE, VOCABULARY, MERGES, CONFIG, _SPECIAL, _ADDED = TOKENIZER_FILES

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_MAX_NUMBER = 2**31

Numbers = dict[str, int]
"""Tokens and their numbers."""

Flags = dict[str, bool]
"""How an added token is found in a text, as `tokenizers.AddedToken` takes it."""

Stamps = tuple[tuple[str, int, int], ...]
"""Which files are there: their names, times and sizes."""


@dataclass(frozen=True)
class BpeFiles:
    """What the files of a tokenizer say.

    Attributes:
        source: the file of the vocabulary, for errors.
        numbers: the numbers of all tokens, the added ones too.
        merges: pairs of tokens, the most frequent first.
        added: the tokens that are found before the rest is split, and how.
        special: what the configs say beside, the names of special tokens among it.
    """

    source: Path
    numbers: Numbers
    merges: list[tuple[str, str]]
    added: dict[str, Flags]
    special: Config

    def name(self, key: str, usual: str) -> str:
        """Return the name of a special token, which files write by itself or with its flags.

        Raises:
            AssetError: it is none, or not in the vocabulary.
        """
        given = self.special.get(key) or usual
        name = given.get("content") if isinstance(given, dict) else given
        if not isinstance(name, str):
            where = f"{self.source.parent}: {key}"
            raise AssetError(f"{where}: {given!a:.60} is no token ({CONFIG}, {_SPECIAL})")
        if name not in self.numbers:
            raise AssetError(f"{self.source}: its vocabulary lacks the token {name!a:.80} ({key})")
        return name

    def check_known(self, count: object, config: Path) -> None:
        """Check that an encoder knows all tokens, of which its config says that it has `count`.

        Raises:
            AssetError: it does not.
        """
        check_highest(self.source, max(self.numbers.items(), key=itemgetter(1)), count, config)

    def building(self) -> AbstractContextManager[None]:
        """Report what the tokenizers library cannot build a tokenizer from. Raises AssetError."""
        return building(self.source)


def check_highest(source: Path, last: tuple[str, int], count: object, config: Path) -> None:
    """Raise AssetError if the `last` of a tokenizer's tokens is none of the `count` that an encoder knows."""
    token, highest = last
    if isinstance(count, int) and highest >= count:
        raise AssetError(
            f"{source}: token {token!a:.80} has the number {highest}, and the text encoder has "
            f"only {count} tokens ({config}: vocab_size); the two belong to different models"
        )


@contextmanager
def building(source: Path) -> Iterator[None]:
    """Report what the tokenizers library cannot build a tokenizer from. Raises AssetError."""
    try:
        yield
    except Exception as error:  # the library raises nothing narrower
        raise AssetError(f"{source}: no readable tokenizer ({_line(error)})") from error


def stamps_of(folder: Path) -> Stamps:
    """Return which of a tokenizer's files are there, which tells whether to read them anew."""
    stamps = []
    for name in TOKENIZER_FILES:
        if (path := folder / name).exists():
            status = path.stat()
            stamps.append((name, status.st_mtime_ns, status.st_size))
    return tuple(stamps)


def read_bpe_files(folder: Path, stamps: Stamps) -> BpeFiles:
    """Read a tokenizer folder: tokenizer.json, or vocab.json and merges.txt.

    Raises:
        AssetError: it is not there or cannot be read; names the file, and the token or key at fault.
    """
    there = {name for name, *_ in stamps}
    config = _optional(folder, CONFIG, there)
    added: dict[str, tuple[int, Flags]] = {}
    if WHOLE in there:
        source = folder / WHOLE
        content = _read_json(source)
        vocabulary, written = _model(source, content)
        merges = list(_pairs(source, written))
        with named(source, "added_tokens"):
            listed = content.get("added_tokens") or ()
            added |= {each["content"]: (each["id"], flags_of(each)) for each in listed}
    else:
        source = folder / VOCABULARY
        if VOCABULARY not in there:
            raise AssetError(f"{folder}: no {WHOLE} and no {VOCABULARY}; the model folder is incomplete")
        vocabulary = _read_json(source)
        merges = list(_pairs(folder / MERGES, _read_merges(folder / MERGES)))
    with named(folder / _ADDED):
        numbers = _optional(folder, _ADDED, there)
        added |= {token: (number, {"normalized": True}) for token, number in numbers.items()}
    with named(folder / CONFIG, "added_tokens_decoder"):
        decoder = config.get("added_tokens_decoder")
        added |= {each["content"]: (int(at), flags_of(each)) for at, each in (decoder or {}).items()}
    # where the config lists all added tokens, it is the newer of the two
    special = config if decoder else config | _optional(folder, _SPECIAL, there)
    all_numbers = _numbers(source, vocabulary, added)
    return BpeFiles(
        source, all_numbers, merges, {token: flags for token, (_, flags) in added.items()}, special
    )


def _model(source: Path, content: Config) -> tuple[Any, Any]:
    """Return vocabulary and merges of a tokenizer.json."""
    model = content.get("model")
    if not isinstance(model, dict):
        raise AssetError(f"{source}: no readable tokenizer (it has no model)")
    if (kind := model.get("type", "BPE")) != "BPE":
        raise AssetError(f"{source}: model.type: a tokenizer of the kind {kind!a:.40}, where one is BPE")
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


def flags_of(token: Mapping[str, Any]) -> Flags:
    """Return how an added token is found, of all that a file says of it."""
    return {flag: token[flag] is True for flag in _FLAGS if flag in token}


@contextmanager
def named(path: Path, key: str = "") -> Iterator[None]:
    """Report what a file holds in place of a list of tokens."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{path}: {key}" if key else str(path)
        raise AssetError(f"{where}: no list of tokens ({_line(error)})") from error


def _line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:160]
