"""Numbers as a person reads them: 0.231, 12.3k, 1.20e-5, 0.231±0.012, and – for what is not known.

Three significant digits tell apart what a table is asked for; an error is shown where one is known
and would change these digits, and then cuts the value to the digits it leaves.
"""

from __future__ import annotations

import math

MISSING = "–"
DIGITS = 3  # chosen; no source
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_PLAIN_FROM, _PLAIN_TO, _UNITS_TO = 1e-3, 1e4, 1e12


def number(value: float, error: float | None = None, *, digits: int = DIGITS) -> str:
    """`value` with `digits` significant digits, `value±error` if the error shows in these digits.

    NaN is "–". From 10 000 on a suffix counts thousands (k), millions (M), billions (G); below
    0.001 and from 1e12 on there is an exponent.
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0 and not _known(error):
        return "0"
    largest = abs(value)
    if _known(error) and error is not None:
        largest = max(largest, error)
    scale, suffix = _scale(_rounded(largest, digits))
    decimals = digits - 1 - _exponent(_rounded(largest, digits) / scale)
    if _known(error) and error is not None and error / scale >= 0.5 * 10.0**-decimals:
        decimals = min(decimals, _error_digits(error / scale) - 1 - _exponent(error / scale))
        pair = f"{_fixed(value / scale, decimals)}±{_fixed(error / scale, decimals)}"
        return f"({pair}){suffix}" if suffix.startswith("e") else pair + suffix
    return _fixed(value / scale, decimals) + suffix


def tick(value: float) -> str:
    """The same without trailing zeros, for an axis: 0.2, 12k, 1e-4."""
    text = number(value)
    digits, suffix = _TICK.match(text).groups() if _TICK.match(text) else (text, "")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + suffix


def signed(value: float) -> str:
    """A change: +0.231, -0.012, 0."""
    return f"+{number(value)}" if value > 0 else number(value)


def count(n: int, noun: str) -> str:
    """1 layer, 2 layers."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}{'es' if noun.endswith('ss') else 's'}"


def _known(error: float | None) -> bool:
    return error is not None and math.isfinite(error) and error > 0


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def _exponent(value: float) -> int:
    return int(f"{value:.15e}".split("e")[1]) if value else 0


def _scale(size: float) -> tuple[float, str]:
    if size == 0 or _PLAIN_FROM <= size < _PLAIN_TO:
        return 1.0, ""
    if _PLAIN_TO <= size < _UNITS_TO:
        return next((scale, suffix) for scale, suffix in _UNITS if size >= scale)
    exponent = _exponent(size)
    return 10.0**exponent, f"e{exponent}"


def _error_digits(error: float) -> int:
    """One digit of an error says enough, two where the first is a 1 (Particle Data Group's habit)."""
    return 2 if f"{error:.1e}"[0] == "1" else 1


def _fixed(value: float, decimals: int) -> str:
    """`decimals` digits behind the point; a negative count rounds before it."""
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
