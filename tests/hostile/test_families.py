"""Damaged models of every family: each ends as a picture, or in one line that begins with its place."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checkpoints import klein, sd3, sdxl, zimage
from tests.checkpoints.sd15 import SD2
from tests.hostile.rules import attacks, judge, run
from tests.hostile.test_models import damage, damaged_weights, parts_of

MAKERS = {
    "sd2": SD2.make_folder,
    "sdxl": sdxl.make_folder,
    "sd3": sd3.make_folder,
    "klein": klein.make_folder,
    "zimage": zimage.make_folder,
}
SCENE = {
    "smd": 1,
    "canvas": {"width": 64, "height": 64},
    "sampler": {"kind": "euler", "steps": 2},
    "background": {"prompt": "a house"},
    "model": {"base": "./model", "lcm_lora": "none"},
}


@pytest.fixture(scope="module", params=list(MAKERS))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a copy that is damaged."""
    folder = tmp_path_factory.mktemp("scene")
    (folder / "s.yaml").write_text(json.dumps(SCENE))
    return folder / "model"


def damaged(whole: Path, model: Path, name: str, content: bytes) -> None:
    """Check and render with a file of the model that holds something else."""
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(whole, model)
    (model / name).write_bytes(content)
    scene, picture = model.parent / "s.yaml", model.parent / "o.png"
    picture.unlink(missing_ok=True)
    checked = run("check", str(scene))
    judge(f"family {whole.name[:-1]}: check", checked, {0, 3, 4})
    ended = run("generate", str(scene), "--offline", "-o", str(picture))
    judge(f"family {whole.name[:-1]}: render", ended, {0, 1, 3, 4})
    if checked.code:
        assert ended.code == checked.code, (checked, ended)
    if ended.code == 1:
        assert "the model makes NaN or infinity, though its files hold none" in ended.stderr, ended
    if ended.code in (3, 4):
        assert f"\n{scene}:" in f"\n{ended.stderr}", ended
    assert picture.exists() == (ended.code == 0), ended


def test_configs(whole: Path, model: Path) -> None:
    texts = {
        str(path.relative_to(whole)): path.read_text(encoding="utf-8")
        for path in sorted(whole.rglob("*.json"))
        if path.name not in ("generation_config.json", "vocab.json")
    }

    @st.composite
    def attack(draw: st.DrawFn) -> tuple[str, str]:
        name = draw(st.sampled_from(list(texts)))
        return name, draw(damage(texts[name]))

    @attacks(14)
    @given(attack())
    def attacked(drawn: tuple[str, str]) -> None:
        name, text = drawn
        damaged(whole, model, name, text.encode("utf-8", "surrogatepass"))

    attacked()


def test_weights(whole: Path, model: Path) -> None:
    files = {str(path.relative_to(whole)): parts_of(path) for path in sorted(whole.rglob("*.safetensors"))}

    @st.composite
    def attack(draw: st.DrawFn) -> tuple[str, bytes]:
        name = draw(st.sampled_from(list(files)))
        return name, draw(damaged_weights(*files[name]))

    @attacks(10)
    @given(attack())
    def attacked(drawn: tuple[str, bytes]) -> None:
        damaged(whole, model, *drawn)

    attacked()
