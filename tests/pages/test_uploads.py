"""Uploads before the door: a session that was not let in sends nothing into this process's memory."""

from pages.parts.uploads import LetIn


def test_only_sessions_that_were_let_in_and_are_there_may_upload():
    there = {"a", "b"}
    may = LetIn(there.__contains__)
    assert not may("a")
    may.add("a")
    assert may("a") and not may("b")
    there.discard("a")
    assert not may("a")
    may.add("b")
    there.add("a")
    assert not may("a") and may("b")
    may.remove("b")
    assert not may("b")
