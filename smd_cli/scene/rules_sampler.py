"""The rules of a scene's sampler and bootstrap that span several keys."""

from __future__ import annotations

from collections.abc import Iterator

from smd_cli.scene.explain import Problem
from smd_cli.scene.model_section import ANY_FAMILY
from smd_cli.scene.samplers import SAMPLERS, SamplerFacts, misfit, sampler_facts, samplers_with
from smd_cli.scene.valid import INVALID, Data, items_of, valid_value


def sampler_rules(data: Data) -> Iterator[Problem]:
    """Yield a problem for every broken rule of both sections, and of what has to fit the sampler."""
    yield from _indices_rise(data)
    yield from _grid_fits_the_sampler(data)
    yield from _spacing_fits_the_sampler(data)
    yield from _gamma_fits_the_sampler(data)
    yield from _guidance_fits_the_sampler(data)
    yield from _model_fits_the_sampler(data)
    yield from _bootstrap_fits_the_schedule(data)
    yield from _leaks_show_through(data)


def _sampler_of(data: Data) -> tuple[SamplerFacts, int]:
    """Return the facts of the sampler, and the size of its grid."""
    family = valid_value(data, "model", "family", default=ANY_FAMILY)
    facts = sampler_facts(valid_value(data, "sampler", "kind"), family)
    return facts, valid_value(data, "sampler", "steps", default=facts.steps)


def _indices_rise(data: Data) -> Iterator[Problem]:
    _, steps = _sampler_of(data)
    before = None
    for place, index in items_of(data, "sampler", "indices"):
        if index is INVALID:
            continue
        if index >= steps:
            yield Problem(("sampler", "indices", place), f"{index} is outside the grid of {steps} steps")
        if before is not None and index <= before:
            yield Problem(
                ("sampler", "indices", place), f"{index} does not rise above {before}, which precedes it"
            )
        before = index


def _grid_fits_the_sampler(data: Data) -> Iterator[Problem]:
    sampler, steps = _sampler_of(data)
    if steps > sampler.largest_grid:
        yield Problem(("sampler", "steps"), f"{steps} is above {sampler.largest_grid}{sampler.grid_limit}")
    indices = valid_value(data, "sampler", "indices")
    if (
        sampler.takes_whole_grid
        and indices is not None
        and INVALID not in indices
        and list(indices) != list(range(steps))
    ):
        yield Problem(
            ("sampler", "indices"),
            f"{sampler.name} takes every step of its grid: leave indices out and set steps",
        )


def _spacing_fits_the_sampler(data: Data) -> Iterator[Problem]:
    sampler, _ = _sampler_of(data)
    spacing = valid_value(data, "sampler", "spacing")
    if spacing is None or spacing in sampler.spacings:
        return
    if not sampler.spacings:
        text = f"{sampler.name} has a grid of its own: leave spacing out"
    else:
        text = f"{sampler.name} goes with {' and '.join(sampler.spacings)}, not with {spacing}"
    yield Problem(("sampler", "spacing"), text)


def _gamma_fits_the_sampler(data: Data) -> Iterator[Problem]:
    sampler, _ = _sampler_of(data)
    if valid_value(data, "sampler", "gamma") is not None and sampler.gamma is None:
        needed = " or ".join(each.name for each in SAMPLERS.values() if each.gamma is not None)
        yield Problem(("sampler", "gamma"), f"needs the {needed} sampler: leave it out for {sampler.name}")


def _guidance_fits_the_sampler(data: Data) -> Iterator[Problem]:
    sampler, _ = _sampler_of(data)
    guidance = valid_value(data, "sampler", "guidance")
    if guidance is not None and guidance not in sampler.guidance:
        needed, supported = " or ".join(samplers_with(guidance)), " and ".join(sampler.guidance)
        yield Problem(
            ("sampler", "guidance"),
            f"{guidance} needs the {needed} sampler; {sampler.name} goes with {supported}",
        )


def _model_fits_the_sampler(data: Data) -> Iterator[Problem]:
    sampler, _ = _sampler_of(data)
    family = valid_value(data, "model", "family", default=ANY_FAMILY)
    if family != ANY_FAMILY and (text := misfit(sampler, family)):
        yield Problem(("sampler", "kind"), text)


def _bootstrap_fits_the_schedule(data: Data) -> Iterator[Problem]:
    sampler, grid = _sampler_of(data)
    task = valid_value(data, "task", default="generate")
    taken = len(valid_value(data, "sampler", "indices", default=sampler.default_indices(grid, task)))
    steps = valid_value(data, "bootstrap", "steps", default=0)  # the default gives way to a short schedule
    if steps > taken:
        yield Problem(("bootstrap", "steps"), f"{steps} is more than the sampler's {taken} steps")


def _leaks_show_through(data: Data) -> Iterator[Problem]:
    shows = valid_value(data, "bootstrap", "show_through") is True
    if shows and valid_value(data, "bootstrap", "leak_sensitivity") == 0:
        yield Problem(("bootstrap", "show_through"), "nothing shows through where leak_sensitivity is 0")
