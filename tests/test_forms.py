"""Forms: what they store is what an optimizer of that form stores, and projections stay put."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dyntools.forms import (
    EIGHT_BIT,
    FACTORED,
    FULL,
    Form,
    expanded,
    form_of,
    in_blocks,
    mean_over,
    reduced,
)

SHAPES = [(12,), (6, 10), (4, 6, 5), (3, 4, 2, 5)]
Shape = tuple[int, ...]


def second_moment(shape: Shape, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).mul(2).exp()


def forms(shape: Shape) -> list[Form]:
    """Every form that fits, without 8 bits."""
    axes = range(len(shape))
    sets = [[a for a in axes if mask >> a & 1] for mask in range(1, 2 ** len(shape))]
    fitting = [FULL, in_blocks(1), in_blocks(2), *(mean_over(*some) for some in sets)]
    return [*fitting, FACTORED] if len(shape) > 1 else fitting


EVERY = [(shape, form) for shape in SHAPES for form in forms(shape)]
every_form = pytest.mark.parametrize(
    ("shape", "form"), EVERY, ids=lambda x: str(getattr(x, "label", x))
)


def read_back(form: Form, v: Tensor) -> Tensor:
    return expanded(form, reduced(form, v), v.shape).expand(v.shape)


@every_form
def test_bytes_and_values_are_those_of_the_stored_tensors(shape: Shape, form: Form) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        kept = reduced(form, second_moment(shape).to(dtype))
        assert form.values(shape) == sum(tensor.numel() for tensor in kept)
        assert form.bytes(shape, dtype.itemsize) == sum(tensor.nbytes for tensor in kept)
        assert {tensor.dtype for tensor in kept} == {dtype}


@every_form
def test_once_reduced_nothing_more_is_lost(shape: Shape, form: Form) -> None:
    once = read_back(form, second_moment(shape))
    torch.testing.assert_close(read_back(form, once), once, rtol=1e-13, atol=0.0)


@every_form
def test_the_mean_is_kept(shape: Shape, form: Form) -> None:
    v = second_moment(shape)
    assert float(read_back(form, v).mean()) == pytest.approx(float(v.mean()), rel=1e-13)


@every_form
def test_reducing_each_step_is_reducing_in_the_end(shape: Shape, form: Form) -> None:
    """The running mean of what is stored is what is stored of the running mean."""
    of_full, of_kept = torch.zeros(shape, dtype=torch.float64), None
    for step in range(5):
        squares = second_moment(shape, step)
        of_full = 0.9 * of_full + 0.1 * squares
        now = reduced(form, squares)
        of_kept = [
            0.9 * (0.0 if of_kept is None else old) + 0.1 * new
            for old, new in zip(of_kept or now, now, strict=True)
        ]
    assert of_kept is not None
    for kept, expected in zip(of_kept, reduced(form, of_full), strict=True):
        torch.testing.assert_close(kept, expected, rtol=1e-13, atol=0.0)


@every_form
def test_scale_and_order_within_a_slice_do_not_matter(shape: Shape, form: Form) -> None:
    v = second_moment(shape)
    torch.testing.assert_close(read_back(form, 3 * v), 3 * read_back(form, v), rtol=1e-13, atol=0)
    if form.kind == "axes":
        for axis in form.axes:
            torch.testing.assert_close(
                read_back(form, v.flip(axis)), read_back(form, v), rtol=1e-13, atol=0.0
            )


@every_form
def test_zeros_are_read_back_as_zeros(shape: Shape, form: Form) -> None:
    assert not read_back(form, torch.zeros(shape)).any()


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_rank_one_is_factored_without_loss(shape: Shape) -> None:
    rows, columns = second_moment((*shape[:-1], 1)), second_moment((*shape[:-2], 1, shape[-1]), 1)
    v = rows * columns
    torch.testing.assert_close(read_back(FACTORED, v), v, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_factors_are_those_of_torch_adafactor(shape: Shape) -> None:
    """After one step with β2_t = 0, as at its first: row_var, col_var, and the step it takes.

    The gradients are large: torch does not let the mean of the rows be below 1.2e-7.
    """
    weight = torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    gradient = second_moment(shape)
    weight.grad = gradient.clone()
    optimizer = torch.optim.Adafactor([weight], lr=1.0, d=1e9, weight_decay=0.0)
    optimizer.step()  # type: ignore[no-untyped-call]
    rows, columns = reduced(FACTORED, gradient.square())
    state = optimizer.state[weight]
    torch.testing.assert_close(state["row_var"], rows, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(state["col_var"], columns, rtol=1e-12, atol=0.0)
    step = gradient / expanded(FACTORED, (rows, columns), shape).sqrt()
    # A weight of zero moves by eps2 = 1e-3 of it.
    torch.testing.assert_close(weight.detach(), -1e-3 * step, rtol=1e-10, atol=0.0)


def test_blocks_are_runs_of_consecutive_weights() -> None:
    v = torch.arange(24.0).reshape(4, 6)
    (kept,) = reduced(in_blocks(2), v)
    assert kept.tolist() == [5.5, 17.5]
    assert read_back(in_blocks(2), v)[:, 0].tolist() == [5.5, 5.5, 17.5, 17.5]
    # A block a row is the mean over axis 1.
    assert torch.equal(read_back(in_blocks(4), v), read_back(mean_over(1), v))
    # They are those of the tensor, not of its memory.
    assert torch.equal(reduced(in_blocks(2), v.t().contiguous().t())[0], kept)


def test_eight_bits_are_a_byte_and_a_scale_for_256() -> None:
    assert EIGHT_BIT.bytes((16, 16)) == 256 + 4
    assert EIGHT_BIT.bytes((257,)) == 257 + 8
    assert EIGHT_BIT.bytes((256,), itemsize=2) == 256 + 4
    assert EIGHT_BIT.values((257,)) == 257


def test_bytes_by_hand() -> None:
    assert FULL.bytes((6, 10)) == 240
    assert mean_over(0).bytes((6, 10)) == 40
    assert mean_over(0, 1).bytes((6, 10)) == 4
    assert FACTORED.bytes((6, 10)) == 64
    assert FACTORED.bytes((3, 4, 2, 5)) == 4 * 12 * 7
    assert in_blocks(5).bytes((6, 10), itemsize=2) == 10


@every_form
def test_labels_are_read_back(shape: Shape, form: Form) -> None:
    assert form_of(form.label) == form


def test_labels_of_8_bits_and_of_unsorted_axes() -> None:
    assert form_of("8-bit") == EIGHT_BIT
    assert form_of("axes 2,0").label == mean_over(2, 0).label == "axes 0,2"


@pytest.mark.parametrize(
    "label",
    ["", "axes", "axes ", "axes -1", "axes 0 1", "axes 0,0", "blocks", "blocks 0", "half", "Full"],
)
def test_labels_that_are_none(label: str) -> None:
    with pytest.raises(ValueError, match=r"way to keep|axis twice"):
        form_of(label)


def test_what_fits() -> None:
    assert [
        form.fits((4,)) for form in (FULL, EIGHT_BIT, FACTORED, mean_over(0), mean_over(1))
    ] == [*(True, True, False, True, False)]
    assert [in_blocks(n).fits((4, 3)) for n in (0, 1, 5, 6, 12, 24)] == [
        *(False, True, False, True, True, False)
    ]
    assert FACTORED.fits((4, 3, 2))
    assert not Form("axes").fits((4, 3))
