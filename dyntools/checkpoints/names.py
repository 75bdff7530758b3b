"""Names of tensors without the marks that wrappers leave in them.

DataParallel and DDP put `module.` before every name, `torch.compile` puts `_orig_mod.`, and FSDP
and activation checkpointing put theirs in the middle. A prefix is taken off only if all names have
it. `model.` and `net.` stay: they may be an attribute of a LightningModule or a part of the model.

Names that no report can hold (NUL, half a surrogate pair) are made printable here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

_PREFIXES = ("_orig_mod.", "module.")
_ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The same text with control characters and lone surrogates as backslash escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def unwrapped(tensors: Mapping[str, T]) -> tuple[dict[str, T], tuple[str, ...]]:
    """The same tensors by their names in the bare model, and a sentence on what was taken off."""
    names, escaped = _printable(tensors)
    given = dict(names)
    removed: list[str] = []
    changed = True
    while changed and names:
        changed = False
        for mark in _PREFIXES:
            if all(short.startswith(mark) for short in names.values()):
                names = {full: short.removeprefix(mark) for full, short in names.items()}
                removed.append(mark)
                changed = True
        for mark in _ANYWHERE:
            if any(mark in short for short in names.values()):
                names = {full: short.replace(mark, "") for full, short in names.items()}
                removed.append(mark)
    if not removed or len(set(names.values())) < len(names) or "" in names.values():
        return {short: tensors[full] for full, short in given.items()}, escaped
    notes = (*escaped, f"wrapper prefixes removed from the names: {', '.join(_once(removed))}")
    return {short: tensors[full] for full, short in names.items()}, notes


def _printable(names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    shown = {name: printable(name) for name in names}
    if all(full == short for full, short in shown.items()):
        return shown, ()
    if len(set(shown.values())) < len(shown):  # someone wrote the escape itself
        shown = {name: printable(name.replace("\\", "\\\\")) for name in shown}
    return shown, ("names with control characters are shown with backslash escapes",)


def _once(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
