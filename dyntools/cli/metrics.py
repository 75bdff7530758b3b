"""dyntools metrics: every diagnostic, what it is, what it needs, whose it is, what it costs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dyntools.cli import terminal


def command(
    name: Annotated[str | None, typer.Argument(help="One metric in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the metrics, or describe one with its settings.

    Example: dyntools metrics effective_rank
    """
    from dyntools.metrics import METRICS, find
    from dyntools.views import listings

    chosen = METRICS if name is None else (find(name),)
    facts = [
        {
            "name": metric.name,
            "group": metric.group,
            "version": metric.version,
            "what": metric.what,
            "needs": list(metric.needs),
            "unit": metric.unit,
            "dims": list(metric.dims),
            "paper": metric.paper,
            "cost": metric.cost,
            "settings": metric.defaults,
        }
        for metric in chosen
    ]
    if as_json:
        print(json.dumps(facts, indent=2))
    elif name is None:
        terminal.stdout().print(listings.metric_list(facts))
    else:
        terminal.stdout().print(listings.metric_card(facts[0]))
