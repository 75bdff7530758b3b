"""Reports for the page: a small one, a hostile one, and one with every part that a page has."""

from __future__ import annotations

import html.parser
from dataclasses import dataclass, field

import numpy as np
import pytest

from dyntools.log import Curve, Log, Role
from dyntools.report import CheckpointRow, Omission, Report, Series

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a & b | c `d` </style>",
           "'; DROP @team #1 [x](javascript:alert(3))")  # fmt: skip


def series(metric: str, values: object, **given: object) -> Series:
    """A series by hand; dims ("layer",) with as many layers as values have columns."""
    array = np.asarray(values, dtype=np.float64)
    names = tuple(f"h.{i}.weight" for i in range(array.shape[1])) if array.ndim == 2 else ()
    fields: dict[str, object] = {
        "metric": metric, "group": "weights", "version": 1, "unit": "", "what": "what it is",
        "paper": "Author 2020, arXiv:2001.00001", "settings": {"seed": 0}, "step_unit": "step",
        "steps": np.arange(len(array)) * 100, "dims": ("layer",) if names else (),
        "coords": {"layer": names} if names else {}, "values": array, "error": None,
        "status": np.where(np.isnan(array), 2, 0).astype(np.int8), "beside": {},
        "seconds": np.ones(len(array)), "matvecs": np.zeros(len(array), np.int64),
        "method": ("by hand",) * len(array),
    }  # fmt: skip
    return Series(**{**fields, **given})  # type: ignore[arg-type]


def log_of(**curves: tuple[object, object]) -> Log:
    named = {
        Role(role): Curve(role, np.asarray(at, np.int64), np.asarray(v, float), "step", None, "l")
        for role, (at, v) in curves.items()
    }
    return Log(("l",), ("jsonl",), {c.name: c for c in named.values()},
               {role: c.name for role, c in named.items()}, ())  # fmt: skip


@pytest.fixture
def hostile() -> Report:
    """Every text that a file could bring is markup: names, units, notes, paths, the run itself."""
    bad = HOSTILE[0]
    values = np.linspace(1, 5, 12).reshape(3, 4)
    one = series(
        "weight_norm", values, coords={"layer": HOSTILE}, unit=bad, what=bad + "</title></style>",
        paper=bad, step_unit=bad, beside={bad: values}, settings={bad: bad}, method=(bad,) * 3,
        omissions=(Omission(HOSTILE[1], bad, (0,)),),
    )  # fmt: skip
    many = series(
        "effective_rank", np.ones((3, 60)) * np.arange(1, 61),
        coords={"layer": tuple(f"{HOSTILE[i % 4]}{i}" for i in range(60))},
    )  # fmt: skip
    log = log_of(train_loss=([0, 100, 200], [2.0, 1.0, 0.5]))
    return Report(
        {"run": bad, "path": HOSTILE[1], "command": HOSTILE[2], bad: bad, "step_unit": bad},
        {"weight_norm": one, "effective_rank": many, bad: series(bad, [1.0, 2.0, 3.0], group=bad)},
        (CheckpointRow(bad, bad, 0, bad, "ok"), CheckpointRow(bad, bad, None, "", "damaged", bad)),
        log,
        ("a note </style></script><script>alert(4)</script>", HOSTILE[3]),
    )


@dataclass
class Node:
    """An element as a browser would see it."""

    tag: str
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)
    parent: Node | None = None


class Tree(html.parser.HTMLParser):
    """Every element of a page; `problems` holds what is not well-formed."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.problems: list[str] = []
        self.open: list[Node] = []
        self.feed(text)
        self.close()
        self.problems += [f"never closed: {node.tag}" for node in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.problems.append(f"twice the same attribute: {tag} {names}")
        node = Node(tag, {k: v or "" for k, v in attrs}, [], self.open[-1] if self.open else None)
        self.nodes.append(node)
        if tag not in self.VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1].tag if self.open else 'nothing'}")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text.append(data)

    def all(self, tag: str) -> list[Node]:
        return [node for node in self.nodes if node.tag == tag]
