"""How a run may end, whatever it was given; and how many cases an attack tries."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings

from tests.cli.program import smd

TIMES = int(os.environ.get("SMD_ATTACKS", "1"))
TRIED: Counter[str] = Counter()
"""How many cases each attack has tried."""

CODES = {0, 1, 2, 3, 4, 5, 6, 7, 130}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_DRAWN = {
    "\n",
    "\u200c",
    "\u200d",
    "\u180e",
    *map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)),
}


def attacks(count: int) -> settings:
    """Return hypothesis' settings for `count` cases, the same ones each time unless more are asked for."""
    return settings(
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        max_examples=count * TIMES,
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str


def run(*arguments: str, stdin: str | None = None) -> Ended:
    """Run the program in this process."""
    result = smd(*arguments, stdin=stdin)
    return Ended(result.exit_code, result.stdout, result.stderr)


def judge(attack: str, ended: Ended, codes: set[int] = CODES) -> None:
    """Count a case, and fail unless the run ended with one of `codes`, and words that explain it."""
    TRIED[attack] += 1
    assert ended.code in codes, ended
    assert "internal error" not in ended.stderr, ended
    assert "Traceback" not in ended.stderr + ended.stdout, ended
    assert ended.code == 0 or ended.stderr.strip(), ended
    for text in (ended.stdout, ended.stderr):
        assert not {char for char in text if unicodedata.category(char) in _HIDDEN} - _DRAWN, ended


@contextmanager
def nothing_written(folder: Path) -> Iterator[None]:
    """Fail if the files below a folder are others at the end, or have been written again."""
    before = _files(folder)
    yield
    assert _files(folder) == before


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
