import pytest

from dyntools.logs.protobuf import fields, signed


def test_the_four_kinds_come_back_in_order():
    message = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4)
    assert list(fields(message)) == [(1, 150), (2, bytes(8)), (3, b"hi"), (4, bytes(4))]


def test_the_largest_varint_is_minus_one():
    ((number, value),) = fields(b"\x08" + b"\xff" * 9 + b"\x01")
    assert (number, signed(value)) == (1, -1)


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # a key without its value
        b"\x08" + b"\xff" * 11,  # a number that never ends
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 2^62
        b"\x11" + bytes(7),
        b"\x0b",  # groups, long abandoned
    ],
)
def test_what_is_cut_or_absurd_raises(message):
    with pytest.raises(ValueError, match=r"field|number"):
        list(fields(message))
