"""Compression of v: closed forms, a dense reference in NumPy, torch's own Adafactor, fixtures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dyntools import open_run, snapshots
from dyntools.layer_kinds import Kinds
from dyntools.linalg.blockwise import BLOCK
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.metrics.optimizer.denominator import UNSEEN
from dyntools.metrics.optimizer.second_moment_compression import (
    METRIC,
    NO_UPDATE,
    NOT_MOVED,
    NOTHING,
)
from dyntools.snapshot import Snapshot
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, without
from tests.processes import FIXTURES

Shape = tuple[int, ...]


def of(v: Tensor, m: Tensor | None = None, **settings: object) -> Measurement:
    first = {"w": gaussian(tuple(v.shape), 9) if m is None else m}
    return measure(adam_snapshot({"w": v}, first, **settings), METRIC)  # type: ignore[arg-type]


def column(found: Measurement, key: str = "", layer: int = 0) -> dict[str, float]:
    """By label, without what the tensor does not have."""
    array = found.beside[key] if key else found.values
    pairs = zip(found.coords["form"], array[layer].tolist(), strict=True)
    return {str(label): value for label, value in pairs if not math.isnan(value)}


def lognormal(shape: Shape, seed: int = 0, spread: float = 1.5) -> Tensor:
    return gaussian(shape, seed).double().mul(spread).exp()


def by_hand(v: NDArray[np.float64], label: str) -> NDArray[np.float64]:
    """v' as its definition has it."""
    if label.startswith("axes"):
        axes = tuple(int(axis) for axis in label[5:].split(","))
        return np.broadcast_to(v.mean(axes, keepdims=True), v.shape)
    if label == "factored":
        rows, columns = v.mean(-1, keepdims=True), v.mean(-2, keepdims=True)
        return np.asarray(rows * columns / v.mean((-2, -1), keepdims=True))
    if label == "adam-mini":  # of a tensor of an unknown kind
        return np.full(v.shape, v.mean())
    assert label == "subset-norm", label
    return by_hand(v, "axes 1" if v.shape[0] >= v.shape[1] else "axes 0")


@pytest.mark.parametrize("scale", [1e-24, 1e-12, 1.0])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30)], ids=str)
def test_against_a_dense_reference(shape: Shape, scale: float) -> None:
    v, m = lognormal(shape) * scale, gaussian(shape, 1).double() * math.sqrt(scale)
    steps, beta1, beta2, eps = 7, 0.8, 0.95, 1e-8
    found = of(v, m, steps=steps, betas=(beta1, beta2), eps=eps)
    v_hat, m_hat = v.numpy() / (1 - beta2**steps), m.numpy() / (1 - beta1**steps)
    u = m_hat / (np.sqrt(v_hat) + eps)
    labels = ("axes 0", "axes 1", "axes 0,1", "factored", "adam-mini", "subset-norm")
    assert tuple(found.coords["form"]) == (*labels, "8-bit")
    for label in labels:
        again = by_hand(v_hat, label)
        moved = m_hat / (np.sqrt(again) + eps)
        error = np.linalg.norm(moved - u) / np.linalg.norm(u)
        cosine = float((moved * u).sum() / np.linalg.norm(moved) / np.linalg.norm(u))
        of_v = np.linalg.norm((again - v_hat) / scale) / np.linalg.norm(v_hat / scale)
        assert column(found)[label] == pytest.approx(error, rel=1e-9), label
        assert column(found, "cosine")[label] == pytest.approx(cosine, rel=1e-9), label
        assert column(found, "v_error")[label] == pytest.approx(of_v, rel=1e-9), label


