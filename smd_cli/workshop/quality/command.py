"""The work of `smd bench quality`: choose the methods, check the models, measure, and lay out the table.

The command line imports this module by name and only when the command runs, since wheels leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from rich.table import Table

from smd_cli.bench.speed import machine
from smd_cli.errors import UsageError
from smd_cli.media.files import Existing, check_target
from smd_cli.workshop.judge.jury import load_jury
from smd_cli.workshop.quality.frontier import PLOT, write_frontier
from smd_cli.workshop.quality.gallery import SHEET, write_gallery
from smd_cli.workshop.quality.methods import FULL, VARIANTS, Variant
from smd_cli.workshop.quality.report import Interval, QualityReport
from smd_cli.workshop.quality.run import (
    FIRST_SEED,
    Benchmark,
    check_models,
    measure_quality,
    measure_singles,
    picture_count,
)

SHEET_SCENES = 12
"""Scenes on the contact sheet."""

Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Opens a progress display for a number of pictures; gives a function to call after each of them."""


def choose_variants(names: Sequence[str] | None) -> tuple[Variant, ...]:
    """Return the variants of these keys, and `FULL`; all of them if no key is given.

    Raises UsageError: there is no such variant.
    """
    known = {variant.key: variant for variant in VARIANTS}
    for name in names or ():
        if name not in known:
            raise UsageError(f"--row {name}: no such row; there are {', '.join(known)}")
    return tuple(v for v in VARIANTS if not names or v.key in names or v is FULL)


def measure(
    bench: Benchmark, variants: Sequence[Variant], *, singles: bool, progress: Progress
) -> QualityReport:
    """Render and score all variants, and the 24 prompts alone if `singles`; write the contact sheet
    and the plot of regions against halos.

    Raises:
        UsageError: the folder for pictures cannot be used.
        AssetError: a model is missing.
    """
    if bench.pictures is not None:
        for name in (SHEET, PLOT):
            check_target(bench.pictures / name, Existing.OVERWRITE)
    with progress(picture_count(bench.scenes, len(variants), singles=singles)) as advance:
        bench = replace(bench, on_picture=advance)
        check_models(bench, variants, singles=singles)
        jury = load_jury()
        alone = measure_singles(bench, jury.judge) if singles else {}
        rows = measure_quality(bench, jury, variants)
    if bench.pictures is not None:
        seeds = [FIRST_SEED + i for i in range(min(bench.scenes, SHEET_SCENES))]
        write_gallery(bench.pictures, variants, seeds)
        write_frontier(bench.pictures, rows)
    return QualityReport(machine(bench.device, bench.dtype), bench.scenes, alone, tuple(rows))


SHARES = ("regions", "halos", "leaked", "whole", "background")


def table(report: QualityReport) -> Table:
    """Lay a report out as a table for a terminal."""
    laid_out = Table(box=None, pad_edge=False)
    laid_out.add_column("row", min_width=16)
    shares = [f"{name} %" for name in (*SHARES, "preferred")]
    for name in (*shares, "seam", "Fréchet", "evals", "s"):
        laid_out.add_column(name, justify="right")
    for row in report.rows:
        seam = row.figures["seam"]
        laid_out.add_row(
            row.name,
            *(_percent(row.figures[name]) for name in SHARES),
            _percent(row.preferred),
            f"{seam.value:.2f} ±{(seam.high - seam.low) / 2:.2f}",
            f"{row.frechet:.2f}",
            f"{row.evaluations:.0f}",
            f"{row.seconds:.2f}",
        )
    if report.singles:
        laid_out.add_section()
        right = sum(report.singles.values()) / len(report.singles)
        laid_out.add_row("24 prompts alone, 5 steps", f"{100 * right:.1f}", *[""] * 9)
    return laid_out


def _percent(share: Interval) -> str:
    return f"{100 * share.value:.0f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"
