"""What is told of prompts that a text encoder reads in part: once, also where the model comes later."""

import pytest

from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import load_scene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Noted, Warned
from tests.checkpoints import klein


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return klein.make_folder(tmp_path_factory.mktemp("klein") / "folder")


@pytest.mark.parametrize("comes_later", [False, True])
def test_weights_that_have_no_effect_are_told_once(checkpoint, tmp_path, comes_later):
    heard, model = [], tmp_path / "model"
    if not comes_later:
        model.symlink_to(checkpoint)
    text = (
        "smd: 1\ncanvas: {width: 64, height: 64}\nmodel: {base: ./model, family: klein}\n"
        "sampler: {steps: 1}\nbackground: {prompt: 'a (red:1.3) house'}\n"
    )
    (tmp_path / "scene.yaml").write_text(text)
    scene = load_scene(str(tmp_path / "scene.yaml"), listener=heard.append)
    if comes_later:
        assert heard == []
        model.symlink_to(checkpoint)
    with Renderer.of(RenderSettings(device="cpu"), heard.append) as renderer:
        for seed in (1, 2):
            renderer.render(scene, seed=seed)
    told = [str(event.text) for event in heard if isinstance(event, Noted | Warned)]
    assert [line.partition("background.prompt: ")[2] for line in told] == [
        "weights in the prompt of the background have no effect: this model's text encoder knows none"
    ]
