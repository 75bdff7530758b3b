"""Precision risk: modules whose outputs a format of few bits could not hold, without a scale.

    fp16       largest |x| beyond 65504: watch                   within 8 times of it: note
    int8       largest |x| ≥ 127 RMS: one step of the scale is the RMS, and what is below half
               of it becomes zero: note
    fp8_e4m3   largest |x| beyond 448: note
    each       RMS below the least normal number, and a tenth of the entries other than zero
               rounded to zero: note; above it such entries are below the rounding of the others

By `activation_scale`. Formats: Micikevicius et al. 2022, FP8 formats for deep learning,
arXiv:2209.05433. Outliers: Bondarenko et al. 2023, Quantizable transformers, arXiv:2306.12929.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Layers, amount, last_layers, listed
from dyntools.report import Report

LARGEST: Mapping[str, float] = {"fp16": 65504.0, "fp8_e4m3": 448.0}
LEAST_NORMAL = {"fp16": 2.0**-14, "bf16": 2.0**-126, "fp8_e4m3": 2.0**-6, "fp8_e5m2": 2.0**-14}
HEADROOM = 8.0  # times; chosen: three doublings, as further training and other inputs may bring
INT8_STEPS = 127.0  # on either side of zero, in a symmetric scale that holds the largest
LOST = 0.1  # of the entries; chosen: in fp8_e4m3 a normal tensor of RMS 0.008 loses that much
KEEP = "Train and serve in bfloat16, or keep these modules in float32."
SCALED = "For FP8, give each tensor a scale."


@dataclass(frozen=True, eq=False)
class _Risk:
    """what: the predicate of the sentence. where: the modules, the worst first, (k,)."""

    what: str
    where: NDArray[np.intp]
    words: Mapping[int, str]
    meaning: str
    remedy: str


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "activation_scale")
    risks = [] if layers is None else [risk for risk in _risks(layers) if len(risk.where)]
    if layers is None or not risks:
        return ()
    first = risks[0]
    worst = int(first.where[0])
    more = f" (and {len(first.where) - 1} more)" if len(first.where) > 1 else ""
    overflow = bool((layers["largest"] > LARGEST["fp16"]).any())
    return (
        Finding(
            rule="precision_risk",
            severity=Severity.watch if overflow else Severity.note,
            sentence=(
                f"{layers.names[worst]}{more} {first.what}: {first.words[worst]}, at "
                f"{layers.unit} {layers.step}."
            ),
            evidence=tuple(
                f"{risk.what}: "
                + listed([f"{layers.names[i]} ({risk.words[i]})" for i in risk.where.tolist()])
                for risk in risks
            ),
            meaning=first.meaning,
            remedy=" ".join(dict.fromkeys(risk.remedy for risk in risks)),
            paper="Micikevicius et al. 2022, arXiv:2209.05433; "
            "Bondarenko et al. 2023, arXiv:2306.12929",
            caveat=(
                "Outputs on the probe alone: gradients have a range of their own, and other "
                "inputs may bring larger ones. FP8 training scales each tensor, which is not "
                "counted here. The margins are chosen."
            ),
            layers=tuple(dict.fromkeys(layers.names[i] for risk in risks for i in risk.where)),
            step=layers.step,
        ),
    )


def _risks(layers: Layers) -> list[_Risk]:
    """The gravest kind first, and of each kind the worst module."""
    largest, rms, half = layers["largest"], layers.values, LARGEST["fp16"]
    with np.errstate(divide="ignore", invalid="ignore"):  # a module that puts out zeros has no RMS
        ratio = np.where(rms > 0, largest / rms, np.nan)
    near = half / HEADROOM
    told = {i: f"largest {amount(one)}" for i, one in enumerate(largest)}
    tails = {
        i: f"largest {amount(one)} times the RMS, kurtosis {amount(layers['kurtosis'][i])}"
        for i, one in enumerate(ratio)
    }
    infinite = "Cast to fp16 these outputs become infinite, and with them the loss."
    return [
        _Risk("overflows fp16", _worst(largest, largest > half), told, infinite, KEEP),
        _Risk(
            f"is within {HEADROOM:g} times of the largest number of fp16",
            _worst(largest, (largest > near) & (largest <= half)),
            told,
            f"In fp16 some growth or another input makes an infinity of it; {half:.0f} is the end.",
            KEEP,
        ),
        _Risk(
            "holds outliers that would take up an 8-bit scale",
            _worst(ratio, ratio >= INT8_STEPS),
            tails,
            "A few entries set the scale, and most others become zero or one step of it.",
            "Quantise these modules by channel, or leave them in 16 bits.",
        ),
        _Risk(
            "overflows fp8_e4m3",
            _worst(largest, (largest > LARGEST["fp8_e4m3"]) & (largest <= near)),
            told,
            "Cast to that format without a scale, the largest entries are cut off or lost.",
            SCALED,
        ),
        *(_underflow(layers, form) for form in LEAST_NORMAL),
    ]


def _underflow(layers: Layers, form: str) -> _Risk:
    lost, small = layers[form], layers.values < LEAST_NORMAL[form]
    return _Risk(
        f"is too small for {form}",
        _worst(lost, (lost >= LOST) & small),
        {
            i: f"RMS {amount(rms)}, {100 * share:.0f} % of the entries other than zero are lost"
            for i, (rms, share) in enumerate(zip(layers.values, lost, strict=True))
        },
        "Cast to that format without a scale, small entries become zero and others lose bits.",
        SCALED
        if form.startswith("fp8")
        else "Raise the scale of these outputs, by initialisation or normalisation.",
    )


def _worst(size: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The modules chosen, by size, the largest first."""
    chosen = np.flatnonzero(where)
    return chosen[np.argsort(-size[chosen], kind="stable")]
