"""Configs of families that match flows: numbers with which nothing can be computed are refused with them."""

import json

import pytest

from smd_cli.errors import AssetError
from smd_cli.models.facts import read_facts
from smd_cli.models.families import family
from smd_cli.models.network_class import read_network_config
from smd_cli.models.qwen_network import QWEN3
from smd_cli.models.t5_network import T5_ENCODER
from tests.checkpoints import klein, sd3, zimage

MAKERS = {"sd3": sd3.make_folder, "klein": klein.make_folder, "zimage": zimage.make_folder}
SCHEDULER, VAE, NET = "scheduler/scheduler_config.json", "vae/config.json", "transformer/config.json"
STEEP = {"use_dynamic_shifting": True, "base_image_seq_len": 1, "max_image_seq_len": 2, "base_shift": 0}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture
def changed(models):
    """Change a config for as long as a test takes."""
    before = {}

    def change(name, file, **values):
        path = models[name] / file
        before[path] = path.read_text()
        path.write_text(json.dumps({**json.loads(before[path]), **values}))
        return models[name]

    yield change
    for path, text in before.items():
        path.write_text(text)


def refused(name, folder):
    with pytest.raises(AssetError) as caught:
        read_facts(folder, folder / "vae", family(name))
    return str(caught.value)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "values",
    [
        {"use_dynamic_shifting": False, "shift": 1e-20},
        {**STEEP, "max_shift": 10},
        {**STEEP, "max_shift": -10},
        {"use_dynamic_shifting": True, "time_shift_type": "linear", "base_shift": 0, "max_shift": 0},
        {"use_dynamic_shifting": True, "time_shift_type": "linear", "base_shift": -1, "max_shift": -1},
    ],
    ids=["tiny", "endless", "vanishing", "zero", "negative"],
)
def test_shifts_that_leave_no_numbers(name, values, changed):
    assert f"{SCHEDULER}: " in refused(name, changed(name, SCHEDULER, **values))


def test_shifts_as_published_are_read(models, changed):
    published = {"base_shift": 0.5, "max_shift": 1.15, "use_dynamic_shifting": True}
    for name in MAKERS:
        folder = changed(name, SCHEDULER, **published)
        assert read_facts(folder, folder / "vae", family(name)).native_size == 64


@pytest.mark.parametrize(("name", "side"), [("zimage", 16), ("zimage", [8, 64]), ("klein", 1), ("klein", 72)])
def test_a_native_size_that_no_tile_has(name, side, changed):
    told = refused(name, changed(name, VAE, sample_size=side))
    assert f"{name} models have at least 32 px, and multiples of 16" in told


def test_a_side_can_be_a_pair(changed):
    folder = changed("zimage", VAE, sample_size=[64, 96])
    assert read_facts(folder, folder / "vae", family("zimage")).native_size == 64


def test_another_autoencoder_leaves_the_native_size(models):
    other = models["sd3"] / "vae"  # made for pictures of 32 px
    assert read_facts(models["zimage"], other, family("zimage")).native_size == 64


@pytest.mark.parametrize(
    ("name", "file", "values", "told"),
    [
        ("klein", NET, {"axes_dims_rope": [1, 1, 1, 5]}, "even numbers whose sum is 8"),
        ("zimage", NET, {"rope_theta": 1e-300}, "rope_theta is 1e-300"),
        ("sd3", NET, {"sample_size": 1}, "sample_size is 1"),
    ],
)
def test_transformers(name, file, values, told, changed):
    assert told in refused(name, changed(name, file, **values))


@pytest.mark.parametrize(
    ("name", "part", "network", "values", "told"),
    [
        ("klein", "text_encoder", QWEN3, {"num_hidden_layers": 27}, "layer_types is a list of 28"),
        ("zimage", "text_encoder", QWEN3, {"pad_token_id": 2**20}, "pad_token_id is 1048576, none of"),
        ("sd3", "text_encoder_3", T5_ENCODER, {"relative_attention_max_distance": 8}, "a quarter"),
        ("sd3", "text_encoder_3", T5_ENCODER, {"relative_attention_num_buckets": 2}, "at least 1"),
    ],
)
def test_text_encoders(name, part, network, values, told, changed):
    folder = changed(name, f"{part}/config.json", **values)
    with pytest.raises(AssetError, match=told):
        read_network_config(folder / part, network)
