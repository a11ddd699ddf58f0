"""LoCon, LoHa, LoKr and DoRA against sums written out by index."""

import pytest
import torch

from smd_cli.models.adapters import Adapter

RANK, OUT, INNER = 3, 8, 6
KERNEL = (3, 3)
STRENGTH = -0.75


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def two(*shape):
    """Two tensors of one shape."""
    return random(2, *shape).unbind()


def outer(left, right):
    """The Kronecker product of a matrix and another or a kernel: blocks of `right`, scaled."""
    rows = [torch.cat([value * right for value in row], dim=1) for row in left]
    return torch.cat(rows)


def tucker(core, up, down):
    """Sum over both ranks: (i, j, k, l), (i, out), (j, in) -> (out, in, k, l)."""
    result = torch.zeros(up.shape[1], down.shape[1], *core.shape[2:])
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            result += up[i][:, None, None, None] * down[j][None, :, None, None] * core[i, j]
    return result


def locon_with_kernel():
    mid, down, up = random(RANK, RANK, *KERNEL), random(RANK, INNER), random(OUT, RANK)
    parts = {"mid": mid, "down": down[:, :, None, None], "up": up[:, :, None, None]}
    return parts, RANK, tucker(mid, up.T, down)


def loha():
    (w1_a, w2_a), (w1_b, w2_b) = two(OUT, RANK), two(RANK, INNER)
    parts = {"hada_w1_a": w1_a, "hada_w1_b": w1_b, "hada_w2_a": w2_a, "hada_w2_b": w2_b}
    return parts, RANK, (w1_a @ w1_b) * (w2_a @ w2_b)


def loha_of_convolution():
    (w1_a, w2_a), (w1_b, w2_b) = two(OUT, RANK), two(RANK, INNER * 9)
    parts = {"hada_w1_a": w1_a, "hada_w1_b": w1_b, "hada_w2_a": w2_a, "hada_w2_b": w2_b}
    return parts, RANK, ((w1_a @ w1_b) * (w2_a @ w2_b)).view(OUT, INNER, *KERNEL)


def loha_with_kernels():
    (w1_a, w2_a), (w1_b, w2_b), (t1, t2) = two(RANK, OUT), two(RANK, INNER), two(RANK, RANK, *KERNEL)
    parts = {"hada_w1_a": w1_a, "hada_w1_b": w1_b, "hada_w2_a": w2_a, "hada_w2_b": w2_b,
             "hada_t1": t1, "hada_t2": t2}  # fmt: skip
    return parts, RANK, tucker(t1, w1_a, w1_b) * tucker(t2, w2_a, w2_b)


def lokr_whole():
    left, right = random(2, 3), random(4, 2)
    return {"lokr_w1": left, "lokr_w2": right}, None, outer(left, right)


def lokr():
    left, a, b = random(2, 3), random(4, RANK), random(RANK, 2)
    return {"lokr_w1": left, "lokr_w2_a": a, "lokr_w2_b": b}, RANK, outer(left, a @ b)


def lokr_of_two_products():
    (a1, b1), (a, b) = (random(2, RANK), random(RANK, 3)), (random(4, RANK), random(RANK, 2))
    parts = {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a, "lokr_w2_b": b}
    return parts, RANK, outer(a1 @ b1, a @ b)


def lokr_of_convolution():
    left, a, b = random(2, 3), random(4, RANK), random(RANK, 2 * 9)
    parts = {"lokr_w1": left, "lokr_w2_a": a, "lokr_w2_b": b}
    return parts, RANK, outer(left, (a @ b).view(4, 2, *KERNEL))


def lokr_with_kernel():
    left, a, b, core = random(2, 3), random(RANK, 4), random(RANK, 2), random(RANK, RANK, *KERNEL)
    parts = {"lokr_w1": left, "lokr_w2_a": a, "lokr_w2_b": b, "lokr_t2": core}
    return parts, RANK, outer(left, tucker(core, a, b))


def lora():
    down, up = random(RANK, INNER), random(OUT, RANK)
    return {"down": down, "up": up}, RANK, up @ down


KINDS = [
    locon_with_kernel,
    loha,
    loha_of_convolution,
    loha_with_kernels,
    lokr_whole,
    lokr,
    lokr_of_two_products,
    lokr_of_convolution,
    lokr_with_kernel,
]


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def adapted(parts, weight, **scale):
    adapter = Adapter("layer", parts, **scale)
    assert adapter.fits(weight)
    assert not adapter.fits(weight[1:])
    assert not adapter.fits(weight[:, 1:])
    adapter.change_of(torch.empty_like(weight, device="meta"))  # as where only fit is checked
    return weight + STRENGTH * adapter.change_of(weight)


@pytest.mark.parametrize("kind", KINDS)
def test_the_change_of_each_kind_is_the_sum_of_its_paper(kind):
    parts, rank, change = kind()
    weight, alpha = random(*change.shape), 4.5
    scale = 1.0 if rank is None else alpha / rank
    got = adapted({**parts, "alpha": torch.tensor(alpha)}, weight)
    assert_close(got, weight + STRENGTH * scale * change)


@pytest.mark.parametrize("kind", [lora, loha_of_convolution, lokr])
@pytest.mark.parametrize("axis", [0, 1])
def test_dora_gives_rows_or_columns_their_norms(kind, axis):
    parts, _, change = kind()
    weight = random(*change.shape)
    target = weight + change
    line = [-1 if at == axis else 1 for at in range(target.ndim)]
    lengths = torch.stack([each.norm() for each in target.unbind(axis)])
    norms = random(target.shape[axis]).abs() + 0.5
    whole = target * (norms / lengths).view(line)
    expected = weight + STRENGTH * (whole - weight)
    assert_close(adapted({**parts, "dora_scale": norms.view(line)}, weight), expected)
    if axis == 0:
        assert_close(adapted({**parts, "lora_magnitude_vector": norms}, weight), expected)


def test_norms_of_a_square_weight_are_told_apart_by_their_shape():
    factors = {"down": random(2, 4), "up": random(4, 2)}
    weight, norms = random(4, 4), torch.tensor([1.0, 2, 3, 4])
    for axis, shape in enumerate(((4, 1), (1, 4))):
        change = Adapter("layer", {**factors, "dora_scale": norms.view(shape)}).change_of(weight)
        assert_close((weight + change).norm(dim=1 - axis), norms)


def test_norms_of_another_number_do_not_fit():
    parts, _, _ = lora()
    assert not Adapter("layer", {**parts, "dora_scale": torch.ones(OUT + 1, 1)}).fits(random(OUT, INNER))
    assert not Adapter("layer", {**parts, "dora_scale": torch.ones(())}).fits(random(OUT, INNER))
    assert not Adapter("layer", {**parts, "dora_scale": torch.ones(0)}).fits(random(OUT, INNER))


def test_a_kind_whose_package_is_missing_says_which(monkeypatch, tmp_path):
    from safetensors.torch import save_file

    from smd_cli.errors import AssetError
    from smd_cli.models import adapter_files

    parts, _, _ = loha()
    path = tmp_path / "loha.safetensors"
    save_file({f"lora_unet_conv_in.{name}": tensor.contiguous() for name, tensor in parts.items()}, path)
    adapter_files.check_lora(path)
    monkeypatch.setattr(adapter_files, "find_spec", lambda name: None)
    with pytest.raises(
        AssetError, match=r"loha\.safetensors: a LoHa needs LyCORIS: pip install 'smd-cli\[lycoris\]'"
    ):
        adapter_files.check_lora(path)
