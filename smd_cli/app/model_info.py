"""What is known of a model or a part of one, for people and programs. Knows no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from smd_cli.families import FAMILIES
from smd_cli.models.families import family
from smd_cli.models.hub import licence_of
from smd_cli.models.sources import open_files
from smd_cli.models.survey import Survey, survey
from smd_cli.scene.samplers import SAMPLERS


@dataclass(frozen=True)
class ModelInfo:
    """What lies at a reference, the licence that its model card names, and the samplers that it can use."""

    reference: str
    found: Survey
    licence: str
    samplers: tuple[str, ...]

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
            "problem": found.problem or None,
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
    return ModelInfo(reference, found, licence_of(files, offline=offline), tuple(usable))
