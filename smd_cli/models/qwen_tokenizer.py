"""Qwen's tokenizer, and the conversation in which models of pictures read a prompt. Knows no torch.

Of the files only vocabulary, merges and added tokens count. How text becomes words is as Qwen was trained
(2505.09388), whatever a file says. Chat templates are programs, and none of a model's folder is run: the text
around a prompt is fixed here. It is what Qwen3's template makes of one message.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from smd_cli.models.bpe_files import CONFIG, BpeFiles, Stamps, read_bpe_files, stamps_of
from smd_cli.models.configs import CHAT_TEMPLATE
from smd_cli.prompt_text import has_weights, plain_text
from smd_cli.regular_files import MAX_CONFIG, read_text

_log = logging.getLogger(__name__)

_PADDING = "<|endoftext|>"
_TURN, _END = "<|im_start|>", "<|im_end|>"
_NO_THOUGHTS = "<think>\n\n</think>\n\n"
_MARKS = (_TURN, _END, "<think>", "</think>")
"""Tokens of the conversation, which the vocabulary has to have whole."""

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)  # as Qwen was trained


@dataclass(frozen=True)
class QwenTokenizer:
    """A tokenizer, and the conversation that a prompt is put into.

    Attributes:
        tokenizer: makes tokens of text; it neither cuts, nor pads, nor adds any.
        padding: number of the token that fills up what is shorter than the encoder reads.
        files: what it was read from.
    """

    tokenizer: Tokenizer
    padding: int
    files: BpeFiles

    def tokens(self, prompt: str, *, thinks: bool) -> list[int]:
        """Return the tokens of a prompt in its conversation."""
        numbers: list[int] = self.tokenizer.encode(conversation(plain_text(prompt), thinks=thinks)).ids
        return numbers


@dataclass(frozen=True)
class QwenReading:
    """How a model reads prompts by Qwen3.

    Attributes:
        tokenizer: makes tokens of a prompt in its conversation.
        length: tokens that are read at most, those of the conversation included.
        thinks: whether the answer may have thoughts.
    """

    tokenizer: QwenTokenizer
    length: int
    thinks: bool

    def tokens(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt that are read."""
        return self.tokenizer.tokens(prompt, thinks=self.thinks)[: self.length]

    def notes(self, prompt: str, owner: str) -> Iterator[str]:
        """Yield notes on a prompt that is cut, or weighs words in vain."""
        if has_weights(prompt):
            yield f"weights in the prompt of {owner} have no effect: this model's text encoder knows none"
        count = len(self.tokenizer.tokens(prompt, thinks=self.thinks))
        if count > self.length:
            yield f"{count} tokens of {owner}, of which the first {self.length} are read; the rest is cut"


def conversation(text: str, *, thinks: bool) -> str:
    """Return what Qwen3's template makes of one message of a user, up to where the answer begins.

    `thinks`: the answer may have thoughts; else there are none before it, and that is written.
    """
    asked = f"{_TURN}user\n{text}{_END}\n{_TURN}assistant\n"
    return asked if thinks else asked + _NO_THOUGHTS


def read_qwen_tokenizer(folder: Path) -> QwenTokenizer:
    """Read a tokenizer folder. Raises as `read_bpe_files` and `BpeFiles.name`."""
    return _read(folder, stamps_of(folder))


def warn_of_other_template(folder: Path) -> None:
    """Warn where a folder brings a chat template that does not write the marks of Qwen3's."""
    path = folder / CHAT_TEMPLATE
    if path.exists():
        template = _text(path)
    else:
        path = folder / CONFIG
        template = str(read_qwen_tokenizer(folder).files.special.get("chat_template") or "")
        if not template:
            return
    if not all(mark in template for mark in _MARKS):
        _log.warning("%s: another chat template than Qwen3's; prompts are read in Qwen3's, as always", path)


def _text(path: Path) -> str:
    """Return a text; '' where it is none that can be read."""
    try:
        return read_text(path, MAX_CONFIG)
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=4)
def _read(folder: Path, stamps: Stamps) -> QwenTokenizer:
    """Read the files that are there, of these times and sizes; checks of a model and loading ask for it."""
    files = read_bpe_files(folder, stamps)
    padding = files.name("pad_token", _PADDING)
    marks: Sequence[str] = [files.name("a mark of the conversation", mark) for mark in _MARKS]
    with files.building():
        tokenizer = Tokenizer(BPE(vocab=files.numbers, merges=files.merges))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.add_tokens([AddedToken(token, **flags) for token, flags in files.added.items()])
        unlisted = sorted({padding, *marks} - files.added.keys())
        tokenizer.add_special_tokens([AddedToken(name, special=True) for name in unlisted])
    return QwenTokenizer(tokenizer, files.numbers[padding], files)
