import struct
import time
import tracemalloc

import numpy as np
import pytest

from dyntools.logs import tensorboard

POINTS = [("loss", 1, 0.5), ("lr", 1, 0.25), ("loss", 2, float("nan")), ("loss", 300, -1.0)]


@pytest.mark.parametrize("form", ["simple", "float", "double", "float_val"])
def test_old_and_new_forms_of_a_scalar(write, points, events, form):
    path = write("events", events([("a/b", 7, 0.5), ("a/b", 2**40, -2.0)], form))
    assert tensorboard.recognises(path)
    log = tensorboard.open(path)
    assert points(log) == {"a/b": [(7, 0.5), (2**40, -2.0)]}
    assert log.curves["a/b"].wall.tolist() == [1.7e9, 1.7e9]
    assert log.notes == ()


def test_negative_steps_are_kept(write, points, events):
    assert points(tensorboard.open(write("e", events([("x", -1, 1.0)])))) == {"x": [(-1, 1.0)]}


def test_cut_anywhere(write, events, cut_law):
    cut_law(events(POINTS), write("events", b""), tensorboard.open)


def test_any_byte_may_be_wrong(write, events, flip_law):
    flip_law(events(POINTS), write("events", b""), tensorboard.open)


def test_a_cut_tail_is_noted(write, events):
    log = tensorboard.open(write("events", events(POINTS)[:-3]))
    assert log.notes == (
        "the last record is incomplete (still being written, or cut) and was skipped",
    )


def test_many_events_are_quick(write, events):
    version = events([])
    data = b"".join(events([("loss", step, 1.0)])[len(version) :] for step in range(300))
    path = write("events", version + 70 * data)
    start = time.perf_counter()
    log = tensorboard.open(path)
    assert time.perf_counter() - start < 4  # 21 000 events, about 0.15 s
    assert np.array_equal(log.curves["loss"].steps, np.arange(300))


def test_every_one_of_many_points(write, events):
    """TensorBoard's own reader returns 10 000 points of a tag at most."""
    values = [("loss", step, float(step)) for step in range(10_500)]
    curve = tensorboard.open(write("events", events(values))).curves["loss"]
    assert np.array_equal(curve.steps, np.arange(10_500))
    assert np.array_equal(curve.values, np.arange(10_500.0))


def test_a_damaged_length_ends_the_reading(write, points, events):
    data = bytearray(events(POINTS))
    second = len(events(POINTS[:1]))
    data[second] ^= 1
    log = tensorboard.open(write("events", bytes(data)))
    assert points(log) == {"loss": [(1, 0.5)]}
    assert "damaged record length" in log.notes[0]


def test_damage_inside_one_event_costs_that_event(write, points, events):
    first, second = len(events([])), len(events(POINTS[:1]))
    data = bytearray(events(POINTS[:2]))
    data[first + 12 : second - 4] = b"\xff" * (second - first - 16)
    log = tensorboard.open(write("events", bytes(data)))
    assert points(log) == {"lr": [(1, 0.25)]}
    assert log.notes == ("1 damaged event skipped",)


def test_a_huge_length_allocates_nothing(write, events):
    length = struct.pack("<Q", 1 << 62)
    header = length + struct.pack("<I", tensorboard.masked_crc(length))
    path = write("events", events(POINTS[:1]) + header + b"x")
    tracemalloc.start()
    log = tensorboard.open(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert "incomplete" in log.notes[0]


def test_lightnings_steps_are_noted(write, events):
    log = tensorboard.open(write("events", events([("hp_metric", 0, -1.0)])))
    assert "Lightning counts steps" in log.notes[0]


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"brain.Event:2 is what this text says " * 3])
def test_what_is_no_event_file(write, data):
    assert not tensorboard.recognises(write("events", data))
