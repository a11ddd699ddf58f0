"""The plan of a render as a person reads it: the decisions, the models, and the work of each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from smd_cli.cli.model_tables import settings_of
from smd_cli.scene.frame_times import RecordedTimes, seconds_of
from smd_cli.visible import visible

if TYPE_CHECKING:
    from smd_cli.app.render_plan import Forecast, Memory, RenderPlan, StepWork
    from smd_cli.app.stream_input import StreamInput
    from smd_cli.models.facts import ModelFacts
    from smd_cli.scene.resolve import Plan, SamplerPlan

MIB = 2**20
BAR = 20  # columns


@dataclass(frozen=True)
class _Share:
    """A part of a whole: a bar in a terminal, a percentage elsewhere."""

    part: int
    whole: int

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if options.is_terminal:
            yield ProgressBar(self.whole, self.part, BAR, complete_style="green", finished_style="green")
        else:
            yield Text(f"{self.part / self.whole:.0%}")


def layout_of(found: RenderPlan) -> RenderableType:
    """Lay out the plan of a render."""
    title = Text.assemble((visible(found.plan.name), "bold"), ("  " + found.plan.task, "dim"))
    parts: list[RenderableType] = [title, Text(), _facts(found), Text()]
    if found.forecast:
        parts.append(_work(found.forecast))
    else:
        parts.append(Text("Tiles, work and memory are not known: they follow from the base model."))
    return Group(*parts)


def _facts(found: RenderPlan) -> Table:
    """Lay out a line for each decision and each model."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("canvas", _canvas(found.plan))
    if known := found.forecast:
        width, height = known.tile_size
        table.add_row("tiles", f"{len(known.boxes)} of {width}x{height} px")
    table.add_row("schedule", _schedule(found.plan.sampler, known.facts if known else None))
    if known and (coupled := [step for step in known.steps if step.coupled]):
        steps = f"step{'s' * (len(coupled) > 1)} {_span(coupled)}"
        table.add_row("late", f"{steps} coupled: one evaluation a tile, not the picture of views")
    if found.recommended:
        told = visible(", ".join(settings_of(found.recommended)))
        table.add_row("advice", Text.assemble(told, ("  recommended by the model", "dim")))
    if found.stream:
        table.add_row("frames", _frames(found.stream))
    if known:
        table.add_row("predicts", _prediction(known.facts))
        table.add_row("dtype", _precision(known.memory))
        table.add_row("memory", _memory(known.memory))
    for model in found.models:
        style = {True: "green", False: "red", None: "dim"}[model.present]
        use = f"  {visible(model.use)}" * bool(model.use)
        fact = Text.assemble(visible(model.source), "  ", (model.state, style), use)
        table.add_row(model.role.replace("_", " "), fact)
    return table


def _prediction(facts: ModelFacts) -> Text:
    """Name what is predicted and the file that says so; its folder is in the JSON document."""
    zero_snr = ", zero terminal SNR" * facts.zero_terminal_snr
    source = visible(PurePath(facts.prediction_source).name)
    return Text.assemble(f"{facts.prediction_type}{zero_snr}  ", (source, "dim"))


def _precision(memory: Memory) -> str:
    place = memory.placement
    weights = f", large layers in {place.weights}" * (place.weights != "full")
    return f"{str(place.dtype).removeprefix('torch.')} on {place.device}{weights}"


def _memory(memory: Memory) -> Text:
    """Tell the estimate and the placement, and why that is not `high` where it was left to choose."""
    why = ""
    if (free := memory.free_bytes) is not None:
        is_enough = memory.peak_bytes <= free
        why = f", {'as' if is_enough else 'and only'} {free / MIB:,.0f} MiB are free"
    about = f"about {memory.peak_bytes / MIB:,.0f} MiB  "
    return Text.assemble(about, (f"{memory.placement.memory}{why}", "dim"))


def _canvas(plan: Plan) -> str:
    canvas, written = plan.canvas, ""
    if plan.size != (canvas.width, canvas.height):
        written = ", written as {}x{} px".format(*plan.size)
    return f"{canvas.width}x{canvas.height} px{', closed on itself' * canvas.wraps}{written}"


def _frames(stream: StreamInput) -> str:
    """Describe which frames come in and which go out."""
    rate = f"{float(stream.times.rate):.4g} a second{' on average' * isinstance(stream.times, RecordedTimes)}"
    length, source = f"in {stream.seconds:.4g} s, {rate}", stream.source
    if source is None or source.still:
        return f"{stream.frames} {length}"
    film = f" in {seconds_of(source.times, source.frames):.4g} s" if source.times else ""
    sound = f", with {source.sound.codec} sound" if source.sound else ""
    return f"{source.frames} come{film}{sound}; {stream.frames} go out {length}"


def _schedule(sampler: SamplerPlan, facts: ModelFacts | None) -> str:
    """Describe the sampler, which steps it takes of its grid, how that is spread, and its guidance."""
    taken = f"steps {' '.join(map(str, sampler.indices))} of {sampler.steps}"
    is_whole = len(sampler.indices) == sampler.steps
    steps = f"{sampler.steps} steps" if is_whole else taken
    has_own_grid = facts is not None and facts.prediction_type == "flow_prediction"
    steps += f", {sampler.spacing}" if sampler.spacing and not has_own_grid else ""
    steps += "" if sampler.gamma is None else f", gamma {sampler.gamma:g}"
    guidance = f", guidance {sampler.guidance} {sampler.guidance_scale:g}" * (sampler.guidance != "none")
    return f"{sampler.kind}, {steps}{guidance}"


def _work(forecast: Forecast) -> Table:
    """Lay out a row for each run of equal steps, then the sums."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("step", "views", "evaluations", "without savings"):
        table.add_column(name, justify="right")
    table.add_column("share", width=BAR)
    for _, run in groupby(forecast.steps, lambda step: (step.views, step.evaluations)):
        first, *others = run
        table.add_row(
            _span([first, *others]),
            str(first.views),
            str(first.evaluations),
            str(first.without_savings),
            _Share(first.evaluations, first.without_savings),
        )
    done, everything = forecast.work
    ratio = f"{everything / max(done, 1):.1f} times fewer" if done < everything else "nothing to save"
    views = sum(step.views for step in forecast.steps)
    table.add_row("total", str(views), str(done), str(everything), ratio, style="bold")
    return table


def _span(run: Sequence[StepWork]) -> str:
    """Return the numbers of a run of steps."""
    return f"{run[0].step}-{run[-1].step}" if len(run) > 1 else str(run[0].step)