def test_tensors_of_many_blocks_are_summed_as_a_whole() -> None:
    shape = (3, BLOCK // 2 + 5)
    v, m = lognormal(shape), gaussian(shape, 1).double()
    u, moved = m / v.sqrt(), m / v.mean(1, keepdim=True).sqrt()
    found = of(v, m, eps=0.0)
    assert column(found)["axes 1"] == pytest.approx(float((moved - u).norm() / u.norm()), rel=1e-9)


def test_two_values_by_hand() -> None:
    """v is 1 or 9, and 5 on average; m is √v, so u is 1 everywhere, u' is 1/√5 or 3/√5."""
    v = torch.tensor([[1.0, 9.0], [9.0, 1.0]]).repeat(2, 2)
    found = of(v, v.sqrt(), eps=0.0)
    a, b = 1 / math.sqrt(5), 3 / math.sqrt(5)
    error = math.sqrt(((a - 1) ** 2 + (b - 1) ** 2) / 2)
    cosine = (a + b) / 2 / math.sqrt((a * a + b * b) / 2)
    for label in ("axes 0", "axes 1", "axes 0,1", "factored", "adam-mini"):
        assert column(found)[label] == pytest.approx(error, rel=1e-7), label
        assert column(found, "cosine")[label] == pytest.approx(cosine, rel=1e-7), label
        assert column(found, "v_error")[label] == pytest.approx(math.sqrt(16 / 41)), label


def test_a_wrong_length_is_an_error_in_the_right_direction() -> None:
    """Only weights with v = 1 move: u' is u/√5, so that the cosine is 1 and the error is not 0."""
    v = torch.tensor([[1.0, 9.0], [9.0, 1.0]]).repeat(2, 2)
    found = of(v, (v == 1.0).float(), eps=0.0)
    assert column(found)["axes 0,1"] == pytest.approx(1 - 1 / math.sqrt(5), rel=1e-12)
    assert column(found, "cosine")["axes 0,1"] == pytest.approx(1.0, abs=1e-14)


def test_the_error_is_never_below_the_sine_of_the_angle() -> None:
    found = of(lognormal((9, 11)))
    error, cosine = column(found), column(found, "cosine")
    for label in error:
        assert error[label] >= math.sqrt(1 - cosine[label] ** 2) - 1e-12, label


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (2,), (1, 2), (0, 2), (0, 1, 2)], ids=str)
def test_constant_along_axes_is_kept_without_error(axes: tuple[int, ...]) -> None:
    shape = (5, 6, 7)
    v = lognormal(tuple(1 if i in axes else n for i, n in enumerate(shape))).float().expand(shape)
    found = of(v)
    label = "axes " + ",".join(map(str, axes))
    assert column(found)[label] < 1e-14
    assert column(found, "cosine")[label] == pytest.approx(1.0, abs=1e-14)
    assert column(found, "v_error")[label] < 1e-14
    others = {other for other in column(found) if other.startswith("axes")} - {label}
    for other in others:
        named = {int(axis) for axis in other[5:].split(",")}
        assert (column(found)[other] < 1e-14) == (named <= set(axes)), other


def test_rank_one_is_factored_without_error() -> None:
    v = lognormal((40, 1)) * lognormal((1, 30), 1)
    found = of(v)
    assert column(found)["factored"] < 1e-13
    assert column(found, "v_error")["factored"] < 1e-13
    assert column(found)["axes 1"] > 0.3
    # The mean over a row leaves a_i·mean(b): the error of v is that of b alone.
    b = lognormal((1, 30), 1)
    assert column(found, "v_error")["axes 1"] == pytest.approx(
        float((b - b.mean()).norm() / b.norm()), rel=1e-9
    )


@pytest.mark.parametrize("shape", [(6, 5), (8, 4, 3, 3)], ids=str)
def test_factors_are_those_of_torch_adafactor(shape: Shape) -> None:
    """From the row_var and col_var that torch holds after its first step."""
    weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    gradient = 10 * gaussian(shape, 3).double()
    weight.grad = gradient
    optimizer = torch.optim.Adafactor([weight])
    optimizer.step()  # type: ignore[no-untyped-call]
    rows, columns = (optimizer.state[weight][key] for key in ("row_var", "col_var"))
    v, m = gradient.square(), gaussian(shape, 4).double()
    again = rows @ columns / rows.mean(-2, keepdim=True)
    u, moved = m / v.sqrt(), m / again.sqrt()
    expected = float((moved - u).norm() / u.norm())
    assert column(of(v, m, eps=0.0))["factored"] == pytest.approx(expected, rel=1e-9)


def transformer(second: Mapping[str, Tensor], **config: object) -> Measurement:
    first = {name: gaussian(tuple(v.shape), 9) for name, v in second.items()}
    return measure(replace(adam_snapshot(second, first), config=config), METRIC)


def test_a_head_of_adam_mini_is_one_number() -> None:
    """Constant within each of the heads: no error with their number, some with half of it."""
    of_heads = torch.tensor([1.0, 5.0, 2.0, 9.0])
    v = of_heads.repeat_interleave(3)[:, None].expand(12, 8)
    name = "layers.0.self_attn.q_proj.weight"
    right, wrong = transformer({name: v}, n_head=4), transformer({name: v}, n_head=2)
    assert column(right)["adam-mini"] < 1e-14
    assert column(right, "kept")["adam-mini"] == 4
    assert column(right, "bytes")["adam-mini"] == 16
    assert column(wrong)["adam-mini"] > 0.1
    pairs = torch.tensor([3.0, 5.5]).repeat_interleave(6)[:, None]
    assert column(wrong, "v_error")["adam-mini"] == pytest.approx(
        float((pairs - v).norm() / v.norm())
    )


