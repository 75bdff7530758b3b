"""Numbers as a person reads them: 0.231, 12.3k, 1.20e-5, 0.231±0.012, and – for what is not known.

Three significant digits tell apart what a table is asked for; an error is shown where one is known
and would change these digits, and then cuts the value to the digits it leaves. Decimal numbers do
the rounding, so that the smallest and the largest of floats need no care.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

MISSING = "–"
DIMENSIONLESS = ("", "1")  # units that are not worth a word
DIGITS = 3  # chosen; no source
_SUFFIXES = {3: "k", 6: "M", 9: "G"}
_PLAIN = range(-3, 4)  # exponents written without any; above them suffixes, up to _LAST
_LAST = 12
IN_FULL = 1e9  # labels that are whole numbers below keep every digit


def number(value: float, error: float | None = None, *, digits: int = DIGITS) -> str:
    """`value` with `digits` significant digits, `value±error` if the error shows in these digits.

    NaN is "–". From 10 000 on a suffix counts thousands (k), millions (M), billions (G); below
    0.001 and from 1e12 on there is an exponent.
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    doubt = error if error is not None and math.isfinite(error) and error > 0 else 0.0
    largest = max(abs(value), doubt)
    if largest == 0:
        return "0"
    exponent = _exponent(largest, digits)
    scale = _scale(exponent)
    suffix = _SUFFIXES.get(scale, f"e{scale}" if scale else "")
    decimals = digits - 1 - exponent + scale
    shown, wide = Decimal(value).scaleb(-scale), Decimal(doubt).scaleb(-scale)
    if 2 * wide < Decimal(10) ** -decimals:
        return _fixed(shown, max(decimals, 0)) + suffix
    decimals = min(decimals, _error_decimals(wide))
    pair = f"{_fixed(shown, decimals)}±{_fixed(wide, decimals)}"
    return f"({pair}){suffix}" if suffix.startswith("e") else pair + suffix


def tick(value: float) -> str:
    """The same without trailing zeros, for an axis: 0.2, 12k, 1e-4."""
    return re.sub(r"\.0+(?!\d)|(\.\d*[1-9])0+(?!\d)", r"\1", number(value))


def signed(value: float) -> str:
    """A change: +0.231, -0.012, 0."""
    return f"+{number(value)}" if value > 0 else number(value)


def label(coordinate: str | float) -> str:
    """A name as it is, a whole number with all its digits, another with three."""
    if isinstance(coordinate, str):
        return coordinate
    value = float(coordinate)
    return f"{value:.0f}" if value.is_integer() and abs(value) < IN_FULL else number(value)


def count(n: int, noun: str) -> str:
    """1 layer, 2 layers."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}{'es' if noun.endswith('ss') else 's'}"


def _exponent(value: float, digits: int) -> int:
    """Of the value as it will be rounded: 0.9996 counts as 1.00."""
    return Decimal(f"{value:.{digits - 1}e}").adjusted()


def _scale(exponent: int) -> int:
    if exponent in _PLAIN:
        return 0
    return 3 * (exponent // 3) if 0 < exponent < _LAST else exponent


def _error_decimals(error: Decimal) -> int:
    """Digits behind the point that an error deserves: one of its own, two where the first is 1."""
    first, exponent = f"{error:.1e}".split("e")
    return (2 if first.startswith("1") else 1) - 1 - int(exponent)


def _fixed(value: Decimal, decimals: int) -> str:
    """`decimals` digits behind the point; a negative count rounds before it."""
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
