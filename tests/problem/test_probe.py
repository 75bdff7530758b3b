"""Examples are counted through all batches, and their hash names them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dyntools.problem.probe import Piece, probe_of
from dyntools.problem.record import record, sentence
from tests.problem.networks import CPU
from tests.problems import classifier


def test_the_hash_knows_the_examples_and_their_order() -> None:
    problem = classifier(30, cut=10)
    one = probe_of(problem, CPU, torch.float32)
    assert one.examples == 30
    assert probe_of(classifier(30, cut=10), CPU, torch.float32).digest == one.digest
    turned = replace(problem, batches=problem.batches[::-1])
    assert probe_of(turned, CPU, torch.float32).digest != one.digest
    assert probe_of(classifier(30, cut=10, seed=1), CPU, torch.float32).digest != one.digest


def test_a_part_holds_the_chosen_examples() -> None:
    problem = classifier(30, cut=10)
    probe = probe_of(problem, CPU, torch.float64)
    x = torch.cat([batch[0] for batch in problem.batches])
    part = probe.part(np.array([2, 25, 29]))
    assert (part.rows, part.examples) == ((1, 0, 2), 3)
    assert part.digest != probe.digest
    assert torch.equal(torch.cat([b[0] for b in part.batches()]), x[[2, 25, 29]])
    again = part.part(np.array([0, 2]))
    assert torch.equal(torch.cat([b[0] for b in again.batches()]), x[[2, 29]])


def test_pieces_cover_every_example_once() -> None:
    probe = probe_of(classifier(48, cut=20), CPU, torch.float64)
    pieces = probe.cut(6)
    numbers = [n for piece in pieces for n in probe.numbers(piece)]
    assert numbers == list(range(48))
    assert pieces[3] == Piece(0, 18, 20)
    assert [piece for piece, _ in probe.read(pieces[1:3])] == pieces[1:3]


def test_the_record_names_probe_mode_and_precision() -> None:
    problem = classifier(30)
    told = record(problem, CPU)
    assert told["examples"] == 30
    assert sentence(problem, CPU) == f"{told['hash']}: 30 examples, eval, float64"
