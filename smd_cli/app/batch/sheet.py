"""The contact sheet of a batch: which picture goes where, and what is written beside it. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image

from smd_cli.app.apart import Inputs
from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.outputs import Outputs, real_path
from smd_cli.app.batch.planning import Batch
from smd_cli.errors import UsageError
from smd_cli.media.files import check_plain_target, write_bytes
from smd_cli.media.png import encode_png
from smd_cli.media.sheet import MAX_COLUMNS, Cell, Sheet
from smd_cli.media.sources import open_frame_source
from smd_cli.messages import Place

T = TypeVar("T")
Fact = tuple[str, str]
"""Something that tells pictures apart, and what it is of one: its scene, its seed, a value of the matrix."""

_SCENE, _SEED = "scene", "seed"
_NOT_MADE = "not made"


@dataclass
class BatchSheet:
    """The contact sheet that a batch will have.

    Attributes:
        path: of its first page.
        jobs: all of the batch, in the order in which they were asked for.
    """

    path: Path
    jobs: Sequence[Job]

    @classmethod
    def of(cls, path: Path, batch: Batch) -> BatchSheet:
        """Plan the sheet of a batch. Raises UsageError: no page of it can be written, or not there."""
        sheet = cls(path, sorted([*batch.jobs, *batch.left], key=lambda job: job.number))
        outputs, inputs = Outputs(sheet.jobs), Inputs(batch.scenes)
        for page in sheet.pages:
            place = Place.of_file(page, "--sheet")
            if job := outputs.at(page):
                raise UsageError(place.says(f"lies where {job.name} is to lie; give another name"))
            check_plain_target(page)
            inputs.check_apart(page, "--sheet")
        return sheet

    @property
    def pages(self) -> list[Path]:
        """The files of its pages."""
        return arranged(self.jobs, {}).paths(self.path)

    def has_page(self, path: Path) -> bool:
        """Tell whether a path leads to one of its pages."""
        return real_path(path) in map(real_path, self.pages)

    def write(self, outcomes: Sequence[Outcome]) -> list[Path]:
        """Draw and write the sheet of what has become of the jobs; return its pages. Raises SmdError."""
        sheet = arranged(self.jobs, {outcome.job: outcome for outcome in outcomes})
        pages = sheet.paths(self.path)
        for path, page in zip(pages, sheet.draw(), strict=True):
            write_bytes(path, encode_png(page, {}), partial(check_plain_target, path))
        return pages


def arranged(jobs: Sequence[Job], outcomes: Mapping[int, Outcome]) -> Sheet:
    """Lay out jobs: where a matrix has one or two keys and nothing is missing, as a table.

    Two keys give rows and columns, one gives columns; scenes and seeds are then rows. What is the same for
    all of them is the title. Jobs without an outcome have not been made.
    """
    facts = [_facts(job) for job in jobs]
    varying = [key for key in dict.fromkeys(key for each in facts for key in each) if _varies(key, facts)]
    common = {key: value for key, value in facts[0].items() if key not in varying}
    names = short_names([key for key in varying if key not in (_SCENE, _SEED)])
    table = _Table.of(facts, varying)
    order, labelled = (table.order, []) if table else (range(len(jobs)), varying)
    cells = []
    for index in order:
        lines = [_told(key, facts[index][key], names) for key in labelled if key in facts[index]]
        cells.append(_cell(jobs[index], outcomes.get(jobs[index].number), tuple(lines)))
    return Sheet(
        cells,
        columns=len(table.columns) if table else 0,
        title=", ".join(_told(key, value, {}) for key, value in common.items()),
        column_heads=[_told(table.key, value, names) for value in table.columns] if table else (),
        row_heads=[tuple(_told(*fact, names) for fact in row) for row in table.rows] if table else (),
    )


@dataclass(frozen=True)
class _Table:
    """A table of jobs, one in each cell.

    Attributes:
        key: whose values are the columns.
        columns: these values.
        rows: the other facts of each row.
        order: the indices of the jobs, row by row.
    """

    key: str
    columns: list[str]
    rows: list[tuple[Fact, ...]]
    order: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, facts: Sequence[Mapping[str, str]], varying: Sequence[str]) -> _Table | None:
        """Arrange jobs by their facts; None: a matrix has other keys than one or two, or cells were empty."""
        keys = [key for key in varying if key not in (_SCENE, _SEED)]
        if len(keys) not in (1, 2):
            return None
        key = keys[-1]
        others = [other for other in varying if other != key]
        places = {}
        for index, each in enumerate(facts):
            row = tuple((other, each[other]) for other in others if other in each)
            places[row, each.get(key, "")] = index
        table = cls(key, _unique(value for _, value in places), _unique(row for row, _ in places))
        cells = [(row, value) for row in table.rows for value in table.columns]
        if len(table.columns) > MAX_COLUMNS or len(places) < len(facts) or places.keys() != set(cells):
            return None
        table.order.extend(places[cell] for cell in cells)
        return table


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the ends of dotted keys that tell them apart: `steps` for `bootstrap.steps`."""
    names = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        alone = (end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others))
        names[key] = next(alone, key)
    return names


def _facts(job: Job) -> dict[str, str]:
    return {_SCENE: job.scene.plan.name, _SEED: str(job.seed), **dict(job.values)}


def _varies(key: str, facts: Sequence[Mapping[str, str]]) -> bool:
    return len({each.get(key) for each in facts}) > 1


def _told(key: str, value: str, names: Mapping[str, str]) -> str:
    """Write a fact: a scene by its name alone, a key of the matrix by its short one."""
    if key == _SCENE:
        return value
    return f"{key} {value}" if key == _SEED else f"{names.get(key, key)}={value}"


def _cell(job: Job, outcome: Outcome | None, lines: tuple[str, ...]) -> Cell:
    if outcome is None or outcome.output is None:
        return Cell(job.size, lines, word=outcome.status if outcome else _NOT_MADE)
    return Cell(job.size, lines, partial(_picture, Path(outcome.output.path)))


def _picture(path: Path) -> Image.Image:
    """Read a picture, or the first frame of a film. Raises AssetError."""
    return next(iter(open_frame_source(path)))


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
