"""SNR of second moments: NumPy in 80 bits, closed forms, the law of Gaussian gradients, goldens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools import open_run, snapshots
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.metrics.optimizer.denominator import UNSEEN
from dyntools.metrics.optimizer.second_moment_snr import DROPPED, METRIC, NOTHING, corrected
from dyntools.moments import effective_samples
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, without
from tests.processes import FIXTURES


def of(v: Tensor, **settings: object) -> dict[str, float]:
    """SNR by label of axes."""
    return values(measure(adam_snapshot({"w": v}, **settings), METRIC))  # type: ignore[arg-type]


def values(found: Measurement, key: str = "") -> dict[str, float]:
    array = found.beside[key] if key else found.values
    return dict(zip(found.coords["axes"], array[0].tolist(), strict=True))  # type: ignore[arg-type]


def reference(v: Tensor) -> dict[str, tuple[float, float]]:
    """Ratio and its standard error over every set of axes, by its definition in 80 bits."""
    exact = v.double().numpy().astype(np.longdouble)
    found = {}
    for k in range(1, v.ndim + 1):
        for axes in combinations(range(v.ndim), k):
            ratio = np.atleast_1d(exact.mean(axes) ** 2 / exact.var(axes)).ravel()
            error = ratio.std(ddof=1) / math.sqrt(ratio.size) if ratio.size > 1 else math.nan
            found[",".join(map(str, axes))] = (float(ratio.mean()), float(error))
    return found


def assert_as_reference(v: Tensor, rtol: float = 1e-10) -> None:
    found = measure(adam_snapshot({"w": v}), METRIC)
    expected = reference(v)
    assert found.coords["axes"] == tuple(expected)
    assert (found.status == Status.ok).all()
    assert found.error is not None
    np.testing.assert_allclose(found.values[0], [x for x, _ in expected.values()], rtol=rtol)
    np.testing.assert_allclose(found.error[0], [e for _, e in expected.values()], rtol=10 * rtol)


def second_moment(shape: Sequence[int], beta2: float, steps: int, scale: Tensor | float) -> Tensor:
    """v after `steps` independent Gaussian gradients with standard deviation √scale, float64."""
    generator = torch.Generator().manual_seed(steps)
    v = torch.zeros(*shape, dtype=torch.float64)
    for _ in range(steps):
        g2 = torch.randn(*shape, generator=generator, dtype=torch.float64).square_()
        v.mul_(beta2).add_(g2.mul_(scale), alpha=1.0 - beta2)
    return v


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-24, 1e-20, 1.0, 1e20])
def test_all_15_sets_of_axes_of_a_convolution(scale: float) -> None:
    v = gaussian((8, 6, 5, 4), 0).square() * scale
    assert_as_reference(v)
    assert len(of(v)) == 15


def test_scales_from_denormals_to_1e10_in_one_tensor() -> None:
    v = gaussian((24, 12, 5), 0).square() * torch.logspace(-40, 10, 24)[:, None, None]
    assert_as_reference(v)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(30, 20), (5, 4, 3, 6), (400,)], ids=str)
def test_every_precision_of_the_state(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    assert_as_reference(gaussian(shape, 1).double().square().to(dtype))


def test_rank_one_structure_in_closed_form() -> None:
    """v_ij = a_i b_j: SNR over axis 1 is mean(b)²/var(b), whatever a; and the other way round."""
    a, b = gaussian((300,), 0).double().exp(), (0.3 * gaussian((200,), 1)).double().exp()
    found = of(a[:, None] * b)
    alone = {key: float(x.mean() ** 2 / x.var(correction=0)) for key, x in (("0", a), ("1", b))}
    assert found["0"] == pytest.approx(alone["0"], rel=1e-12)
    assert found["1"] == pytest.approx(alone["1"], rel=1e-12)
    # E v² is a product as well: 1 + 1/SNR multiplies.
    both = (1 + 1 / alone["0"]) * (1 + 1 / alone["1"]) - 1
    assert found["0,1"] == pytest.approx(1 / both, rel=1e-12)


@pytest.mark.parametrize(("beta2", "steps"), [(0.95, 1), (0.95, 10), (0.95, 120), (0.999, 100)])
def test_noise_alone_gives_half_of_n_eff(beta2: float, steps: int) -> None:
    """0.5 after one step, whatever the axes."""
    v = second_moment((400, 500), beta2, steps, 1.0)
    snapshot = adam_snapshot({"w": v}, steps=steps, betas=(0.9, beta2))
    found = measure(snapshot, METRIC)
    n_eff = effective_samples(beta2, steps)
    assert values(found, "n_eff") == dict.fromkeys(("0", "1", "0,1"), n_eff)
    for label, snr in values(found).items():
        assert snr == pytest.approx(n_eff / 2, rel=0.04), label
    assert min(values(found, "corrected").values()) > 4 * n_eff  # nothing but noise is left


def test_the_ceiling() -> None:
    for beta2, expected in ((0.95, 19.5), (0.999, 999.5), (0.0, 0.5)):
        found = measure(
            adam_snapshot({"w": gaussian((4, 3), 0).square()}, betas=(0.9, beta2)), METRIC
        )
        assert values(found, "ceiling")["0,1"] == pytest.approx(expected, rel=1e-9)
        # The state is that of 10^9 steps.
        assert values(found, "n_eff")["0"] / 2 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("beta2", "steps", "raw", "clean"),
    [(0.95, 5, 0.791, 1.627), (0.95, 20, 1.242, 1.592), (0.999, 100, 1.505, 1.583)],
)
def test_corrected_is_near_the_truth_where_the_raw_ratio_is_not(
    beta2: float, steps: int, raw: float, clean: float
) -> None:
    """Gradients whose variances are lognormal (0.7): the SNR of these is 1/(e^0.49 - 1) = 1.582.

    A mean over finite rows is a little above it, and seeds differ by a few percent.
    """
    scale = (0.7 * gaussian((256, 2048), 5).double()).exp()
    truth = float((scale.mean(1) ** 2 / scale.var(1, correction=0)).mean())
    v = second_moment((256, 2048), beta2, steps, scale)
    found = measure(adam_snapshot({"w": v}, steps=steps, betas=(0.9, beta2)), METRIC)
    assert truth == pytest.approx(1.595, rel=0.02)
    assert values(found)["1"] == pytest.approx(raw, rel=0.03)
    assert values(found, "corrected")["1"] == pytest.approx(clean, rel=0.04)
    assert values(found, "corrected")["1"] == pytest.approx(truth, rel=0.04)


def test_the_correction_by_hand() -> None:
    assert corrected(2.0, 8.0) == pytest.approx(1.25 / 0.25)
    assert corrected(4.0, 8.0) == math.inf  # no more scatter than noise makes
    assert corrected(5.0, 8.0) == math.inf
    assert corrected(math.inf, 8.0) == math.inf
    assert corrected(1.6, math.inf) == pytest.approx(1.6)


def test_constant_everywhere_is_perfectly_compressible() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        found = measure(adam_snapshot({"w": torch.full((30, 7, 3), 0.1, dtype=dtype)}), METRIC)
        assert (found.values == math.inf).all()
        assert (found.status == Status.ok).all()
        assert (found.beside["constant"] == 1.0).all()
        assert (found.beside["corrected"] == math.inf).all()


def test_constant_and_zero_slices_are_counted_and_left_out_of_the_mean() -> None:
    v = gaussian((8, 50), 0).square()
    rest = float((v[4:].double().mean(1) ** 2 / v[4:].double().var(1, correction=0)).mean())
    v[0], v[1:4] = 0.3, 0.0
    found = measure(adam_snapshot({"w": v}), METRIC)
    assert values(found)["1"] == pytest.approx(rest, rel=1e-12)
    assert values(found, "constant") == {"0": 0.0, "1": 1 / 8, "0,1": 0.0}
    assert values(found, "zero") == {"0": 0.0, "1": 3 / 8, "0,1": 0.0}
    assert values(found, "kept") == {"0": 50, "1": 8, "0,1": 1}
    assert values(found, "size") == dict.fromkeys(("0", "1", "0,1"), 400)
    assert DROPPED in found.method


def test_rows_that_are_constant_or_zero_leave_nothing_to_lose() -> None:
    v = torch.tensor([1.0, 0.0, 3.0])[:, None].expand(3, 40)
    found = measure(adam_snapshot({"w": v}), METRIC)
    assert values(found)["1"] == math.inf
    assert values(found)["0"] == pytest.approx((4 / 3) ** 2 / (10 / 3 - (4 / 3) ** 2))


@pytest.mark.parametrize("exponent", [-60, -20, 7, 60])
def test_powers_of_two_do_not_change_a_bit(exponent: int) -> None:
    for dtype in (torch.float32, torch.float64):
        v = gaussian((70, 3, 9), 0).to(dtype).square()
        assert of(v) == of(v * 2.0**exponent)


def test_labels_skip_axes_of_length_one() -> None:
    assert list(of(gaussian((4, 1, 3), 0).square())) == ["0", "2", "0,2"]
    assert list(of(gaussian((50,), 0).square())) == ["0"]


def test_matrix_and_convolution_side_by_side() -> None:
    """Axes that a matrix has not are absent there, not missing values."""
    second = {name: gaussian(s, 0).square() for name, s in (("a", (4, 3)), ("b", (4, 3, 2)))}
    found = measure(adam_snapshot(second), METRIC)
    assert found.coords["axes"] == ("0", "1", "0,1", "2", "0,2", "1,2", "0,1,2")
    assert found.status.tolist() == [[0, 0, 0, 4, 4, 4, 4], [0] * 7]
    assert np.isnan(found.values[0, 3:]).all()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(math.nan, "NaN or inf"), (math.inf, "NaN or inf"), (-1e-9, "negative")],
)
def test_a_tensor_that_is_no_second_moment_fails(bad: float, reason: str) -> None:
    v = gaussian((4, 3), 0).square()
    v[1, 2] = bad
    found = measure(adam_snapshot({"w": v}), METRIC)
    assert (found.status == Status.failed).all()
    assert np.isnan(found.values).all()
    assert reason in found.skipped["w"]


def test_zero_everywhere_fails_with_its_reason() -> None:
    found = measure(adam_snapshot({"w": torch.zeros(4, 3)}), METRIC)
    assert (found.status == Status.failed).all()
    assert found.skipped == {"w": UNSEEN}
    assert "no gradient has reached" in UNSEEN


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_one_value_is_left_out(shape: tuple[int, ...]) -> None:
    found = measure(adam_snapshot({"w": torch.ones(shape)}), METRIC)
    assert found.skipped == {"w": NOTHING}
    assert not found.values.size


def test_without_a_second_moment_the_place_is_kept() -> None:
    found = measure(without(adam_snapshot({"w": torch.ones(4, 3)}), "exp_avg_sq"), METRIC)
    assert (found.status == Status.skipped).all()
    assert found.values.shape == (1, 3)
    assert "no second moment" in found.skipped["w"]


@pytest.mark.parametrize(
    ("run", "reason"), [("adafactor/torch", "factored"), ("digits-mlp", "not taken a step")]
)
def test_states_that_have_none_say_so(run: str, reason: str) -> None:
    first = next(iter(snapshots(open_run(FIXTURES / "runs" / run))))
    found = measure(first, METRIC)
    assert not (found.status == Status.ok).any()
    assert all(reason in sentence for sentence in found.skipped.values())
    assert found.skipped


def test_what_was_estimated_is_said() -> None:
    found = measure(
        adam_snapshot({"w": gaussian((4, 3), 0).square()}, estimated="estimated from 7 gradients"),
        METRIC,
    )
    assert found.method == "estimated from 7 gradients"


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(128, 5))
        optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
        for _ in range(7):
            optimizer.zero_grad()
            model(torch.randn(16, 3, 6, 6)).square().mean().backward()
            optimizer.step()
    return model, optimizer


def test_live_and_from_disk_the_bits_agree(tmp_path: Path) -> None:
    model, optimizer = trained()
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 7},
        tmp_path / "step-7.pt",
    )
    (stored,) = snapshots(open_run(tmp_path))
    a, b = measure(stored, METRIC), measure(snapshot_of(model, 7, optimizer=optimizer), METRIC)
    assert a.coords == b.coords
    assert (a.status == Status.ok).any()
    assert a.values.tobytes() == b.values.tobytes()
    assert a.error is not None
    assert b.error is not None
    assert a.error.tobytes() == b.error.tobytes()
    assert all(a.beside[key].tobytes() == b.beside[key].tobytes() for key in b.beside)
    assert values(a, "n_eff")["0"] == pytest.approx(effective_samples(0.95, 7))


@pytest.mark.parametrize("length", [10, 30])
def test_short_axes_give_too_large_a_ratio(length: int) -> None:
    """1/var of n normal values is n/(n-3) too large on average; the page says so."""
    v = 1.0 + 0.05 * gaussian((40_000, length), 0).double()
    assert of(v)["1"] == pytest.approx(400 * length / (length - 3), rel=0.01)


def test_the_standard_error_covers_the_scatter_over_seeds() -> None:
    found = [
        measure(adam_snapshot({"w": gaussian((60, 40), seed).square()}), METRIC)
        for seed in range(60)
    ]
    scatter = np.std([one.values[0, 1] for one in found], ddof=1)
    told = np.mean([one.error[0, 1] for one in found if one.error is not None])
    assert told == pytest.approx(scatter, rel=0.25)
