"""`smd check`: everything about scenes that can be known without loading a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smd_cli.cli import options
from smd_cli.cli.console import MessagePrinter, print_error, print_result
from smd_cli.cli.document import document
from smd_cli.cli.option_groups import expand_options
from smd_cli.cli.preview import check_preview, draw_scene
from smd_cli.errors import SmdError, UsageError
from smd_cli.messages import Message
from smd_cli.visible import visible

if TYPE_CHECKING:
    from smd_cli.app.model_availability import RequiredModel
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.scene.overrides import Override

Preview = Annotated[
    Path | None,
    typer.Option("--preview", metavar="PNG", help="Draw the regions, named and coloured, into this picture."),
]

_MODELS = {
    "base": "model",
    "vae": "model.vae",
    "lora": "model.loras",
    "textual_inversion": "model.textual_inversions",
    "lcm_lora": "model.lcm_lora",
    "captioner": "model.captioner",
}
"""Where a scene names each kind of model."""


@expand_options
def check(
    scenes: options.Scenes,
    edits: options.ModelEdits = options.ModelEdits(),  # noqa: B008 - frozen
    preview: Preview = None,
    reporting: options.Reporting = options.Reporting(),  # noqa: B008
) -> None:
    """Check scenes: every key, mask and picture; of a stream its input and keyframes. Nothing is rendered.

    All scenes are checked, and all problems of each are reported; the exit code is 0 when all are good, which
    with --quiet is the whole answer. What passes renders, where the memory is there. Which of their models
    are on this machine is told beside it. One of the hub that a run would fetch is no problem; one that lies
    nowhere, cannot be used or does not suit the scene is. Nothing is fetched, and no weights are read.
    """
    if preview and len(scenes) > 1:
        raise UsageError("--preview draws one scene; give only one")
    if preview:
        check_preview(preview)
    from smd_cli.app.scenes import check_sources

    check_sources(scenes)
    overrides, messages = edits.overrides(), reporting.messages()
    findings = [_check_one(scene, overrides, messages) for scene in scenes]
    if preview and (opened := findings[0].opened):
        draw_scene(opened.for_task("stream") if opened.can_stream else opened, preview)
    document().add(scenes=[finding.to_dict() for finding in findings])
    if not reporting.json and not reporting.quiet:
        for line in (line for finding in findings for line in finding.lines()):
            print_result(line)
    if codes := [finding.error.exit_code for finding in findings if finding.error]:
        raise typer.Exit(min(codes))


@dataclass(frozen=True)
class _Finding:
    """One scene, good or in error, and its models, as far as they were looked for."""

    scene: str
    opened: OpenedScene | None
    error: SmdError | None
    warnings: Sequence[Message]
    notes: Sequence[Message]
    models: Sequence[RequiredModel] = ()

    def lines(self) -> Iterator[str]:
        """Return what a person reads about a good scene."""
        if self.opened is None:
            return
        images = self.opened.images
        width, height = self.opened.plan.size
        yield f"{self.scene}: good, {width}x{height} px"
        names = [visible(region.name) for region in self.opened.plan.regions]
        wide = max(map(len, ("region", *names)))
        if names:
            yield f"  {'region':{wide}}  covers  visible"
        for index, name in enumerate(names):
            covered, left = images.coverage(index), images.visible_shares[index]
            yield f"  {name:{wide}}  {covered:6.1%}  {left:7.1%}"
        for path in images.maps:
            yield f"  {images.unclaimed(path):.1%} of {path.name} belongs to no region"
        for model in self.models:
            yield f"  {_key(model)}  {_presence(model)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the scene's part of the JSON document."""
        told = {
            "scene": self.scene,
            "ok": self.opened is not None,
            "problems": [problem.to_dict() for problem in self.error.problems] if self.error else [],
            "warnings": [warning.to_dict() for warning in self.warnings],
            "notes": [note.to_dict() for note in self.notes],
            "models": [model.to_dict() for model in self.models],
        }
        if self.opened is None:
            return told
        from smd_cli.media.mask_images import covered_share

        plan, images = self.opened.plan, self.opened.images
        return {
            **told,
            "canvas": plan.canvas.model_dump(),
            "size": {"width": plan.size[0], "height": plan.size[1]},
            "new_area": round(covered_share(images.new_area), 4) if images.new_area else 0.0,
            "regions": [
                {
                    "name": region.name,
                    "coverage": round(images.coverage(index), 4),
                    "visible": round(images.visible_shares[index], 4),
                }
                for index, region in enumerate(plan.regions)
            ],
            "maps": [
                {"image": str(path), "unclaimed": round(images.unclaimed(path), 4)} for path in images.maps
            ],
        }


def _key(model: RequiredModel) -> str:
    """Say where a scene names a model; of the LoRAs of single regions, the first place of each."""
    is_local = model.role == "lora" and not model.place.key.startswith("model")
    return model.place.key if is_local else _MODELS[model.role]


def _presence(model: RequiredModel) -> str:
    """Say whether a model is here, and else where it was looked for."""
    if model.problem:
        return f"{'cannot be used' if model.is_there else 'not here'}: {model.problem}"
    return f"{model.source}: here" if model.present else f"{model.source}: not known without the model itself"


def _check_one(scene: str, overrides: list[Override], messages: MessagePrinter) -> _Finding:
    from smd_cli.app.checking import check_scene
    from smd_cli.app.scenes import load_scene

    told = document()
    warned, noted = len(told.warnings), len(told.notes)
    opened: OpenedScene | None = None
    models: tuple[RequiredModel, ...] = ()
    try:
        opened = load_scene(scene, overrides=overrides, listener=messages)
        checked = check_scene(opened, messages)
        models, error = checked.models, checked.error
    except SmdError as raised:
        error = raised
    if error:
        print_error(error)
        told.problems += error.problems
    return _Finding(
        scene, None if error else opened, error, told.warnings[warned:], told.notes[noted:], models
    )
