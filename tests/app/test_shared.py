"""What scenes have in common is encoded once for a loaded model, and no picture depends on the others."""

from smd_cli import Renderer, load_scene
from smd_cli.models import unet

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
bootstrap: {steps: 1}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, negative_prompt: blur, mask: {box: [0, 0, 0.5, 0.5]}}]
"""
LONG = SCENE.replace("grass", f'"grass, {"a red house, " * 40} (snow:1.3)"').replace("the sun", "moon")


def test_equal_prompts_and_pictures_are_encoded_once(monkeypatch):
    prompts, pictures = [], []
    encode_prompts, encode_image = unet.UNetModel.encode_prompts, unet.UNetModel.encode_image

    def count_prompts(self, texts):
        prompts.append(texts)
        return encode_prompts(self, texts)

    def count_pictures(self, pixels, **how):
        pictures.append(pixels)
        return encode_image(self, pixels, **how)

    monkeypatch.setattr(unet.UNetModel, "encode_prompts", count_prompts)
    monkeypatch.setattr(unet.UNetModel, "encode_image", count_pictures)
    with Renderer() as renderer:
        for steps, text in ((1, SCENE), (2, SCENE), (1, LONG)):
            renderer.render(load_scene(text, overrides={"bootstrap.steps": steps}))
    texts = [text for asked in prompts for text in asked]
    assert len(texts) == len(set(texts)) == len(prompts), "each once, and by itself"
    assert {"grass", "the sun", "moon"} <= set(texts)
    assert len(pictures) == 1


def test_a_picture_does_not_depend_on_those_before_it():
    with Renderer() as renderer:
        together = [renderer.render(load_scene(text)).pixels_sha256 for text in (LONG, SCENE, LONG)]
    alone = []
    for text in (LONG, SCENE):
        with Renderer() as renderer:
            alone.append(renderer.render(load_scene(text)).pixels_sha256)
    assert together == [alone[0], alone[1], alone[0]]
