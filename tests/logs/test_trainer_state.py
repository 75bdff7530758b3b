import json

import pytest

from dyntools.errors import LogError
from dyntools.log import Role
from dyntools.logs import trainer_state

HISTORY = [
    {"epoch": 0.5, "grad_norm": 1.5, "learning_rate": 1e-3, "loss": "4.3", "step": 10},
    {"epoch": 1.0, "grad_norm": 1.0, "learning_rate": 5e-4, "loss": 3.3, "step": 20},
    {"epoch": 1.0, "eval_loss": 3.5, "eval_runtime": 0.1, "step": 20},
    {"epoch": 1.0, "train_loss": 3.8, "train_runtime": 9.0, "step": 20},
]


def state(history, step=20):
    return json.dumps({"epoch": 1.0, "global_step": step, "log_history": history}, indent=2)


def test_rows_of_training_and_evaluation_and_texts_as_values(write, points):
    path = write("trainer_state.json", state(HISTORY))
    assert trainer_state.recognises(path)
    assert trainer_state.global_step(path) == 20
    found = points(trainer_state.open(path))
    assert found["loss"] == [(10, 4.3), (20, 3.3)]
    assert found["eval_loss"] == [(20, 3.5)]
    assert found["epoch"] == [(10, 0.5), (20, 1.0)]


def test_the_mean_over_the_run_is_not_taken_for_the_training_loss(write):
    """Hugging Face ends with one `train_loss`, the mean; by alias alone it would win."""
    log = trainer_state.open(write("trainer_state.json", state(HISTORY)))
    assert log.roles[Role.train_loss] == "loss"


def test_damage_is_a_log_error(write):
    text = state(HISTORY)
    path = write("trainer_state.json", "")
    for end in range(len(text) - 1):
        path.write_text(text[:end])
        with pytest.raises(LogError, match="JSON"):
            trainer_state.open(path)
    path.write_text('{"log_history": 3}')
    with pytest.raises(LogError, match="no list"):
        trainer_state.open(path)


def test_entries_that_are_no_rows_are_counted(write):
    log = trainer_state.open(write("trainer_state.json", state([*HISTORY, "x", 3])))
    assert log.notes == ("entries of the history that are no objects, skipped: 2",)


def test_a_state_without_its_step_counts_as_the_shortest(write):
    assert trainer_state.global_step(write("trainer_state.json", '{"log_history": []}')) == -1
