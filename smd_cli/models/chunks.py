"""Prompts to chunks of tokens, each as long as a CLIP text encoder reads. Knows no torch.

A prompt is words with weights, a word one or more tokens that stay together. It fills as many chunks as it
needs; where a comma or the like is near, a chunk ends there rather than amid what belongs together.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

from tokenizers import Tokenizer

from smd_cli.prompt_text import Span, read_prompt, whole_words

MARKERS = 2
"""How many tokens of a chunk mark its start and end, where both are marked."""

BACKTRACK = 20
"""How many tokens of a full chunk at most are left to the next one, so that it ends in a good place."""

_PHRASE_ENDS = frozenset(",.;:!?")


@dataclass(frozen=True)
class Vocabulary:
    """What the words of prompts are, in tokens.

    Attributes:
        tokenizer: makes tokens of ordinary words; it neither cuts nor pads.
        learned: the tokens of words that a textual inversion has taught, as they are written.
    """

    tokenizer: Tokenizer
    learned: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def words(self, text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the words of a text: what the last of its tokens stands for, and all of them."""
        at = 0
        for match in whole_words(self.learned).finditer(text):
            yield from self._ordinary(text[at : match.start()])
            yield match[0], self.learned[match[0]]
            at = match.end()
        yield from self._ordinary(text[at:])

    def _ordinary(self, text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        numbered = zip(encoded.word_ids, encoded.ids, encoded.offsets, strict=True)
        for _, tokens in groupby(numbered, key=lambda token: token[0]):
            *_, (_, _, (start, end)) = word = list(tokens)
            yield text[start:end], tuple(number for _, number, _ in word)


@dataclass(frozen=True)
class Word:
    """Tokens that are not to be parted.

    Attributes:
        tokens: their numbers.
        weight: of all of them.
        end: how good a place for a chunk's end is behind it: 2 ends a phrase, 1 a word, 0 a word that is
            weighted together with the next.
    """

    tokens: tuple[int, ...]
    weight: float
    end: int


@dataclass(frozen=True)
class Chunk:
    """Tokens that are encoded together, without those that mark start and end, and a weight for each."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Splitter:
    """Splits prompts for an encoder that reads `length` tokens at a time, `marks` of its own among them."""

    vocabulary: Vocabulary
    length: int
    marks: int = MARKERS

    @property
    def room(self) -> int:
        """Return how many tokens of a prompt fit into a chunk."""
        return self.length - self.marks

    def __call__(self, prompt: str) -> tuple[Chunk, ...]:
        """Return the chunks of a prompt, one at least."""
        parts = (_words(part, self.vocabulary, self.room) for part in read_prompt(prompt).parts)
        return tuple(chunk for words in parts for chunk in _chunks(words, self.room))

    def notes(self, prompt: str, owner: str) -> Iterator[str]:
        """Yield a note on a prompt that takes more chunks than its text has parts; `owner`: what it is of."""
        chunks = self(prompt)
        if len(chunks) > len(read_prompt(prompt).parts):
            tokens = sum(len(chunk.tokens) for chunk in chunks)
            yield f"{tokens} tokens of {owner}, read in {len(chunks)} chunks of at most {self.room}"


def _words(spans: Iterable[Span], vocabulary: Vocabulary, room: int) -> list[Word]:
    return [word for span in spans for word in _words_of(span, vocabulary, room)]


def _words_of(span: Span, vocabulary: Vocabulary, room: int) -> Iterator[Word]:
    """Yield the words of a span; one of more tokens than a chunk holds is parted."""
    words = list(vocabulary.words(span.text))
    for index, (last, tokens) in enumerate(words):
        is_held = span.weight != 1 and index < len(words) - 1
        end = 0 if is_held else 2 if last in _PHRASE_ENDS else 1
        for start in range(0, len(tokens), room):
            yield Word(tokens[start : start + room], span.weight, end)


def _chunks(words: Sequence[Word], room: int) -> Iterator[Chunk]:
    """Yield the chunks of a part, one at least."""
    while True:
        count = _cut(words, room)
        chunk, words = words[:count], words[count:]
        weights = (word.weight for word in chunk for _ in word.tokens)
        yield Chunk(tuple(token for word in chunk for token in word.tokens), tuple(weights))
        if not words:
            return


def _cut(words: Sequence[Word], room: int) -> int:
    """Return how many words go into a chunk: all that fit, or fewer where it can end in a better place."""
    filled = list(accumulate(len(word.tokens) for word in words))
    most = bisect_right(filled, room)
    if most == len(words):
        return most
    near = range(bisect_right(filled, filled[most - 1] - BACKTRACK) + 1, most + 1)
    return max(near, key=lambda count: (words[count - 1].end, count))
