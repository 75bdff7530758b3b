"""Scaffold: a first problem.py for a run, from what its checkpoint tells without running it."""

from dyntools.scaffold.architecture import TASKS, Architecture, architecture_of
from dyntools.scaffold.problem_file import blanks, problem_file

__all__ = ["TASKS", "Architecture", "architecture_of", "blanks", "problem_file"]
