"""When a Lanczos iteration may stop: the wanted are good enough, and nothing large is overlooked.

Enough Ritz values are known (one beyond the wanted, which gives the gap), each wanted one is within
its tolerance, and the start vector had its chance: an eigenvalue twice the outermost one found
would have shown itself (see `witness`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dyntools.linalg.ritz import Projection
from dyntools.linalg.witness import Witness

Rule = Literal["value", "vector"]
Told = Callable[[int, float], None]

# A start is trusted to have seen an eigenvalue outside the outermost one by BEYOND times the
# largest |θ|, unless its share in the start is below CHANCE of the expected (0.8 % of random
# starts). Cold runs never wait for this; warm top-1 runs do, by 1 to 3 products. 0.5 for 1.0 costs
# them one more; without it 1 in 3 starts missed a new eigenvalue 1.5 times the old (measured).
BEYOND = 1.0
CHANCE = 0.01


class Stop:
    """Asked after every product; remembers what was found when the basis last broke down."""

    def __init__(
        self, largest: int, smallest: int, rtol: float, rule: Rule, least: int, told: Told | None
    ) -> None:
        self.largest, self.smallest, self.rtol, self.rule = largest, smallest, rtol, rule
        self.least, self.told = least, told
        self.before: NDArray[np.float64] | None = None

    def __call__(
        self, found: Projection, witness: Witness | None, products: int, since: int, exhausted: bool
    ) -> bool:
        """since: products since the latest random vector; witness: None after a breakdown."""
        enough = found.values.size > self.largest + self.smallest
        worst = float(self._excess(found)[self._wanted(found)].max(initial=0.0))
        if self.told is not None:
            self.told(products, 0.0 if exhausted else worst if enough else np.inf)
        if exhausted:
            return True
        if not enough or worst > 1.0:
            return False
        if witness is None:
            return self._settled(found)
        return since >= self.least and self._complete(found, witness)

    def met(self, found: Projection) -> NDArray[np.bool_]:
        """Which pairs are within their tolerance (j,)."""
        return self._excess(found) <= 1.0

    def _excess(self, found: Projection) -> NDArray[np.float64]:
        errors = found.errors if self.rule == "value" else found.residuals
        return np.divide(
            errors, found.tolerances(self.rtol), out=np.zeros_like(errors), where=errors > 0
        )

    def _wanted(self, found: Projection) -> NDArray[np.int64]:
        order = np.arange(found.values.size)
        return np.concatenate([order[: self.smallest], order[order.size - self.largest :]])

    def _complete(self, found: Projection, witness: Witness) -> bool:
        outside = BEYOND * found.scale
        ends = [found.values[-1] + outside] * (self.largest > 0)
        ends += [found.values[0] - outside] * (self.smallest > 0)
        return bool(witness.excludes(np.array(ends), CHANCE).all())

    def _settled(self, found: Projection) -> bool:
        """After a breakdown everything found is exact, but a multiple eigenvalue shows once per
        start: done when a new start added nothing to the wanted."""
        wanted = found.values[self._wanted(found)]
        before, self.before = self.before, wanted
        return before is not None and bool(np.abs(wanted - before).max() <= found.rounding)
