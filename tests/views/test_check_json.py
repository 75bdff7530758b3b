"""The stable interface: strict JSON with the keys that are promised."""

from __future__ import annotations

import json
from dataclasses import fields

from dyntools.checks.verdict import Check
from dyntools.views import check_json
from dyntools.views.check_words import Judged
from tests.outcomes import HOSTILE, hostile, outcome


def test_keys_and_values() -> None:
    content = json.loads(json.dumps(check_json.to_json(Judged(outcome(), 1, "command"))))
    assert {key: content[key] for key in ("schema", "schema_version", "verdict", "exit_code")} == {
        "schema": "dyntools-check",
        "schema_version": "1.0.0",
        "verdict": "fail",
        "exit_code": 1,
    }
    assert content["counts"] == {"fail": 3, "not comparable": 1, "inconclusive": 1, "pass": 1}
    assert content["accept"] == "command"
    first = content["checks"][0]
    assert set(first) == {field.name for field in fields(Check)} | {"mark"}
    assert (first["now"], first["mark"], first["samples"]) == (24.3, "+", {"baseline": 1, "now": 1})


def test_what_is_no_number_is_null() -> None:
    content = check_json.to_json(Judged(outcome(), 1))
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text)["checks"][2]["now"] is None
    assert content["accept"] is None


def test_any_name_comes_back_whole() -> None:
    text = json.dumps(check_json.to_json(Judged(hostile(), 1)), allow_nan=False)
    text.encode("ascii")
    assert tuple(one["entry"] for one in json.loads(text)["checks"]) == HOSTILE
