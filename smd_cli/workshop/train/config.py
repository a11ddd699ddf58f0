"""The settings of the training, and the folder that a run writes to."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from smd_cli.errors import UsageError
from smd_cli.media.files import write_bytes


@dataclass(frozen=True)
class Budget:
    """The steps, batch size and learning rate of one stage."""

    steps: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Config:
    """The settings of all stages; docs/flatland-log.md tells how the published weights were trained."""

    folder: Path = Path("runs/flatland")
    base: Path | None = None
    seed: int = 0
    pool: int = 4000
    crop: int = 64
    captions: int = 24_000
    small_pictures: int = 30_000
    large_pictures: int = 26_000
    autoencoder: Budget = field(default_factory=lambda: Budget(6000, 20, 3e-3))
    decoder: Budget = field(default_factory=lambda: Budget(500, 24, 1e-3))
    text: Budget = field(default_factory=lambda: Budget(1500, 64, 1e-3))
    unet_small: Budget = field(default_factory=lambda: Budget(1800, 32, 8e-4))
    unet_large: Budget = field(default_factory=lambda: Budget(8000, 24, 4e-4))
    distill: Budget = field(default_factory=lambda: Budget(2400, 16, 1e-3))
    fold: Budget = field(default_factory=lambda: Budget(450, 16, 7e-4))
    late: Budget = field(default_factory=lambda: Budget(400, 16, 6e-4))
    coupled: Budget = field(default_factory=lambda: Budget(400, 16, 3e-4))
    late_things: int = 400
    late_lessons: int = 1100
    late_hard: int = 260
    coupled_scenes: int = 130
    coupled_pale: int = 300
    coupled_alone: int = 480
    guidance: float = 5.0
    fold_scale: float = 1.8
    paths: int = 3000
    rounds: int = 2
    rank: int = 32
    empty_captions: float = 0.1
    min_snr: float = 5.0
    ema: float = 0.999
    distill_ema: float = 0.995
    late_ema: float = 0.99
    compile: bool = False
    device: str = "cpu"

    def stage(self, name: str) -> Path:
        """Return the folder of a stage's checkpoint and log."""
        return self.folder / name


def check_settings(config: Config) -> None:
    """Store a run's settings in its folder, whose finished stages it will reuse.

    Raises UsageError: the folder was begun with other settings.
    """
    free = ("folder", "compile", "device")
    settings = {name: value for name, value in asdict(config).items() if name not in free}
    settings = json.loads(json.dumps(settings, default=str))
    path = config.folder / "settings.json"
    before = json.loads(path.read_text()) if path.exists() else settings
    for name, value in settings.items():
        if before.get(name) != value:
            made = f"made with {name} {before.get(name)}, not {value}"
            raise UsageError(f"{config.folder}: {made}; give another --folder")
    write_bytes(path, json.dumps(settings, indent=2).encode())
