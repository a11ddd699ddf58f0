"""`smd bench quality`: how good the pictures are, as a judge of the drawn world sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smd_cli.cli import options
from smd_cli.cli.bench import chosen_device, progress
from smd_cli.cli.console import Messages, result_json, result_layout, rich_console
from smd_cli.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from smd_cli.workshop.quality.methods import Variant
    from smd_cli.workshop.quality.report import Interval, Quality

SHOWN = 8
"""Scenes on the sheet of pictures."""

ScenesCount = Annotated[
    int, typer.Option("--scenes", min=2, max=100_000, help="Random scenes that every row paints.")
]
Rows = Annotated[
    list[str] | None,
    typer.Option("--row", metavar="NAME", help="Measure this row alone, beside `full`. Repeatable."),
]
Singles = Annotated[
    bool, typer.Option("--singles/--no-singles", help="Also paint 24 prompts alone, from 20 seeds each.")
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="FOLDER",
        help="Keep every picture, a folder a row, and a sheet; go on from what it keeps.",
    ),
]


def quality(
    scenes: ScenesCount = 200,
    row: Rows = None,
    singles: Singles = True,
    pictures: Pictures = None,
    model: options.Model = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch: options.Batch = "auto",
    offline: options.Offline = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Paint random region scenes in several ways and have them judged.

    The rows are MultiDiffusion with 50 DDIM steps, the same on a few-step sampler, and each technique of the
    regional method on top of the one before, then the kinds of masks, more or fewer bootstrapped steps, and
    frames of a stream. All paint the same scenes from the same seeds. The judge is a small network that names
    things, colours, hair and backgrounds of flatland's world, so a model has to paint that world: flatland,
    or a folder that a training of it exported.

    Intervals are those in which 95 % of figures lie when the scenes are drawn anew.
    """
    messages = Messages(quiet)
    how = options.Rendering(device, dtype, offline, options.batch_size(batch), metadata=False)
    variants = _variants(row)
    report = _measure(variants, how, (model or "flatland", scenes, singles, pictures), messages)
    if not json:
        result_layout(_table(report))
        return
    if not quiet:
        rich_console().print(_table(report))
    result_json(report.to_dict())


def _variants(names: Sequence[str] | None) -> tuple[Variant, ...]:
    """Choose rows by name, the full method always among them. Raises UsageError: there is no such row."""
    from smd_cli.workshop.quality.methods import FULL, VARIANTS

    known = {variant.key: variant for variant in VARIANTS}
    for name in names or ():
        if name not in known:
            raise UsageError(f"--row {name}: no such row; there are {', '.join(known)}")
    return tuple(v for v in VARIANTS if not names or v.key in names or v is FULL)


def _measure(
    variants: Sequence[Variant],
    how: options.Rendering,
    what: tuple[str, int, bool, Path | None],
    messages: Messages,
) -> Quality:
    """Load judge and model and measure; `what` is the model, how many scenes, lone prompts and a folder."""
    model, scenes, singles, pictures = what
    device, dtype = chosen_device(how, messages)
    from smd_cli.bench.speed import machine
    from smd_cli.media.files import Existing, check_target
    from smd_cli.models.assets import ModelSpec
    from smd_cli.workshop.judge.network import load_judge
    from smd_cli.workshop.quality.gallery import NAME, write_gallery
    from smd_cli.workshop.quality.report import Quality
    from smd_cli.workshop.quality.run import (
        FIRST_SEED,
        Bench,
        check_models,
        measure_quality,
        measure_singles,
        paintings,
    )

    if pictures is not None:
        check_target(pictures / NAME, Existing.OVERWRITE)

    with progress(paintings(scenes, len(variants), singles=singles), quiet=messages.quiet) as advance:
        task = Bench(ModelSpec(model), device, dtype, scenes, how.batch, pictures, advance)
        check_models(task, variants, singles=singles)
        judge = load_judge()
        alone = measure_singles(task, judge) if singles else {}
        rows = measure_quality(task, judge, variants)
    if pictures is not None:
        write_gallery(pictures, variants, [FIRST_SEED + i for i in range(min(scenes, SHOWN))])
    return Quality(machine(device, dtype), scenes, alone, tuple(rows))


def _table(report: Quality) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("row")
    for name in ("regions %", "leaked %", "whole %", "background %", "seam", "Fréchet", "evals", "s"):
        table.add_column(name, justify="right")
    for row in report.rows:
        shares = [_percent(row.figures[name]) for name in ("regions", "leaked", "whole", "background")]
        seam = row.figures["seam"]
        table.add_row(
            row.name,
            *shares,
            f"{seam.value:.2f} ±{(seam.high - seam.low) / 2:.2f}",
            f"{row.frechet:.2f}",
            f"{row.evaluations:.0f}",
            f"{row.seconds:.2f}",
        )
    if report.singles:
        table.add_section()
        right = sum(report.singles.values()) / len(report.singles)
        table.add_row("24 prompts alone, 5 steps", f"{100 * right:.1f}", *[""] * 7)
    return table


def _percent(share: Interval) -> str:
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
