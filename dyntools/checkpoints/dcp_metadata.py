"""`.metadata` of torch.distributed.checkpoint, read by the inert machine.

`torch.distributed.checkpoint` itself reads this file with `pickle.load`, which runs what it says.
Here its classes are stubs whose attributes are looked at: which tensors there are, in which chunks,
and in which bytes of which file each chunk is an archive of torch.save.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dyntools.checkpoints.inert import Stub
from dyntools.checkpoints.torch_objects import TABLE, dtype_name
from dyntools.checkpoints.unpickle import unpickle
from dyntools.errors import CheckpointError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """The bytes of one chunk."""

    file: str
    start: int
    length: int


@dataclass(frozen=True)
class Item:
    """One entry of the state dict: a tensor with its chunks by offset, or an object (no dtype)."""

    path: tuple[str, ...]  # of keys from the top of the state dict
    dtype: str | None
    shape: Shape
    chunks: Mapping[Shape, Shape]
    places: dict[Shape, Place] = field(default_factory=dict)


def read_metadata(path: Path) -> dict[str, Item]:
    """The items of a checkpoint by flat name, in the order of the state dict."""
    try:
        data = path.read_bytes()
        root = unpickle(io.BytesIO(data), len(data), TABLE, _none)
        return _items(root)
    except CheckpointError as error:
        raise CheckpointError(error.what, where=str(path), found=error.found) from error
    except (OSError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise CheckpointError(
            "the metadata of the checkpoint are damaged", where=str(path), found=str(error)[:200]
        ) from error


def _none(identity: object) -> object:
    raise ValueError("a persistent object where none may be")


def _items(root: object) -> dict[str, Item]:
    whole = _attributes(root)
    paths = whole.get("planner_data")
    known = paths if isinstance(paths, dict) else {}
    items = {
        str(name): _item(str(name), stub, known.get(name))
        for name, stub in _mapping(whole["state_dict_metadata"]).items()
    }
    for index, info in _mapping(whole["storage_data"]).items():
        where, what = _attributes(index), _attributes(info)
        if what.get("transform_descriptors"):
            raise CheckpointError(
                "chunks of this checkpoint are transformed (compressed), which is not read"
            )
        file, start, length = what["relative_path"], what["offset"], what["length"]
        if not isinstance(file, str) or Path(file).name != file or file in ("", ".", ".."):
            raise ValueError(f"a file outside the folder: {file}")
        item = items[str(where["fqn"])]
        offset = _shape(where.get("offset") or ())
        item.places[offset] = Place(file, *_shape((start, length)))
    return items


def _item(name: str, stub: object, path: object) -> Item:
    keys = tuple(map(str, path)) if isinstance(path, tuple) else _guessed(name)
    about = _attributes(stub)
    if "size" not in about:
        return Item(keys, None, (), {})
    properties = about["properties"]
    state = properties.state if isinstance(properties, Stub) else None
    if isinstance(state, dict):
        dtype = dtype_name(state["dtype"])
    else:
        dtype = dtype_name(state[0] if isinstance(state, tuple) else None)
    chunks: dict[Shape, Shape] = {}
    listed = about["chunks"]
    for chunk in listed if isinstance(listed, list) else ():
        values = _attributes(chunk)
        chunks[_shape(values["offsets"])] = _shape(values["sizes"])
    return Item(keys, dtype, _shape(about["size"]), chunks)


def _guessed(name: str) -> tuple[str, ...]:
    """Writers without a planner join the keys by dots; the first is all that is needed."""
    first, dot, rest = name.partition(".")
    return (first, rest) if dot and first in ("model", "optimizer") else (name,)


def _attributes(value: object) -> dict[str, object]:
    if not isinstance(value, Stub):
        raise TypeError(f"{type(value).__name__} where an object was expected")
    return value.attributes()


def _mapping(value: object) -> Mapping[object, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where a dictionary was expected")
    return value


def _shape(value: object) -> Shape:
    if not isinstance(value, tuple | list) or not all(isinstance(n, int) and n >= 0 for n in value):
        raise TypeError("sizes that are no numbers")
    return tuple(value)
