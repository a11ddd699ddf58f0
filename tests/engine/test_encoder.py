"""The cache in front of a backbone: the same answers, computed once."""

import threading
import time
from types import SimpleNamespace

import torch

from smd_cli.engine.autoencoder import decode, encode
from smd_cli.engine.batching import Evaluator
from smd_cli.engine.encoder import PICTURES, PROMPTS, CachedEncoder
from smd_cli.models.conditioning import Conditioning
from tests.engine.test_batching import asked


class Counting:
    """Encodes a text as its length and a picture as its double, and counts."""

    def __init__(self, pooled: bool = False) -> None:
        self.texts: list[str] = []
        self.pictures = 0
        self.pooled = pooled
        self.device = torch.device("cpu")
        self.facts = SimpleNamespace(downscale=8)

    def encode_prompts(self, prompts):
        self.texts += prompts
        lengths = torch.tensor([float(len(text)) for text in prompts])
        return Conditioning(lengths[:, None, None], lengths[:, None] if self.pooled else None)

    def encode_image(self, pixels):
        self.pictures += 1
        return 2 * pixels


def test_each_prompt_is_encoded_once_and_comes_where_it_is_asked_for():
    counting = Counting(pooled=True)
    backbone = CachedEncoder(counting)
    assert backbone.encode_prompts(["sea", "mountain", "sea"]).embeds.flatten().tolist() == [3, 8, 3]
    later = backbone.encode_prompts(["mountain", "sun"])
    assert later.embeds.flatten().tolist() == later.pooled.flatten().tolist() == [8, 3]
    assert counting.texts == ["sea", "mountain", "sun"]


def test_pictures_are_known_by_what_they_show():
    counting = Counting()
    backbone = CachedEncoder(counting)
    picture = torch.rand(1, 3, 8, 16)
    for _ in range(3):
        assert torch.equal(backbone.encode_image(picture.clone()), 2 * picture)
    assert counting.pictures == 1
    backbone.encode_image(picture.reshape(1, 3, 16, 8))
    backbone.encode_image(picture + 1e-6)
    assert counting.pictures == 3


def test_what_was_not_asked_for_lately_is_forgotten():
    counting = Counting()
    backbone = CachedEncoder(counting)
    for number in range(2 * PROMPTS):
        backbone.encode_prompts(["the first", "x" * number])
    assert counting.texts.count("the first") == 1
    assert len(backbone._prompts._values) == PROMPTS
    for number in range(2 * PICTURES):
        backbone.encode_image(torch.full((1, 3, 2, 2), float(number)))
    assert len(backbone._pictures._values) == PICTURES


def test_what_is_kept_has_room_in_memory(monkeypatch):
    monkeypatch.setattr("smd_cli.engine.encoder.MOST_BYTES", 3 * 2**10)
    backbone = CachedEncoder(Counting())
    for number in range(8):
        picture = torch.full((1, 4, 8, 8), float(number))  # 1 KiB
        assert torch.equal(backbone.encode_image(picture), 2 * picture)
    assert len(backbone._pictures._values) == 3
    large = torch.ones(1, 4, 64, 64)
    assert torch.equal(backbone.encode_image(large), 2 * large)
    assert len(backbone._pictures._values) == 0


def test_threads_take_turns_on_a_cpu():
    """Whoever is inside is alone, so that networks do not fight for the same cores."""
    inside, most = 0, 0

    def compute(*_):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return torch.zeros(1, 4, 2, 2)

    backbone = Counting()
    backbone.predict = backbone.decode = backbone.encode_image = compute
    evaluate, encoder = Evaluator(backbone, backbone.encode_prompts(["a"])), CachedEncoder(backbone)
    work = [
        lambda: evaluate(asked(1)),
        lambda: decode(backbone, torch.zeros(1, 4, 2, 2)),
        lambda: encoder.encode_image(torch.rand(1, 3, 16, 16)),
        lambda: encode(backbone, torch.rand(1, 3, 16, 16)),
    ]
    threads = [threading.Thread(target=each) for each in 2 * work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
