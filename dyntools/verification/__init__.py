"""Verification: what keeping second moments in less memory does to the loss, found by training on.

From one checkpoint, once with AdamW and once with the plan, over the same mini-batches in the same
order, and that in several orders. See `continued` for the training and `paired` for the statistics.
"""

from dyntools.verification.comparison import verify
from dyntools.verification.paired import Arm, Interval, Verification, interval_of

__all__ = ["Arm", "Interval", "Verification", "interval_of", "verify"]
