"""CLIP's tokenizer (Radford et al., 2103.00020), read from a model folder. Knows no torch.

Of the files only the vocabulary, the merges and the names of special tokens count. How text becomes words is
as CLIP was trained, whatever a file says, so that none can make of a prompt what its writer did not mean.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from smd_cli.models.bpe_files import BpeFiles, Stamps, read_bpe_files, stamps_of

_START, _END = "<|startoftext|>", "<|endoftext|>"
_NAMES = {"bos_token": _START, "eos_token": _END, "pad_token": _END, "unk_token": _END}
"""Special tokens of a tokenizer whose files do not name them."""

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"  # as CLIP was trained


@dataclass(frozen=True)
class ClipTokenizer:
    """A tokenizer, and its tokens that mean something to the encoder.

    Attributes:
        tokenizer: makes tokens of text; it neither cuts, nor pads, nor adds any.
        start: number of the token that begins what is encoded.
        end: number of the one that ends it.
        padding: number of the one that fills up what is shorter than the encoder reads.
        files: what it was read from.
    """

    tokenizer: Tokenizer
    start: int
    end: int
    padding: int
    files: BpeFiles


def read_clip_tokenizer(folder: Path) -> ClipTokenizer:
    """Read a tokenizer folder. Raises as `read_bpe_files` and `BpeFiles.name`."""
    return _read(folder, stamps_of(folder))


@lru_cache(maxsize=4)
def _read(folder: Path, stamps: Stamps) -> ClipTokenizer:
    """Read the files that are there, of these times and sizes; checks of a model and loading ask for it."""
    files = read_bpe_files(folder, stamps)
    names = {key: files.name(key, usual) for key, usual in _NAMES.items()}
    with files.building():
        model = BPE(
            vocab=files.numbers,
            merges=files.merges,
            unk_token=names["unk_token"],
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
        )
        tokenizer = _as_trained(model)
        tokenizer.add_tokens([AddedToken(token, **flags) for token, flags in files.added.items()])
        unlisted = sorted(set(names.values()) - files.added.keys())
        tokenizer.add_special_tokens([AddedToken(name, special=True) for name in unlisted])
    start, end, padding = (files.numbers[names[key]] for key in ("bos_token", "eos_token", "pad_token"))
    return ClipTokenizer(tokenizer, start, end, padding, files)


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
