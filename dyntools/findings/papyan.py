"""Papyan: what counts as the terminal phase of training, in which classes collapse.

Papyan et al. 2020, Prevalence of neural collapse during the terminal phase of deep learning
training, doi:10.1073/pnas.2015509117.
"""

from __future__ import annotations

PERFECT = 1.0  # share of the probe that is classified right: the phase begins at zero error
TIGHT = 0.1  # NC1; chosen, no source: networks of ours that fit without collapse stay above 0.3
