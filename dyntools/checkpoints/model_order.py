"""The order of parameters in model families whose files do not keep it.

safetensors sorts names, an optimizer counts parameters in the order of `named_parameters()`. For
the families below that order is written down, from transformers 5.23 (`models/gpt2`, `llama`,
`mistral`, `qwen2`). A name that is not in the table means that this is not that model, and no order
is given; shapes of the states are compared with the order before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_GPT2 = (
    "transformer.wte.weight",
    "transformer.wpe.weight",
    "transformer.h.#.ln_1.weight",
    "transformer.h.#.ln_1.bias",
    "transformer.h.#.attn.c_attn.weight",
    "transformer.h.#.attn.c_attn.bias",
    "transformer.h.#.attn.c_proj.weight",
    "transformer.h.#.attn.c_proj.bias",
    "transformer.h.#.ln_2.weight",
    "transformer.h.#.ln_2.bias",
    "transformer.h.#.mlp.c_fc.weight",
    "transformer.h.#.mlp.c_fc.bias",
    "transformer.h.#.mlp.c_proj.weight",
    "transformer.h.#.mlp.c_proj.bias",
    "transformer.ln_f.weight",
    "transformer.ln_f.bias",
    "lm_head.weight",
)
_LLAMA = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.#.self_attn.{part}_proj.{kind}"
        for part in ("q", "k", "v", "o")
        for kind in ("weight", "bias")
    ),
    *(
        f"model.layers.#.mlp.{part}_proj.{kind}"
        for part in ("gate", "up", "down")
        for kind in ("weight", "bias")
    ),
    "model.layers.#.input_layernorm.weight",
    "model.layers.#.post_attention_layernorm.weight",
    "model.norm.weight",
    "lm_head.weight",
)
_FAMILIES = {"gpt2": _GPT2, "llama": _LLAMA, "mistral": _LLAMA, "qwen2": _LLAMA}
_LAYER = re.compile(r"(?<=\.)(\d+)(?=\.)")


def model_order(names: Iterable[str], config: Mapping[str, object]) -> tuple[str, ...] | None:
    """The names in the order of the model `config` speaks of; None for one not in the table."""
    table = _FAMILIES.get(str(config.get("model_type")), ())
    layered = [i for i, template in enumerate(table) if "#" in template]
    keyed: list[tuple[tuple[int, int, int], str]] = []
    for name in names:
        template = _LAYER.sub("#", name, count=1)
        if template not in table:
            return None
        place, layer = table.index(template), _LAYER.search(name)
        section = layered[0] if layer else place
        keyed.append(((section, int(layer.group()) if layer else 0, place), name))
    return tuple(name for _, name in sorted(keyed))
