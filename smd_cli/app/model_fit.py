"""Whether a scene and its model go together: found out before any weight is read, by `check` as by a run.

Imports torch only for models of unusual noise levels, and for those put together of several.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smd_cli.app.model_spec import find_model, find_scene_captioner
from smd_cli.engine.tile_size import tile_side
from smd_cli.errors import AssetError, SceneError
from smd_cli.models.configs import SCHEDULER_CONFIG
from smd_cli.models.spec import T5, T5_LENGTH
from smd_cli.scene.samplers import misfit, sampler_facts
from smd_cli.scene.written_prompts import PREFIX, written_prompts

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.messages import Message
    from smd_cli.models.assets import Assets
    from smd_cli.models.family import Family


FEW_TIMESTEPS = "this model was trained on fewer timesteps than usual"

_log = logging.getLogger(__name__)


def find_fitting(scene: OpenedScene, *, offline: bool) -> Assets:
    """Find and check the files of a scene's model, and of what captions its picture, if anything is to.

    Raises:
        AssetError: the model is not available, or not usable.
        SceneError: the scene does not suit the model.
    """
    assets = find_model(scene.plan, offline=offline)
    check_fit(scene, assets)
    find_scene_captioner(scene.plan, offline=offline)
    return assets


def check_fit(scene: OpenedScene, assets: Assets) -> None:
    """Check sampler, canvas, tile and negative prompts against what the model can do; log what is unusual.

    Raises:
        SceneError: they do not go together, with their places.
        AssetError: the model's noise levels leave nothing to predict from at a step.
    """
    plan, family = scene.plan, assets.family
    multiple = family.size_multiple
    sides = {
        ("canvas", "width"): plan.canvas.width,
        ("canvas", "height"): plan.canvas.height,
        ("sampler", "tile"): plan.sampler.tile,
    }
    problems = [
        scene.locate(*place).says(f"{side} is not a multiple of {multiple}, as {family.name} models need")
        for place, side in sides.items()
        if isinstance(side, int) and side % multiple
    ]
    problems += [*_too_large(scene, assets), *_unknown_t5(scene, family)]
    if text := misfit(plan.sampler.facts, family.name):
        problems.append(scene.locate("sampler", "kind").says(text))
    problems += _misfits_of_prediction(scene, assets)
    if not assets.facts.takes_negative:
        problems += _negatives(scene, family.name)
    if problems:
        raise SceneError(*problems)
    try:
        tile_side(plan, assets.facts)
    except SceneError as error:
        raise error.at(scene.locate("canvas", "width")) from error
    if not assets.facts.has_usual_noise:
        _check_steps(scene, assets)
    _warn_of_unusual_sampler(scene, family.name)


def _warn_of_unusual_sampler(scene: OpenedScene, family: str) -> None:
    """Warn where a scene names no sampler, and its family of models is not distilled for the default."""
    usual, taken = sampler_facts(None, family), scene.plan.sampler.kind
    if scene.loaded.scene.sampler.kind is None and taken != usual.name:
        text = (
            f"{taken} is taken, since the scene names no sampler; {family} models are distilled for "
            f"{usual.name} in {usual.steps} steps: set sampler.kind and steps, or model.family to {family}"
        )
        _log.warning("%s", scene.locate("sampler", "kind").says(text))


def _misfits_of_prediction(scene: OpenedScene, assets: Assets) -> Iterator[Message]:
    """Yield what a sampler is asked for that does not go with what the model predicts."""
    sampler, facts = scene.plan.sampler, assets.facts
    if facts.prediction_type == "flow_prediction" and sampler.spacing != sampler.facts.spacing:
        text = f"{sampler.spacing}: {facts.family} models have a grid of their own; leave spacing out"
        yield scene.locate("sampler", "spacing").says(text)
    if facts.prediction_type != "epsilon" and sampler.guidance in ("self", "initialize"):
        yield scene.locate("sampler", "guidance").says(
            f"{sampler.guidance} estimates predicted noise, and this model predicts something else "
            f"({facts.prediction_type}); use full"
        )


def _negatives(scene: OpenedScene, family: str) -> Iterator[Message]:
    """Yield what a scene says of guidance to a model that takes none."""
    sampler, model = scene.plan.sampler, f"this {family} model takes no negative prompt"
    if sampler.guidance != "none" and sampler.guidance_scale != 1:
        yield scene.locate("sampler", "guidance_scale").says(
            f"{sampler.guidance_scale:g}: {model}, because its guidance is distilled into it; leave out "
            "guidance_scale, or set it to 1"
        )
    for prompt in written_prompts(scene.loaded.scene):
        if prompt.is_negative or prompt.loc == PREFIX:
            yield scene.locate(*prompt.loc).says(f"{model}; leave it out")


def _too_large(scene: OpenedScene, assets: Assets) -> Iterator[Message]:
    """Yield what is wrong with tiles that are larger than the model can be shown."""
    canvas, tile, largest = scene.plan.canvas, scene.plan.sampler.tile, assets.facts.largest_tile
    if largest and isinstance(tile, int) and min(tile, max(canvas.width, canvas.height)) > largest:
        text = f"{tile} is above {largest}, the side of the largest tile that this model knows places in"
        yield scene.locate("sampler", "tile").says(text)


def _unknown_t5(scene: OpenedScene, family: Family) -> Iterator[Message]:
    """Yield what is asked of T5, where models of the family have none."""
    if T5 in family.components:
        return
    for key, usual in (("t5", "auto"), ("t5_length", T5_LENGTH)):
        if getattr(scene.plan.model, key) != usual:
            yield scene.locate("model", key).says(f"{family.name} models have no T5; leave this key out")


def check_parts(scene: OpenedScene, assets: Assets) -> None:
    """Check that parts of a scene's model from several places go together, as loading does; imports torch.

    Raises AssetError: a LoRA or an autoencoder was made for another model.
    """
    model = scene.plan.model
    if model.loras or model.vae or assets.local_loras:
        from smd_cli.models.loading import check_loading

        check_loading(assets)


def _check_steps(scene: OpenedScene, assets: Assets) -> None:
    """Check each step of the sampler on the noise levels that the model was trained on."""
    from smd_cli.engine.layout import scene_schedule

    try:
        schedule = scene_schedule(scene.plan, assets.facts, assets.schedules)
    except ValueError as error:  # the model was trained on fewer timesteps than usual
        raise SceneError(scene.locate("sampler", "steps").says(f"{error}: {FEW_TIMESTEPS}")) from error
    if steps := schedule.undefined_steps():
        cause = "rescale_betas_zero_snr" if assets.facts.zero_terminal_snr else "its betas"
        raise AssetError(
            f"{assets.configs / SCHEDULER_CONFIG}: only noise is left at timestep "
            f"{int(schedule.timesteps[steps[0]])} ({cause}), where predicted noise tells nothing of the "
            "picture; set prediction_type there to v_prediction if the model was trained for that, or avoid "
            "this timestep (sampler.indices, sampler.steps, sampler.spacing)",
            parts=[assets.spec.configs_part if assets.base.file else ("base",)],
        )
