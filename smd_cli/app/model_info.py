"""What is known of a model or a part of one, for people and programs. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smd_cli.app.model_advice import advice_of
from smd_cli.errors import AssetError
from smd_cli.families import FAMILIES
from smd_cli.models.families import family
from smd_cli.models.hub import licence_of
from smd_cli.models.sources import open_files
from smd_cli.models.survey import Survey, survey
from smd_cli.scene.samplers import SAMPLERS
from smd_cli.scene.tree import dotted


@dataclass(frozen=True)
class ModelInfo:
    """What lies at a reference, and what is known of it.

    Attributes:
        reference: as it was given.
        found: what lies there.
        licence: that its model card names; '' where none is known.
        samplers: that it can use.
        recommended: what it recommends to scenes, by the place in its file.
        problem: what is wrong with it, or with what it recommends; '' where nothing is.
    """

    reference: str
    found: Survey
    licence: str
    samplers: tuple[str, ...]
    recommended: Mapping[str, Any]
    problem: str

    @property
    def size_multiple(self) -> int | None:
        """What sides of canvas and tiles are multiples of, px; None: its family is not known."""
        return family(self.found.family).size_multiple if self.found.family in FAMILIES else None

    @property
    def size(self) -> int | None:
        """Bytes of its weights; None: not known."""
        sizes = [part.size for part in self.found.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        found, facts = self.found, self.found.facts
        known = {}
        if facts:
            known = {
                "native_size": facts.native_size,
                "size_multiple": self.size_multiple,
                "latent_channels": facts.latent_channels,
                "downscale": facts.downscale,
                "prediction": {
                    "type": facts.prediction_type,
                    "zero_terminal_snr": facts.zero_terminal_snr,
                    "source": facts.prediction_source,
                },
                "negative_prompt": facts.takes_negative,
                "few_step": facts.few_step,
                "samplers": list(self.samplers),
                "recommended": dict(self.recommended),
            }
        return {
            "reference": self.reference,
            "kind": found.sort,
            "family": found.family or None,
            "revision": found.files.revision or None,
            "here": found.is_here,
            "licence": self.licence or None,
            "size_bytes": self.size,
            "parts": [asdict(part) for part in found.parts],
            **known,
            "details": dict(found.details),
            "problem": self.problem or None,
        }


def model_info(reference: str, *, offline: bool) -> ModelInfo:
    """Find what is known of a reference. Of the hub at most configs are fetched.

    Raises AssetError: nothing is there, or it cannot be looked at.
    """
    files = open_files(reference, offline=offline)
    found = survey(files, offline=offline)
    usable = [
        name for name, each in SAMPLERS.items() if found.family in FAMILIES and each.supports(found.family)
    ]
    recommended, problem = {}, found.problem
    try:
        if found.facts and (settings := advice_of(files, reference).settings):
            recommended = {dotted(loc): leaf.plain() for loc, leaf in settings.leaves() if loc != ("smd",)}
    except AssetError as error:
        problem = str(error)
    licence = licence_of(files, offline=offline)
    return ModelInfo(reference, found, licence, tuple(usable), recommended, problem)
