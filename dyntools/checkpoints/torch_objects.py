"""The few functions a torch pickle may have done for it: ours, pure, chosen by name.

torch stores a tensor as a call of `torch._utils._rebuild_tensor_v2` on a storage. The functions
here record what that call would have built. Whatever is not in `TABLE` becomes an inert stub:
sparse and quantised tensors, tensor subclasses, and every class of the user's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from dyntools.checkpoints.dtypes import ITEMSIZE, TORCH_STORAGES
from dyntools.checkpoints.inert import Name, StorageRef, Stub, TensorRef
from dyntools.checkpoints.pickle_machine import Table, check_key

_STORAGE_MODULES = {"torch", "torch.cuda", "torch.storage"}
_NUMPY_FORMATS = {
    "f8": "d",
    "f4": "f",
    "f2": "e",
    "i8": "q",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "Q",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "b1": "?",
}


def storage(
    kind: object, key: object, numel: object, view: tuple[object, ...] | None = None
) -> StorageRef:
    """The storage of a persistent id; `view` is (key, offset, size) and only in legacy files."""
    dtype = storage_dtype(kind)
    offset, length = (view[1], view[2]) if view else (0, numel)
    if not isinstance(offset, int) or not isinstance(length, int) or min(offset, length) < 0:
        raise ValueError("a storage without a size")
    return StorageRef(str(key), dtype, length, offset)


def storage_dtype(kind: object) -> str:
    """dtype of the elements of a storage class, which is a name here."""
    if isinstance(kind, Name) and kind.module in _STORAGE_MODULES and kind.name in TORCH_STORAGES:
        return TORCH_STORAGES[kind.name]
    raise ValueError(f"storage of an unknown kind: {kind}")


def dtype_name(value: object) -> str:
    """`torch.float32`, a name here, as "float32"."""
    if isinstance(value, Name) and value.module == "torch" and value.name in ITEMSIZE:
        return value.name
    raise ValueError(f"not a dtype: {value}")


def _tensor(
    store: object, offset: object, size: object, stride: object, *rest: object
) -> TensorRef | Stub:
    if not isinstance(store, StorageRef):
        return Stub("a tensor without a storage", (store,))
    if len(rest) > 2 and rest[2]:  # bits of conjugation or negation
        return Stub("a lazily conjugated tensor", (store,))
    return _view(store, store.dtype, offset, size, stride)


def _tensor_v3(
    store: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object,
    hooks: object,
    dtype: object,
    *rest: object,
) -> TensorRef | Stub:
    if not isinstance(store, StorageRef) or any(rest):
        return Stub("a tensor of an unknown layout", (store,))
    return _view(store, dtype_name(dtype), offset, size, stride)


def _view(store: StorageRef, dtype: str, offset: object, size: object, stride: object) -> TensorRef:
    if not isinstance(offset, int):
        raise TypeError("an offset that is no number")
    return TensorRef(store, dtype, offset, _sizes(size), _sizes(stride))


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or not all(isinstance(n, int) for n in value):
        raise TypeError("sizes that are no numbers")
    if len(value) > 64 or any(not 0 <= n < 1 << 62 for n in value):  # torch has 64 dimensions
        raise ValueError("impossible sizes")
    return tuple(value)


def _parameter(data: object, *rest: object) -> object:
    return data


def _from_type(function: object, kind: object, args: object, *state: object) -> object:
    known = TABLE.get((function.module, function.name)) if isinstance(function, Name) else None
    plain = isinstance(kind, Name) and str(kind) in ("torch.Tensor", "torch.nn.parameter.Buffer")
    if known is None or not plain or not isinstance(args, tuple):
        return Stub(f"a tensor of class {kind}", (args,))
    return known(*args)


def _ordered(pairs: Iterable[object] = ()) -> dict[object, object]:
    if isinstance(pairs, dict):
        return dict(pairs)
    result: dict[object, object] = {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError("a dictionary from something else than pairs")
        check_key(pair[0])
        result[pair[0]] = pair[1]
    return result


def _set(items: Iterable[object] = ()) -> set[object]:
    members = list(items)
    for member in members:
        check_key(member)
    return set(members)


def _bytes(*args: object) -> bytes | Stub:
    """Protocols 0 to 2 write empty bytes as a call of `bytes`."""
    return Stub("builtins.bytes", args) if args else b""


def _encoded(text: object, encoding: object = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "utf-8"):
        raise TypeError("an unknown encoding")
    return text.encode(str(encoding))


def _numpy_scalar(dtype: object, data: object = b"") -> object:
    if not isinstance(dtype, Stub) or not dtype.args or not isinstance(data, bytes):
        return Stub("numpy scalar", (dtype, data))
    form = _NUMPY_FORMATS.get(str(dtype.args[0]))
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "<"
    if form is None:
        return Stub("numpy scalar", (dtype, data))
    return struct.unpack((">" if order == ">" else "<") + form, data)[0]


def _object(kind: object, *rest: object) -> Stub:
    return Stub(str(kind))


TABLE: Table = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    ("torch", "Size"): lambda sizes=(): _sizes(sizes),
    ("collections", "OrderedDict"): _ordered,
    ("collections", "Counter"): _ordered,
    ("collections", "defaultdict"): lambda factory=None, pairs=(): _ordered(pairs),
    ("collections", "deque"): lambda items=(), maxlen=None: list(items),
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
    ("builtins", "frozenset"): lambda items=(): frozenset(_set(items)),
    ("__builtin__", "frozenset"): lambda items=(): frozenset(_set(items)),
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("_codecs", "encode"): _encoded,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("copyreg", "_reconstructor"): _object,
    ("copy_reg", "_reconstructor"): _object,
}
