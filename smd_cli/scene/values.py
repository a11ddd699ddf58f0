"""The kinds of values that a scene is made of: texts, names, sizes and fractions, each with its range."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from smd_cli.prompt_text import LEARNED_WORD, LONGEST_WORD
from smd_cli.scene.seeds import LAST_SEED, MAX_SEEDS, PATTERN, NoSeed, parse_seeds

MAX_PIXELS = 2**26  # 8192 x 8192
MIN_SIDE, MAX_SIDE = 64, 16384  # px of a canvas
GUIDED = "; used where `sampler.guidance_scale` is not 1."
"""The end of the description of every negative prompt."""
NOT_BLANK = r"\S"
SHA256 = r"^[0-9a-f]{64}$"
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
PLAIN_NAME = (
    r"^[^\d\s\[\]=\x00-\x1f\x7f][^\[\]=\x00-\x1f\x7f]*$"  # so that --set regions[name] can address it
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # all but tab and line feed; lone surrogates


def _multiple_of_8(length: int) -> int:
    if length % 8:
        below = length // 8 * 8
        near = f"{below} or {below + 8}" if length % 8 == 4 else str(round(length / 8) * 8)
        raise PydanticCustomError("step", f"{length} is not a multiple of 8; the nearest is {near}")
    return length


def _no_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("text", "holds control characters")
    return text


def _seeds(given: Any) -> tuple[int, ...]:  # noqa: ANN401 - what a file says, of any shape
    try:
        return parse_seeds(given)
    except NoSeed as error:
        raise PydanticCustomError("no_seed", "is no seed", {"value": error.value}) from error
    except ValueError as error:
        raise PydanticCustomError("seed", "{text}", {"text": str(error)}) from error


_SEEDS_SCHEMA: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 0, "maximum": LAST_SEED},
    {"type": "string", "pattern": PATTERN},
]
Seeds = Annotated[
    tuple[int, ...],
    PlainValidator(_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                *_SEEDS_SCHEMA,
                {
                    "type": "array",
                    "items": {"anyOf": _SEEDS_SCHEMA},
                    "minItems": 1,
                    "maxItems": MAX_SEEDS,
                },
            ]
        }
    ),
]
Prompt = Annotated[str, Field(max_length=4000), AfterValidator(_no_control_characters)]
RegionPrompt = Annotated[
    str, Field(max_length=4000, pattern=NOT_BLANK), AfterValidator(_no_control_characters)
]
RegionName = Annotated[str, Field(min_length=1, max_length=64, pattern=PLAIN_NAME)]
LearnedWord = Annotated[str, Field(max_length=LONGEST_WORD, pattern=LEARNED_WORD)]
Side = Annotated[
    int,
    Field(ge=MIN_SIDE, le=MAX_SIDE, json_schema_extra={"multipleOf": 8}),
    AfterValidator(_multiple_of_8),
]
Share = Annotated[float, Field(ge=0, le=1)]
Repaint = Annotated[float, Field(gt=0, le=1)]  # strength of image-to-image: 1 repaints completely
Blur = Annotated[float, Field(ge=0, le=256)]
Shift = Annotated[tuple[Annotated[float, Field(ge=-2, le=2)], ...], Field(min_length=2, max_length=2)]
Pixels = Annotated[
    int, Field(ge=64, le=4096, json_schema_extra={"multipleOf": 8}), AfterValidator(_multiple_of_8)
]
