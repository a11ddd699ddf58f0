"""What a user would write with diffusers: a pipeline that stays loaded, and a loop over seeds.

It knows nothing of this program; `smd bench batch` runs it as a process of its own. It prints the model
evaluations it took.
"""

import sys
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline


def main(model: str, folder: str, jobs: str, steps: str, side: str, device: str, dtype: str) -> None:
    """Paint as many seeds as there are jobs, to numbered PNGs in a folder."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        model, torch_dtype=getattr(torch, dtype), safety_checker=None, requires_safety_checker=False
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    for seed in range(int(jobs)):
        picture = pipeline(
            Path(folder, "prompt.txt").read_text(),
            width=int(side),
            height=int(side),
            num_inference_steps=int(steps),
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        picture.save(Path(folder, f"{seed}.png"))
    print(int(jobs) * int(steps))  # noqa: T201 - its result


if __name__ == "__main__":
    main(*sys.argv[1:])
