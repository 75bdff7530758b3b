"""Layer kinds: what part a tensor plays in its network, by its name and shape.

One explicit table of the names that common model families give; earlier lines win, so a norm inside
attention is a norm. What is in none stays `other`. A person's own lines come before the table
(`Kinds`), and `block_of` joins kinds into the blocks of Wang et al. 2025, arXiv:2502.19002.

A fused tensor has the kind of the whole: `qkv` holds several of query, key and value, `mlp` is an
MLP's weight whose name does not tell which, such as a fused gate and up projection. `head` is the
output of a language model, `classifier` that of a classifier; a layer called just `head` may be
either and is a `head`. `first` is the layer that reads pixels or samples: stem, patch embedding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

# What people put in front of the `conv1` that reads the input of a whole network.
_TOP = r"^((base_)?model\.|module\.|backbone\.|net(work)?\.|(image_)?encoder\.|visual\.|resnet\.)*"
_OF_ATTENTION = r"(att|mha)[\w.]*\."
_OF_BLOCK = r"[._]\d+\.mlp\."  # of a numbered block, whose MLP has two layers

# (kind, pattern of a name without `.weight` or `.bias`), in the order of the decision.
KINDS: tuple[tuple[str, str], ...] = (
    ("norm", r"norm\w*(\.\d+)*$|(^|\.)(ln|bn|gn)_?\w*$"),
    ("first", r"patch_embed\w*(\.(proj|projection))?$|to_patch_embedding\.\d+$"),
    ("first", r"(^|\.)(conv_proj|conv_stem)$|(^|\.)stem(\.|$)|embedder\.embedder\.convolution$"),
    ("first", rf"{_TOP}(conv1|features\.(0|conv0|0\.0))$"),
    ("position", r"(^|\.)(wpe|pos|(abs\w*_|rel\w*_)?pos_?(emb|enc)\w*|position\w*)$"),
    ("position", r"(^|\.)(embed_positions|rel(ative)?_pos\w*|relative_attention_bias)$"),
    ("embedding", r"(^|\.)(wte|tok|tok_emb\w*|shared|embed(?!_out|dings?_[ph])\w*)$"),
    ("embedding", r"(^|\.)((words?|char|class|token_type)_embed\w*|token_emb\w*)$"),
    ("classifier", r"(^|\.)(classifier|score|fc|heads\.head|head\.(fc|head))$"),
    ("classifier", r"(^|\.)classifier\.(\d+|dense|out_proj)$"),
    ("head", r"(^|\.)(lm_head(\.decoder)?|head|embed_out|output_layer|proj_out)$"),
    ("head", r"(^|\.)predictions\.decoder$|^(model\.|module\.|decoder\.|net\.)*output$"),
    ("qkv", r"(c_attn|qkv|qkv_proj|query_key_value|Wqkv|att_proj|(^|[._])kv|kv_proj)$"),
    ("qkv", rf"(^|\.)in_proj_(weight|bias)$|{_OF_ATTENTION}in_proj$"),
    ("query", r"(^|[._])(q|q_proj|q_lin|query|query_proj|to_q|wq|q_attn|linear_q)$"),
    ("key", r"(^|[._])(k|k_proj|k_lin|key|key_proj|to_k|wk|linear_k)$"),
    ("value", r"(^|[._])(v|v_proj|v_lin|value|value_proj|to_v|wv|linear_v)$"),
    ("mlp down", r"(mlp|DenseReluDense|ffn|feed_forward)\.wo$"),
    ("attention output", r"(^|[._])(o|o_proj|to_out(\.0)?|wo|attn_out)$"),
    ("attention output", rf"(^|{_OF_ATTENTION})(out_proj|out_lin|output_proj|linear_out)$"),
    ("attention output", rf"{_OF_ATTENTION}(c_proj|proj|dense|output|out)$"),
    ("mlp", r"mlp\.wi$|(^|\.)(gate_up_proj|ff_proj)$"),
    ("mlp gate", r"(^|\.)(gate_proj|w1|wi_0|linear_gate)$"),
    ("mlp up", r"(^|\.)(up_proj|mlp_up|c_fc|fc1|fc_in|w3|wi|wi_1|w_1|linear_?1|lin1)$"),
    ("mlp up", rf"dense_h_to_4h$|intermediate\.dense$|(^|\.)pwconv1$|{_OF_BLOCK}0$"),
    ("mlp down", r"(^|\.)(down_proj|mlp_proj|fc2|fc_out|w2|w_2|linear_?2|lin2|ff_out)$"),
    ("mlp down", r"dense_4h_to_h$|(mlp|ffn)\.c_proj$|(^|\.)output\.dense$|(^|\.)pwconv2$"),
    ("mlp down", rf"{_OF_BLOCK}[23]$"),
    ("mlp", r"mlp|ffn|feed_forward"),
)
NAMES = (
    *("norm", "position", "embedding", "head", "classifier", "first"),
    *("query", "key", "value", "qkv", "attention output"),
    *("mlp up", "mlp gate", "mlp down", "mlp", "conv", "bias", "other"),
)

# What block_sharpness and its kin tell apart; the kinds not named here are their own block.
_BLOCKS = {
    "first": "conv",
    "classifier": "head",
    "query": "attention qk",
    "key": "attention qk",
    "value": "attention vo",
    "attention output": "attention vo",
    "qkv": "attention qkv",
    "mlp up": "mlp",
    "mlp gate": "mlp",
    "mlp down": "mlp",
}
BLOCKS = tuple(dict.fromkeys(_BLOCKS.get(kind, kind) for kind in NAMES))
_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in KINDS)
_LEAF = re.compile(r"(\.parametrizations)?\.(weight|bias)(\.original\d?)?$")


def kind_of(name: str, shape: tuple[int, ...]) -> str:
    """The kind of a parameter, one of NAMES.

    Vectors: `norm` and `position` by name, also whatever is called `weight`, as the layers of torch
    have none but the scales of norms (and of PReLU); else `bias`. Kernels without a line: `conv`.
    """
    stem = _LEAF.sub("", name)
    told = next((kind for kind, pattern in _PATTERNS if pattern.search(stem)), None)
    if len(shape) > 1:
        return told or ("conv" if len(shape) > 2 and _is_kernel(name) else "other")
    if told in ("norm", "position") or (told == "embedding" and stem == name):
        return told
    if name.startswith("param["):  # an index of an optimizer, which is no name
        return "other"
    return "norm" if name.rpartition(".")[2] == "weight" and len(shape) else "bias"


def block_of(kind: str) -> str:
    """The block that a kind belongs to, one of BLOCKS: query and key, value and output, MLP, …"""
    return _BLOCKS.get(kind, kind)


@dataclass(frozen=True)
class Kinds:
    """The table behind a person's own lines: (pattern of a whole name, kind); the first decides.

    A pattern is a glob, or a name letter for letter, as `param[3] (16, 8)` has brackets of its own.
    """

    given: tuple[tuple[str, str], ...] = ()

    def of(self, name: str, shape: tuple[int, ...]) -> str:
        """The kind of a parameter."""
        told = (kind for pattern, kind in self.given if fits(pattern, name))
        return next(told, None) or kind_of(name, shape)

    def block(self, name: str, shape: tuple[int, ...]) -> str:
        """The block of a parameter."""
        return block_of(self.of(name, shape))


BY_NAME = Kinds()


def fits(pattern: str, name: str) -> bool:
    """Whether a person's pattern speaks of this tensor."""
    return name == pattern or fnmatchcase(name, pattern)


def kinds_from(attributes: Mapping[str, object]) -> Kinds:
    """The kinds with which a report was made, from its attribute `kinds`: [[pattern, kind], …]."""
    given = attributes.get("kinds")
    lines = given if isinstance(given, list | tuple) else ()
    return Kinds(tuple((str(pattern), str(kind)) for pattern, kind in lines))


def _is_kernel(name: str) -> bool:
    leaf = name.rpartition(".")[2].lower()
    return leaf in ("weight", "kernel", "original", "original0", "original1") or "conv" in leaf
