"""The loss behind a run and its derivatives: what a person gives, and what curvature needs."""

from dyntools.problem.problem import Engine, Problem

__all__ = ["Engine", "Problem"]
