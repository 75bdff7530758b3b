"""Adam memory: from measured second moments to a decision which of them to keep in less memory.

    evidence → rules → decision → exports

Torch-free: it starts from a report, and everything a person is shown about memory comes from here.
"""

from dyntools.adam_memory.decision import Choice, Decision, as_dict, decide
from dyntools.adam_memory.evidence import Evidence, by_kind, evidence_of, without
from dyntools.adam_memory.rules import RULES
from dyntools.adam_memory.tensor import Candidate, Tensor

__all__ = [
    "RULES",
    "Candidate",
    "Choice",
    "Decision",
    "Evidence",
    "Tensor",
    "as_dict",
    "by_kind",
    "decide",
    "evidence_of",
    "without",
]
