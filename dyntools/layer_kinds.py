"""Layer kinds: what part a tensor plays in its network, by its name and shape.

One explicit table of the names that common model families give; what is in none stays `other`.
Earlier entries win: a norm inside attention is a norm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

# (kind, pattern of a name without its last part, such as `.weight`).
KINDS: tuple[tuple[str, str], ...] = (
    ("norm", r"norm|(^|\.)(ln|bn)_?\w*$"),
    ("position", r"(^|\.)(wpe|pos|pos_emb\w*|position\w*|embed_positions)$"),
    ("embedding", r"(^|\.)(wte|tok|tok_emb\w*|embed(?!_out)\w*|word_embeddings|token_emb\w*)$"),
    ("head", r"(^|\.)(lm_head|head|classifier|embed_out|output|score|fc)$"),
    ("attention qkv", r"(c_attn|qkv|qkv_proj|query_key_value|in_proj\w*|Wqkv)$"),
    ("attention qk", r"(^|[._])(q|k|q_proj|k_proj|query|key|to_q|to_k|wq|wk)$"),
    ("attention vo", r"(^|[._])(v|o|v_proj|o_proj|value|to_v|to_out|wv|wo|out_proj)$"),
    ("attention vo", r"(attn|attention|self_attn|self_attention)[\w.]*\.(c_proj|proj|dense)$"),
    (
        "mlp",
        r"mlp|ffn|feed_forward|intermediate|output\.dense$|dense_h_to_4h|dense_4h_to_h"
        r"|(^|\.)(fc[12]|fc_in|fc_out|c_fc|up_proj|gate_proj|down_proj|w[123]|linear[12])$",
    ),
)


def kind_of(name: str, shape: tuple[int, ...]) -> str:
    """The kind of a parameter; `bias` for vectors that belong to no norm, `conv` for kernels."""
    stem, _, last = name.rpartition(".")
    stem = stem if stem and not last.startswith("in_proj") else name
    for kind, pattern in KINDS:
        if re.search(pattern, stem, re.IGNORECASE):
            return kind if len(shape) > 1 or kind in ("norm", "position") else "bias"
    if len(shape) > 2:
        return "conv"
    return "bias" if len(shape) < 2 else "other"


@dataclass(frozen=True)
class Kinds:
    """The table behind a person's own lines: (pattern of a whole name, kind); the first decides."""

    given: tuple[tuple[str, str], ...] = ()

    def of(self, name: str, shape: tuple[int, ...]) -> str:
        """The kind of a parameter."""
        told = (kind for pattern, kind in self.given if fnmatchcase(name, pattern))
        return next(told, None) or kind_of(name, shape)


BY_NAME = Kinds()