def test_rows_of_output_of_gpt2_are_columns() -> None:
    name, v = "transformer.h.0.mlp.c_fc.weight", lognormal((8, 32))
    found = transformer({name: v}, model_type="gpt2", n_head=2)
    assert column(found)["adam-mini"] == column(found)["axes 0"]
    assert column(found, "axis")["adam-mini"] == 0
    torch_layout = transformer({name: v}, block_size=4)
    assert column(torch_layout)["adam-mini"] == column(torch_layout)["axes 1"]


def test_blocks_that_are_not_known_keep_their_place_with_a_reason() -> None:
    names = "layers.0.self_attn.q_proj.weight", "h.0.attn.c_attn.weight"
    found = transformer({name: lognormal((12, 4)) for name in names})
    at = found.coords["form"].index("adam-mini")
    assert found.status[:, at].tolist() == [Status.skipped, Status.skipped]
    assert "number of heads" in found.skipped[names[0]]
    assert "query, key and value" in found.skipped[names[1]]
    assert (np.delete(found.status, at, 1) == Status.ok).all()


def test_a_persons_kinds_decide_the_blocks() -> None:
    v = lognormal((12, 8))
    snapshot = adam_snapshot({"w": v}, {"w": gaussian((12, 8), 9)})
    found = measure(replace(snapshot, kinds=Kinds((("w", "mlp up"),))), METRIC)
    assert column(found)["adam-mini"] == column(found)["axes 1"]
    assert column(of(v))["adam-mini"] == column(of(v))["axes 0,1"]


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**20])
def test_scale_does_not_matter(factor: float) -> None:
    """m by f, v by f², eps by f: the same update."""
    v, m = lognormal((13, 17)), gaussian((13, 17), 1).double()
    one, other = of(v, m, eps=1e-3), of(v * factor**2, m * factor, eps=1e-3 * factor)
    for key in ("", "cosine", "v_error"):
        for label, value in column(one, key).items():
            assert column(other, key)[label] == pytest.approx(value, rel=1e-11), (key, label)


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    """But for 8 bits, whose blocks are consecutive weights."""
    v, m = lognormal((13, 17)), gaussian((13, 17), 1).double()
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randperm(n, generator=generator) for n in (13, 17))
    one, other = of(v, m), of(v[rows][:, columns], m[rows][:, columns])
    for label, value in column(one).items():
        if label != "8-bit":
            assert column(other)[label] == pytest.approx(value, rel=1e-11), label


def test_bytes_by_hand() -> None:
    found = of(lognormal((30, 20)))
    assert column(found, "bytes") == {
        "axes 0": 80, "axes 1": 120, "axes 0,1": 4, "factored": 200,
        "adam-mini": 4, "subset-norm": 120, "8-bit": 600 + 3 * 4,
    }  # fmt: skip
    assert set(column(found, "bytes_full").values()) == {2400.0}
    assert column(found, "kept")["8-bit"] == 600
    assert column(found, "axis") == {"axes 0": 0, "axes 1": 1, "subset-norm": 1}


def test_forms_that_save_nothing_are_left_out() -> None:
    assert list(column(of(lognormal((5, 1))))) == ["axes 0", "adam-mini", "8-bit"]
    assert list(column(of(lognormal((7,))))) == ["axes 0", "adam-mini", "8-bit"]


def test_a_state_in_8_bits_loses_nothing_in_8_bits() -> None:
    last = list(snapshots(open_run(FIXTURES / "runs" / "adam8bit")))[-1]
    found = measure(last.only("0.weight"), METRIC)
    assert column(found)["8-bit"] < 1e-6
    assert column(found)["factored"] > 0.1
    assert "rounded to 8 bits" in found.method


def test_zeros_that_8_bits_make_are_divided_by_eps() -> None:
    """v below 1.6e-7 of its block is stored as 0, and the update is m/eps there."""
    v, m = torch.ones(256), torch.ones(256)
    v[7], m[7] = 1e-8, 1e-4
    found = of(v.double(), m.double(), eps=1e-6)
    expected = (1e-4 / 1e-6 - 1e-4 / 1.01e-4) / math.sqrt(256)
    assert column(found)["8-bit"] == pytest.approx(expected, rel=1e-4)
    none = of(v.double(), m.double(), eps=0.0)
    at = none.coords["form"].index("8-bit")
    assert none.status[0, at] == Status.failed
    assert "zero where the update is not" in none.skipped["w"]


