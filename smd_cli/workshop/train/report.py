"""Summarise the logs of a training: `python -m smd_cli.workshop.train.report --folder runs/flatland`."""

import argparse
import json
from pathlib import Path

from smd_cli.workshop.train.config import Config

STAGES = {
    "text": "words of captions, no pictures",
    "autoencoder": "64 px crops",
    "unet-small": "128 px pictures",
    "unet-large": "256 px pictures",
    "distill": "ends of guided paths",
    "fold": "its own guided predictions",
    "decoder": "64 px crops, encoder frozen",
}


def table(folder: Path) -> str:
    """Return a Markdown table of the stages that have a log: steps, minutes, loss."""
    lines = ["| stage | on | steps | minutes | loss: first, last 100 steps |", "|---|---|--:|--:|--:|"]
    total = 0.0
    for stage, material in STAGES.items():
        log = folder / stage / "log.jsonl"
        if not log.exists():
            continue
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        first, last = entries[0], entries[-1]
        minutes = last["seconds"] / 60
        total += minutes
        losses = f"{first['loss']:.4g}, {last['loss']:.4g}"
        lines.append(f"| {stage} | {material} | {last['step']} | {minutes:.0f} | {losses} |")
    return "\n".join([*lines, f"| all | | | {total:.0f} | |"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m smd_cli.workshop.train.report", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Config.folder)
    print(table(parser.parse_args().folder))  # noqa: T201 - its result


if __name__ == "__main__":
    main()
