"""Callbacks: a live training loop measured without changing it."""

from dyntools.callbacks.recorder import Recorder
from dyntools.callbacks.schedule import any_of, at, every, log_spaced

__all__ = ["Recorder", "any_of", "at", "every", "log_spaced"]