def test_amsgrad_is_measured_on_what_it_divides_by() -> None:
    weight = nn.Parameter(gaussian((6, 4), 0))
    optimizer = torch.optim.AdamW([weight], amsgrad=True)
    for scale in (10.0, 0.1):
        weight.grad = scale * gaussian((6, 4), int(scale) + 1)
        optimizer.step()
    model = nn.Module()
    model.w = weight
    found = measure(snapshot_of(model, 2, optimizer=optimizer), METRIC)
    largest = optimizer.state[weight]["max_exp_avg_sq"].double()
    expected = float((largest - largest.mean()).norm() / largest.norm())
    assert column(found, "v_error")["axes 0,1"] == pytest.approx(expected, rel=1e-9)


def test_without_a_first_moment_the_error_of_v_is_left() -> None:
    v = lognormal((6, 4))
    found = measure(without(adam_snapshot({"w": v}), "exp_avg"), METRIC)
    assert (found.status == Status.skipped).all()
    assert found.skipped == {"w": NO_UPDATE}
    assert column(found) == {}
    assert column(found, "cosine") == {}
    assert column(found, "v_error") == column(of(v), "v_error")
    assert column(found, "bytes") == column(of(v), "bytes")


def test_a_first_moment_of_zero_is_no_update() -> None:
    found = of(lognormal((6, 4)), torch.zeros(6, 4))
    assert (found.status == Status.failed).all()
    assert found.skipped == {"w": NOT_MOVED}
    assert len(column(found, "v_error")) == 7


@pytest.mark.parametrize(
    ("bad", "reason"), [(math.nan, "NaN or inf"), (math.inf, "NaN or inf"), (-1.0, "negative")]
)
def test_what_is_no_second_moment_fails(bad: float, reason: str) -> None:
    v = lognormal((6, 4))
    v[2, 1] = bad
    found = of(v)
    assert (found.status == Status.failed).all()
    assert reason in found.skipped["w"]


def test_moments_in_another_order_of_memory_are_the_same_moments() -> None:
    """A state in channels_last was once compared by m̂ itself in the place of the update."""
    v, m = lognormal((6, 4, 3, 3)), gaussian((6, 4, 3, 3), 9)
    last = [tensor.contiguous(memory_format=torch.channels_last) for tensor in (v, m)]
    assert column(of(*last)) == column(of(v, m))
    assert column(of(*last), "cosine") == column(of(v, m), "cosine")


def test_moments_that_give_no_update_fail() -> None:
    m = gaussian((6, 4), 0)
    m[0, 0] = math.inf
    assert "not finite" in of(lognormal((6, 4)), m).skipped["w"]
    assert of(torch.zeros(6, 4)).skipped == {"w": UNSEEN}
    other = of(lognormal((6, 4)), torch.ones(4, 6))
    assert "another shape" in other.skipped["w"]
    assert (other.status == Status.failed).all()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_one_value_is_left_out(shape: Shape) -> None:
    found = of(torch.ones(shape))
    assert found.skipped == {"w": NOTHING}
    assert not found.values.size


def test_without_a_second_moment_the_place_is_kept() -> None:
    found = measure(without(adam_snapshot({"w": torch.ones(4, 3)}), "exp_avg_sq"), METRIC)
    assert (found.status == Status.skipped).all()
    assert found.values.shape == (1, 7)
    assert "no second moment" in found.skipped["w"]


def test_what_was_estimated_is_said() -> None:
    snapshot: Snapshot = adam_snapshot(
        {"w": lognormal((4, 3))}, {"w": torch.ones(4, 3)}, estimated="estimated from 7 gradients"
    )
    assert measure(snapshot, METRIC).method == "estimated from 7 gradients"


def test_matrix_and_vector_side_by_side() -> None:
    second = {"w": lognormal((6, 4)), "b": lognormal((16,))}
    first = {name: torch.ones_like(v) for name, v in second.items()}
    found = measure(adam_snapshot(second, first), METRIC)
    absent = (found.status == Status.absent)[1]
    there = {x for x, gone in zip(found.coords["form"], absent, strict=True) if not gone}
    assert there == {"axes 0", "adam-mini", "subset-norm", "8-bit"}
