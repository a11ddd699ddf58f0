"""Small random models of Stable Diffusion 1.x and 2.x: folders of diffusers, single files, and LoRAs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPTextModel

from tests.checkpoints.clip import TOKENS, write_tokenizer
from tests.checkpoints.ldm import ldm_unet, ldm_vae, open_clip
from tests.checkpoints.sdxl import make_text_encoder, make_vae

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
"""What all of Stable Diffusion was published with."""
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@dataclass(frozen=True)
class Version:
    """What SD1.x and SD2.x differ in.

    Attributes:
        width: of the text encoder.
        heads: how many the UNet's attention has, in each block or in all.
        projects_linearly: how the UNet's attention begins.
        activation: of the text encoder.
        padding: the text encoder's token of no meaning, and the tokenizer's.
        encoder: how the text encoder's tensors are called in a single file.
    """

    width: int
    heads: int | tuple[int, ...]
    projects_linearly: bool
    activation: str
    padding: tuple[int, str]
    encoder: str

    def make_unet(self) -> UNet2DConditionModel:
        return UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 24),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=self.width,
            attention_head_dim=self.heads,
            use_linear_projection=self.projects_linearly,
            norm_num_groups=8,
        )

    def networks(self) -> dict[str, nn.Module]:
        """The networks, equal at each call."""
        torch.manual_seed(41)
        encoder = make_text_encoder(self.width, CLIPTextModel, self.activation, self.padding[0])
        return {"unet": self.make_unet(), "vae": make_vae(scaling_factor=0.18215), "text_encoder": encoder}

    def make_folder(self, folder: Path) -> Path:
        """A diffusers folder; native size 64 px."""
        for name, network in self.networks().items():
            network.save_pretrained(folder / name)
        self.write_scheduler(folder)
        write_tokenizer(folder / "tokenizer", padding=self.padding[1])
        (folder / "model_index.json").write_text(json.dumps(INDEX))
        return folder

    def write_scheduler(self, folder: Path, **changes: object) -> None:
        """The scheduler's config of a folder, as published but for some changes."""
        path = folder / "scheduler/scheduler_config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**SCHEDULER, **changes}))

    def make_file(self, folder: Path) -> Path:
        """The same model as one file, which takes its configs from the folder of `make_folder`."""
        made = self.networks()
        encoder = made["text_encoder"]
        if self.encoder.endswith(".model."):
            text = open_clip(encoder)
            last = max(int(name.split(".")[2]) for name in text if ".resblocks." in name)
            more = {
                name.replace(f".{last}.", f".{last + 1}."): tensor + 1
                for name, tensor in text.items()
                if f"resblocks.{last}." in name
            }  # published files have the last layer, which is not used
            text = {
                **text,
                **more,
                "text_projection": torch.eye(self.width),
                "logit_scale": torch.tensor(4.6),
            }
        else:
            text = {
                f"text_model.{name.removeprefix('text_model.')}": each
                for name, each in encoder.state_dict().items()
            }
        parts = {
            "model.diffusion_model.": ldm_unet(made["unet"]),
            "first_stage_model.": ldm_vae(made["vae"].state_dict()),
            self.encoder: text,
        }
        tensors = {start + name: tensor for start, part in parts.items() for name, tensor in part.items()}
        path = folder / "model.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        return path

    def lora_changes(self) -> Iterator[tuple[str, str, Tensor, Tensor]]:
        """The factors, down and up, of a LoRA of all attention: the network and the layer of each."""
        made, generator = self.networks(), torch.Generator().manual_seed(42)
        for component in ("unet", "text_encoder"):
            for name, layer in made[component].named_modules():
                if isinstance(layer, nn.Linear) and "attn" in name:
                    down = torch.randn(2, layer.in_features, generator=generator) / 2
                    yield component, name, down, torch.randn(layer.out_features, 2, generator=generator) / 2

    def make_lora(self, folder: Path) -> Path:
        """That LoRA, its scale a half, under the names of kohya's trainer."""
        starts, tensors = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}, {}
        for component, name, down, up in self.lora_changes():
            own = starts[component] + name.removeprefix("text_model.").replace(".", "_")
            tensors |= {f"{own}.lora_down.weight": down, f"{own}.lora_up.weight": up}
            tensors[f"{own}.alpha"] = torch.tensor(1.0)
        path = folder / "lora.safetensors"
        save_file(tensors, path)
        return path


SD15 = Version(16, 4, False, "quick_gelu", (TOKENS - 1, "<|endoftext|>"), "cond_stage_model.transformer.")
SD2 = Version(24, (2, 3), True, "gelu", (1, "!"), "cond_stage_model.model.")

make_folder, make_file, make_lora = SD15.make_folder, SD15.make_file, SD15.make_lora
