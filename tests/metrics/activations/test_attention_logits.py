"""Attention logits that are written down, whichever way the model computes its attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dyntools.activations.attention import Attention as Sums
from dyntools.activations.watching import watched
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import through

LOGITS = find("attention_logits")
B, H, T, D = 6, 3, 5, 4
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class Attention(nn.Module):
    """x (b, 2, H, T, D) holds q and k; the output has the shape of q."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x[:, 0], x[:, 1], x[:, 1])


def drawn(scale: float = 2.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(B, 2, H, T, D, generator=generator, dtype=torch.float64)


def measured(attend: Attend, x: Tensor | None = None, cut: int = 4) -> Measurement:
    x = drawn() if x is None else x
    return measure(through(Attention(attend), x.split(cut)), LOGITS)


def row(found: Measurement) -> dict[str, float]:
    assert found.coords["layer"] == ("function",), found.skipped
    return {"value": found.values[0]} | {name: b[0] for name, b in found.beside.items()}


def reference(z: NDArray[np.float64], allowed: NDArray[np.bool_]) -> dict[str, float]:
    """By NumPy, query by query; z and allowed (b, h, t, s)."""
    allowed = np.broadcast_to(allowed, z.shape)
    entropies = np.full(z.shape[:3], np.nan)
    relative = np.full(z.shape[:3], np.nan)
    for at in np.ndindex(*z.shape[:3]):
        kept = z[at][allowed[at]]
        if len(kept):
            p = np.exp(kept - kept.max())
            p /= p.sum()
            entropies[at] = -(p[p > 0] * np.log(p[p > 0])).sum()
            relative[at] = entropies[at] / np.log(len(kept)) if len(kept) > 1 else np.nan
    return {
        "value": np.abs(z[allowed]).max(),
        "rms": np.sqrt((z[allowed] ** 2).mean()),
        "entropy": np.nanmean(entropies),
        "relative_entropy": np.nanmean(relative),
        "lowest_head": min(np.nanmean(relative[:, h]) for h in range(z.shape[1])),
        "heads": z.shape[1],
        "keys": allowed.sum(-1).max(),
    }


def scores(x: Tensor, scale: float = 1 / math.sqrt(D)) -> NDArray[np.float64]:
    return np.einsum("bhid,bhjd->bhij", x[:, 0].numpy(), x[:, 1].numpy()) * scale


EVERY = np.ones((T, T), dtype=bool)
PAST = np.tril(EVERY)
LOWER = torch.from_numpy(PAST)
ADDED = torch.zeros(T, T, dtype=torch.float64).masked_fill(~LOWER, torch.finfo(torch.float64).min)


def softmaxed(z: Tensor) -> Tensor:
    return F.softmax(z, dim=-1)


def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return softmaxed((q @ k.transpose(-1, -2) / math.sqrt(D)).masked_fill(~LOWER, -math.inf)) @ v


def overwriting(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    z = torch.matmul(q, k.mT)
    z *= 1 / math.sqrt(D)
    z += ADDED
    return torch.softmax(z.float(), -1).to(v.dtype) @ v


def by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads and examples on one axis, as OPT and BLOOM have them."""
    flat = [x.flatten(0, 1) for x in (q, k, v)]
    z = torch.baddbmm(ADDED[None], flat[0], flat[1].mT, beta=1.0, alpha=1 / math.sqrt(D))
    return torch.bmm(nn.Softmax(-1)(z), flat[2]).view(q.shape)


def einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    z = torch.einsum("bhid,bhjd->bhij", q * D**-0.5, k)
    z = torch.where(LOWER, z, torch.tensor(-1e9, dtype=z.dtype))
    return torch.einsum("bhij,bhjd->bhid", z.softmax(dim=-1), v)


def fused(**settings: object) -> Attend:
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **settings)  # type: ignore[arg-type]


CAUSAL = {
    "eager": eager,
    "in place": overwriting,
    "heads in front": by_heads,
    "einsum": einsum,
    "fused": fused(is_causal=True),
    "fused, mask": fused(attn_mask=LOWER),
    "fused, added": fused(attn_mask=ADDED.expand(1, 1, T, T)),
}


def with_masks_of(mask: float, cast: torch.dtype = torch.float64) -> Attend:
    """Written out, with an added mask of the past."""
    added = torch.zeros(T, T, dtype=cast).masked_fill(~LOWER, mask)
    return lambda q, k, v: softmaxed((q @ k.mT / math.sqrt(D)).to(cast) + added).double() @ v


MASKS = [-math.inf, torch.finfo(torch.float32).min, -1e9, -65504.0, -1e4]


@pytest.mark.parametrize("mask", MASKS)
def test_masks_in_use_are_told_from_scores(mask: float) -> None:
    x = drawn(20.0)
    assert row(measured(with_masks_of(mask), x)) == pytest.approx(reference(scores(x), PAST))


@pytest.mark.parametrize(
    "name", ["eager", "einsum", "fused", "fused, mask", "fused, added", "-1e9"]
)
def test_scores_of_a_run_that_diverges_are_no_masks(name: str) -> None:
    """All below -5000 was taken for masked, where the largest is what tells divergence."""
    x = drawn(100.0)
    x = x * math.sqrt(2e4 / np.abs(scores(x)).max())
    z = scores(x)
    assert (z[..., PAST] < -6e3).sum() > 10
    found = row(measured(with_masks_of(-1e9) if name == "-1e9" else CAUSAL[name], x))
    assert found == pytest.approx(reference(z, PAST), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["eager", "fused", "fused, -1e4"])
def test_scores_that_are_all_far_below_zero_are_scores(name: str) -> None:
    x = (
        drawn(0.1)
        + 70.7 * torch.tensor([1.0, -1.0], dtype=torch.float64)[None, :, None, None, None]
    )
    z = scores(x)
    assert z.max() < -9e3
    old = torch.zeros(T, T, dtype=torch.float64).masked_fill(~LOWER, -1e4)
    attend = fused(attn_mask=old) if name == "fused, -1e4" else CAUSAL[name]
    assert row(measured(attend, x)) == pytest.approx(reference(z, PAST), rel=1e-5)


@pytest.mark.parametrize("name", list(CAUSAL))
def test_causal_attention_against_numpy_by_every_route(name: str) -> None:
    tolerance = 1e-5 if name == "in place" else 1e-11
    expected = reference(scores(drawn()), PAST)
    assert row(measured(CAUSAL[name])) == pytest.approx(expected, rel=tolerance)


def test_orthogonal_queries_see_all_keys_alike() -> None:
    x = torch.zeros(B, 2, H, T, D, dtype=torch.float64)
    x[:, 0, ..., 0], x[:, 1, ..., 1] = 3.0, 5.0
    found = row(measured(fused(), x))
    assert found["value"] == 0.0
    assert found["entropy"] == pytest.approx(math.log(T), rel=1e-12)
    assert found["relative_entropy"] == pytest.approx(1.0, rel=1e-12)
    past = row(measured(fused(is_causal=True), x))
    assert past["entropy"] == pytest.approx(np.mean(np.log(np.arange(1, T + 1))), rel=1e-12)
    assert past["relative_entropy"] == pytest.approx(1.0, rel=1e-12)


def test_one_key_apart_from_the_others_has_the_closed_form() -> None:
    """z = a for one of n keys and zero else: H = ln(e^a + n - 1) - a e^a / (e^a + n - 1)."""
    a = 3.0
    x = torch.zeros(B, 2, H, T, D, dtype=torch.float64)
    x[:, 0, ..., 0], x[:, 1, :, 2, 0] = a * math.sqrt(D), 1.0
    found = row(measured(fused(), x))
    total = math.exp(a) + T - 1
    assert found["value"] == pytest.approx(a, rel=1e-12)
    entropy = math.log(total) - a * math.exp(a) / total
    assert found["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert found["rms"] == pytest.approx(a / math.sqrt(T), rel=1e-12)


def test_normal_scores_leave_the_entropy_of_their_spread() -> None:
    """z ~ N(0, σ²) over n keys: ln Z → ln n + σ²/2 and E_p z → σ², so H → ln n - σ²/2."""
    sigma, keys = 1.0, 20000
    x = torch.ones(2, 2, 1, keys, 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    x[:, 1] = torch.randn(2, 1, keys, 1, generator=generator, dtype=torch.float64)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(sigma * q[:, :, :3], k, v, scale=1.0)

    found = row(measured(attend, x))
    assert found["entropy"] == pytest.approx(math.log(keys) - sigma**2 / 2, abs=0.02)
    assert found["rms"] == pytest.approx(sigma, rel=0.02)


def test_many_queries_give_the_largest_of_all_and_the_rest_of_an_even_selection() -> None:
    """Of 150 queries every fifth, the last among them; the others hold the largest score."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(2, 2, 1, 150, 2, generator=generator, dtype=torch.float64)
    x[1, 0, 0, 7], x[1, 1, 0, 0] = 50.0, 1.0
    found = row(measured(fused(is_causal=True), x))
    z, past = scores(x, 1 / math.sqrt(2)), np.tril(np.ones((150, 150), dtype=bool))
    some = reference(z[:, :, 4::5], past[4::5])
    assert found == pytest.approx(some | {"value": np.abs(z[:, :, past]).max()}, rel=1e-11)
    assert found["value"] > 70.0 > some["value"]


def test_the_lowest_head_is_the_one_that_looks_most_sharply() -> None:
    x = drawn(0.5)
    x[:, 0, 1] *= 30
    found, expected = row(measured(fused(), x)), reference(scores(x), EVERY)
    assert found == pytest.approx(expected, rel=1e-11)
    assert found["lowest_head"] < 0.5 < found["relative_entropy"]


def test_scale_and_grouped_keys() -> None:
    def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = torch.cat([q, -q], 1)[:, [0, 3, 1, 4, 2, 5]]  # queries 2 h and 2 h + 1 share key h
        out = F.scaled_dot_product_attention(q, k, v, scale=0.3, enable_gqa=True)
        return out[:, ::2]

    z = scores(drawn(), 0.3)
    pairs = np.stack([z, -z], 2).reshape(B, 2 * H, T, T)
    assert row(measured(grouped)) == pytest.approx(reference(pairs, EVERY), rel=1e-11)


def test_padding_by_example_and_queries_that_see_nothing() -> None:
    lengths = torch.tensor([5, 3, 1, 4, 0, 2])
    x = drawn()
    x[:, 1, 0, :, 0] = torch.where(torch.arange(T) < lengths[:, None], 1.0, -9.0)

    def padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = (k[:, :1, None, :, 0] > 0).expand(-1, -1, T, -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).nan_to_num()

    kept = (np.arange(T) < lengths.numpy()[:, None])[:, None, None]
    found = row(measured(padded, x))
    assert found == pytest.approx(reference(scores(x), kept), rel=1e-11)
    assert found["keys"] == 5


def test_blocks_of_queries_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [row(measured(attend)) for attend in (eager, fused(is_causal=True))]
    monkeypatch.setattr("dyntools.activations.scores.BLOCK", 2 * H * T)
    cut = [row(measured(attend)) for attend in (eager, fused(is_causal=True))]
    for one, other in zip(whole, cut, strict=True):
        assert one == pytest.approx(other, rel=1e-12)


# nn.MultiheadAttention ---------------------------------------------------------------------------


class Heads(nn.Module):
    """x (b, T, 8) through `nn.MultiheadAttention`, or the same by its weights."""

    def __init__(self, *, fused: bool = True, **settings: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True, **settings).double()
        nn.init.normal_(self.inner.in_proj_bias)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        padding, past = x[..., 0] > 1e3, ~torch.ones(T, T).tril().bool()
        if self.fused:
            out = self.inner(x, x, x, key_padding_mask=padding, attn_mask=past, need_weights=False)
            return out[0]  # type: ignore[no-any-return]
        parts = F.linear(x, self.inner.in_proj_weight, self.inner.in_proj_bias).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in parts)
        z = (q @ k.mT / 2.0).masked_fill(past, -math.inf)
        z = z.masked_fill(padding[:, None, None], -math.inf)
        return self.inner.out_proj((z.softmax(-1) @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def sequences() -> Tensor:
    x = torch.randn(B, T, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x[1, 3:, 0] = x[4, 4:, 0] = 1e4
    return x


def test_multi_head_attention_is_that_written_out() -> None:
    found = measure(through(Heads(), [sequences()]), LOGITS)
    written = measure(through(Heads(fused=False), [sequences()]), LOGITS)
    assert found.coords["layer"] == ("function.inner",)
    assert written.coords["layer"] == ("function",)
    assert found.values[0] == pytest.approx(written.values[0], rel=1e-12)
    for name, beside in written.beside.items():
        assert found.beside[name][0] == pytest.approx(beside[0], rel=1e-12), name


def test_keys_of_its_own_are_refused_with_a_sentence() -> None:
    for setting in ("add_bias_kv", "add_zero_attn"):
        found = measure(through(Heads(**{setting: True}), [sequences()]), LOGITS)
        assert np.isnan(found.values).all()
        assert "appends a key" in found.skipped["function.inner"]


def test_layers_of_a_transformer_leave_their_fast_path() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dtype=torch.float64)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    found = measure(through(encoder, [sequences()[:, :, :8].clamp(-9, 9)]), LOGITS)
    names = tuple(f"function.layers.{i}.self_attn" for i in range(2))
    assert found.coords["layer"] == names
    x = sequences().clamp(-9, 9)
    weights, biases = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    q, k = (F.linear(x, weights, biases)[..., part] for part in (slice(8), slice(8, 16)))
    z = torch.einsum("bihd,bjhd->bhij", *(y.unflatten(-1, (2, 4)) for y in (q, k))) / 2.0
    assert found.values[0] == pytest.approx(float(z.detach().abs().max()), rel=1e-12)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_eager_and_fused_attention_of_transformers_agree(name: str) -> None:
    transformers = pytest.importorskip("transformers", reason="of the extra `huggingface`")
    small = {"vocab_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 16}
    if name == "gpt2":
        config = transformers.GPT2Config(**small, n_positions=16, bos_token_id=0, eos_token_id=1)
        kind, places = transformers.GPT2LMHeadModel, "transformer.h.{}.attn"
    else:
        config = transformers.LlamaConfig(**small, intermediate_size=32, num_key_value_heads=2)
        kind, places = transformers.LlamaForCausalLM, "model.layers.{}.self_attn"
    ids = torch.randint(40, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :4] = mask[2, 6:] = 0
    both = []
    for implementation in ("eager", "sdpa"):
        torch.manual_seed(0)
        model = kind._from_config(config, attn_implementation=implementation).eval()
        heard: dict[str, Sums] = {}
        with (
            torch.no_grad(),
            watched(
                model,
                lambda seen: None,
                hear_scores=lambda s, heard=heard: heard.setdefault(s.name, Sums()).add(s, 3),  # type: ignore[misc]
            ),
        ):
            model(input_ids=ids, attention_mask=mask)
        assert list(heard) == [places.format(i) for i in range(2)]
        assert not any(sums.refused for sums in heard.values())
        both.append([(s.largest, s.rms, s.mean_entropy, s.keys, s.rows) for s in heard.values()])
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-5)
    assert both[0][1] == pytest.approx(both[1][1], rel=1e-5)
    assert both[0][0][3:] == (9, 4 * 23)


# What is no attention ----------------------------------------------------------------------------


class Router(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.randn(T, D, D, dtype=torch.float64))
        self.head = nn.Linear(D, D).double()

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0, 0]  # (b, T, D)
        mixed = x @ x.mT @ x  # single-headed, without a softmax
        routed = torch.einsum("btd,tde->bte", mixed, self.gate).softmax(-1)
        return (self.head(mixed + routed).softmax(-1) + mixed.softmax(1)).mean((1, 2))[:, None]


def test_routers_classifiers_and_softmaxes_over_another_axis_are_none() -> None:
    found = measure(through(Router(), [drawn()]), LOGITS)
    assert found.values.shape == (0,)
    assert "no attention" in found.skipped[""]


def test_scores_without_their_largest_are_not_taken_for_scores() -> None:
    def shifted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        z = q @ k.mT
        z -= z.amax(-1, keepdim=True)
        return z.softmax(-1) @ v + (q @ k.mT - (q @ k.mT).amax(-1, keepdim=True)).softmax(-1) @ v

    assert "no attention" in measured(shifted).skipped[""]


def test_scores_that_are_not_finite_fail() -> None:
    x = drawn()
    x[2, 0, 1, 3, 0] = math.nan
    found = measured(lambda q, k, v: eager(q, k, v).nan_to_num(), x)
    assert np.isnan(found.values).all()
    assert "NaN" in found.skipped["function"]


def test_heads_that_do_not_divide_the_first_axis_are_refused() -> None:
    def odd(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        flat = torch.cat([q.flatten(0, 1), q[:1, 0]])
        softmaxed(flat @ flat.mT)
        return v

    assert "does not count the examples" in measured(odd).skipped["function"]
