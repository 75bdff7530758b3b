"""Problem file: the text of a problem.py, with its blanks marked.

The file is Python as it stands; a blank raises NotImplementedError with its line until it is
filled in. Every sort of run has its own `network`, every task its own `data` and `problem`.
"""

from __future__ import annotations

from dyntools.scaffold.architecture import Architecture, on_one_line

BLANK = "FILL IN"
HELD_OUT = "# validation=… takes the like of data() that was not trained on, for validation_gap.\n"
CONTEXT = 1024  # tokens of an example where the checkpoint does not tell; as for `--block`

# nanoGPT's forward gives the logits of all positions only beside targets.
NANOGPT = """
    forward=lambda model, batch: model(batch["input_ids"], batch["labels"])[0],"""

HEAD = '''"""The loss behind {run}: its network, its examples, and what was minimised.

    dyntools analyze RUN --problem {file} --preset sharpness

Written by `dyntools init`{source}.
{todo}
"""

{imports}
'''

HELD = """
# What the checkpoint holds: {tensors} tensors, {parameters:,} parameters.
#     first weight  {first}
#     last weight   {last}
# (outputs, inputs) for a linear layer, (channels out, in, height, width) for a convolution. The
# network must have tensors of these names and shapes; all of them: dyntools inspect RUN --kinds
"""

NETWORK = '''

def network() -> nn.Module:
    """The architecture with the settings of the run; its own weights are not looked at."""
{comment}
    raise NotImplementedError("FILL IN: network()")
'''

TRANSFORMERS = '''

def network(checkpoint) -> nn.Module:
    """The architecture of config.json; no weights are read, and no code of the folder is run."""
    config = AutoConfig.from_pretrained(checkpoint.path, local_files_only=True)
    return {class_name}(config)
'''

EXAMPLES = '''

def data():
    """{what}"""
{comment}
    raise NotImplementedError("FILL IN: data()")
'''

DRAWN = (
    "The examples that the run was trained on, without augmentation; a few hundred to a few\n"
    "thousand. A shuffled DataLoader is drawn from once, and what it gave is kept.\n"
    "from torch.utils.data import DataLoader, TensorDataset\n"
)

# Of each task: what `data` returns, how it is usually made, and what `problem` returns.
TASK_TEXT = {
    "classification": (
        "Batches of (inputs, labels); labels are whole numbers from 0.",
        DRAWN + "return DataLoader(TensorDataset(images, labels), batch_size=200)",
        "# label_smoothing=0.1 if the run had it. Weight decay is no part of it, as in AdamW.\n"
        + HELD_OUT
        + "return Problem.classification(network({given}), data(), batches=10)",
    ),
    "regression": (
        "Batches of (inputs, targets), the targets of the shape of the network's outputs.",
        DRAWN + "return DataLoader(TensorDataset(inputs, targets), batch_size=200)",
        "# The mean squared error; loss=torch.nn.functional.huber_loss for another.\n"
        + HELD_OUT
        + "return Problem.regression(network({given}), data(), batches=10)",
    ),
    "language-model": (
        "Token ids (N), one long row; or the path of a file of them, .npy or nanoGPT's .bin.",
        'For a file of 16-bit ids:  return "data/train.bin"',
        "# The first 64 examples of so many tokens; at most the positions of the network.\n"
        + HELD_OUT
        + "return Problem.language_model(\n"
        "    network({given}),\n    data(),\n    context={context},{forward}\n)",
    ),
}

PROBLEM = '''

def problem({given}) -> Problem:
    """What dyntools asks for."""
{body}
'''

FROM_FOLDER = '''
TEXT = "FILL IN: a text file in UTF-8, of the kind that the model was trained on"


def problem(checkpoint) -> Problem:
    """The model of config.json on the first 64 blocks of the text; no code of the folder is run.

    The same without any file:  dyntools analyze RUN --text FILE
    """
    # validation="FILE" takes another text, not trained on, for validation_gap.
    return Problem.from_huggingface(checkpoint.path, TEXT, examples=64)
'''


def problem_file(found: Architecture | None, task: str, file: str) -> str:
    """The text of a problem.py for what was found, or a general one. `file`: its own name."""
    file = on_one_line(file)
    if found is not None and found.family == "causal transformers" and task == "language-model":
        return _head(found, file, ["from dyntools import Problem"], 1) + FROM_FOLDER
    what, example, last = TASK_TEXT[task]
    built = found is not None and found.family == "transformers"
    imports = ["from torch import nn"]
    if found is not None and built:
        imports += [f"from transformers import AutoConfig, {found.class_name}"]
        network = TRANSFORMERS.format(class_name=found.class_name)
    else:
        network = NETWORK.format(comment=_comment(_of_network(found)))
    given = "checkpoint" if built else ""
    body = last.format(
        given=given,
        context=(found.context if found else None) or CONTEXT,
        forward=NANOGPT if found is not None and found.format == "nanogpt" else "",
    )
    parts = (
        _head(found, file, [*imports, "", "from dyntools import Problem"], 1 if built else 2),
        "" if found is None else _held(found),
        network,
        EXAMPLES.format(what=what, comment=_comment(example)),
        PROBLEM.format(given=given, body=_indented(body)),
    )
    return "".join(parts)


def blanks(text: str) -> int:
    """How many places of a problem.py are to be filled in."""
    return text.count(f'"{BLANK}')


def _head(found: Architecture | None, file: str, imports: list[str], places: int) -> str:
    source = ""
    if found is not None:
        step = "" if found.step is None else f", step {found.step}"
        source = f" from {on_one_line(found.path.name)} ({found.format}{step})"
    todo = "One place is" if places == 1 else f"{places} places are"
    return HEAD.format(
        run="a run" if found is None else found.run,
        file=file,
        source=source,
        todo=f"{todo} to be filled in, marked {BLANK}; nothing stored in a checkpoint is run.",
        imports="\n".join(imports),
    )


def _held(found: Architecture) -> str:
    first, last = (
        "none" if weight is None else f"{on_one_line(weight[0])}  {weight[1]}"
        for weight in (found.first, found.last)
    )
    return HELD.format(tensors=found.tensors, parameters=found.parameters, first=first, last=last)


def _of_network(found: Architecture | None) -> str:
    """How a network of this sort is usually made, as comment lines."""
    lines = ["from my_training import build_model  # a module in the folder of this file"]
    if found is not None and found.family == "lightning":
        named = found.hint or "the LightningModule of the run"
        lines = [
            f"from my_training import MyModule  # {named}",
            "return MyModule(...)  # or the network in it: names may lack their `net.` or `model.`",
            "The loss below is to be that of its training_step, which is not called.",
        ]
    else:
        lines.append("return build_model()")
    if found is not None and found.settings:
        lines.append("Stored beside the weights: " + found.settings[0])
        lines += [f"    {setting}" for setting in found.settings[1:]]
    return "\n".join(lines)


def _comment(text: str) -> str:
    return "\n".join(f"    # {line}" for line in text.splitlines())


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
