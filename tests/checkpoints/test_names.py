"""Wrapper prefixes come off only when all names have them."""

from dyntools.checkpoints.names import unwrapped


def names(*given):
    found, notes = unwrapped(dict.fromkeys(given))
    return list(found), notes


def test_prefixes_common_to_all_come_off_in_any_order():
    assert names("module._orig_mod.a", "module._orig_mod.b")[0] == ["a", "b"]
    assert names("_orig_mod.module.a", "_orig_mod.module.b")[0] == ["a", "b"]
    assert "module." in names("module.a")[1][0]


def test_a_prefix_of_some_stays():
    assert names("module.a", "b") == (["module.a", "b"], ())


def test_marks_in_the_middle_come_off():
    given = ("0._orig_mod.a", "1._fsdp_wrapped_module.b", "2._checkpoint_wrapped_module.c")
    assert names(*given)[0] == ["0.a", "1.b", "2.c"]


def test_ambiguous_attributes_stay():
    assert names("model.a", "model.b") == (["model.a", "model.b"], ())
    assert names("net.a") == (["net.a"], ())


def test_names_that_would_collide_stay():
    assert names("0._orig_mod.a", "0.a") == (["0._orig_mod.a", "0.a"], ())


def test_names_that_cannot_be_stored_are_escaped():
    found, notes = names("module.a\0", "module.b\ud800", "module.c")
    assert found == [r"a\x00", r"b\ud800", "c"]
    assert len(notes) == 2
    "".join(found).encode()


def test_an_escape_that_was_there_before_stays_another_name():
    assert names("a\0", r"a\x00")[0] == [r"a\x00", r"a\\x00"]


def test_nothing():
    assert names() == ([], ())
