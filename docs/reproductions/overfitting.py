"""Do four numbers tell that a network overfits? OUI, rotation, growth of the gap, feature rank.

    python docs/reproductions/overfitting.py

Each is said to speak of generalisation without validation data. Here each is measured beside what
it should speak of: the accuracy on held-out images and the gap, loss on held-out images less loss
on the training images. Writes docs/reproductions/overfitting.md and its two figures, in some six
minutes on one core. The runs: overfitting_runs.py; the tests: overfitting_relations.py.

Fernández-Hernández et al. 2025, OUI Need to Talk About Weight Decay, arXiv:2504.17160. Carbonnelle
& De Vleeschouwer 2019, Layer rotation, arXiv:1806.01603. Roberts 2021, SGD implicitly regularizes
generalization error, arXiv:2104.04874. Roy & Vetterli 2007, The effective rank.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from overfitting_figures import draw_choice, draw_gap
from overfitting_page import page
from overfitting_relations import Tests, growth_tests, oui_tests, rank_tests, rotation_tests, stale
from overfitting_runs import Results, everything

PAGE = Path(__file__).with_suffix(".md")


def every_test(results: Results) -> Tests:
    groups = (oui_tests, rotation_tests, growth_tests, rank_tests)
    return {key: one for group in groups for key, one in group(results).items()}


def main() -> None:
    torch.set_num_threads(1)  # several are slower here, and round differently
    results = everything()
    draw_choice(results)
    draw_gap(results)
    PAGE.write_text(page(results, every_test(results), time.process_time()))
    for fact in stale(results, every_test(results)):
        print(f"The text says, and the runs do not: {fact}", file=sys.stderr)


if __name__ == "__main__":
    main()
