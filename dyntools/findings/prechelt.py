"""Prechelt: the thresholds at which training should stop, among those that he tried.

Prechelt 1998, Early stopping – but when?, doi:10.1007/3-540-49430-8_3.
"""

from __future__ import annotations

GL_LEAST, GL_MOST = 1.0, 5.0  # percent above the lowest validation loss: the smallest, the largest
PQ_MOST = 3.0  # the largest
UP_STRIPS = 3  # one of the best trade-offs; he tried 2 to 8
