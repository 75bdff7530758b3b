"""Orders that are written down, against names in no order, and names that are another model's."""

from dyntools.checkpoints.model_order import model_order


def test_layers_are_numbers_and_not_text():
    names = [f"model.layers.{i}.input_layernorm.weight" for i in (10, 9, 0)]
    names += ["lm_head.weight", "model.layers.9.self_attn.q_proj.weight", "model.norm.weight"]
    assert model_order(names, {"model_type": "llama"}) == (
        "model.layers.0.input_layernorm.weight",
        "model.layers.9.self_attn.q_proj.weight",
        "model.layers.9.input_layernorm.weight",
        "model.layers.10.input_layernorm.weight",
        "model.norm.weight",
        "lm_head.weight",
    )


def test_another_model_has_no_order():
    assert model_order(["model.extra.weight"], {"model_type": "llama"}) is None
    assert model_order(["a"], {"model_type": "unknown"}) is None
    assert model_order(["a"], {}) is None
