"""What sessions share is worked out once for each state of the store."""

import threading

import pytest

from profcore.service.shared import Shared
from tests.support import seconds


class _Store:
    changes = 0
    at = 0.0


@pytest.fixture
def store():
    return _Store()


@pytest.fixture
def shared(store):
    return Shared(lambda: store.changes, lambda: store.at)


def _counter():
    made = []

    def make():
        made.append(None)
        return len(made)

    return make


def test_a_value_is_worked_out_again_once_the_store_has_changed(store, shared):
    make = _counter()
    assert [shared.get("a", make), shared.get("a", make)] == [1, 1]
    store.changes += 1
    assert [shared.get("a", make), shared.get("a", make)] == [2, 2]
    assert shared.get("b", make) == 3


def test_a_value_may_last_though_the_store_has_changed(store, shared):
    make = _counter()
    assert shared.get("a", make, 0.5) == 1
    store.changes, store.at = 1, 0.4
    assert shared.get("a", make, 0.5) == 1
    store.at = 0.6
    assert shared.get("a", make, 0.5) == 2
    # Nothing has changed since, so that it lasts.
    store.at = 100.0
    assert shared.get("a", make, 0.5) == 2


def test_what_changes_during_the_work_makes_the_value_an_old_one(store, shared):
    def make():
        store.changes += 1
        return store.changes

    assert shared.get("a", make) == 1
    assert shared.get("a", make) == 2


def test_who_asks_meanwhile_waits_for_the_one_that_works(shared):
    begun, go, made, got = threading.Event(), threading.Event(), [], []

    def make():
        begun.set()
        go.wait()
        made.append(None)
        return "value"

    threads = [threading.Thread(target=lambda: got.append(shared.get("a", make))) for _ in range(5)]
    for thread in threads:
        thread.start()
    begun.wait()
    assert shared.get("b", lambda: "other") == "other"
    go.set()
    for thread in threads:
        thread.join()
    assert (got, len(made)) == (["value"] * 5, 1)


def test_work_that_fails_is_done_again_by_the_next(shared):
    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        shared.get("a", fail)
    assert shared.get("a", lambda: 1) == 1


def test_what_nobody_asks_for_any_more_is_forgotten(shared):
    make = _counter()
    for key in range(1000):
        shared.get(key, make)
    assert shared.get(999, make) == 1000
    assert shared.get(0, make) == 1001


def test_who_follows_is_given_the_last_value_while_the_next_takes_long(store, shared):
    go, make = threading.Event(), _counter()

    def slow():
        go.wait()
        return make()

    assert shared.follow("a", make, 0.5, 0.0) == 1
    store.changes, store.at = 1, 1.0
    assert [shared.follow("a", slow, 0.5, 0.0) for _ in range(3)] == [1, 1, 1]
    go.set()
    # What is too old is given to nobody: the next is waited for.
    store.at = 100.0
    assert shared.follow("a", slow, 0.5, 0.0) == 2
    shared.close()
    assert len({shared.follow("a", make, 0.5, 0.0) for _ in range(3)}) == 1


def test_who_follows_is_told_what_went_wrong_and_the_next_tries_again(store, shared):
    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        shared.follow("a", fail, 0.5, 0.0)
    assert shared.follow("a", lambda: 1, 0.5, 0.0) == 1


def test_what_takes_long_to_work_out_is_given_for_longer_and_nobody_waits_for_a_newer_one():
    at, changes, begun, go = [0.0], [0], threading.Event(), threading.Event()
    shared = Shared(lambda: changes[0], lambda: at[0])

    def slow():
        at[0] += 2.0
        return changes[0]

    assert shared.get("a", slow, 0.5) == 0
    changes[0], at[0] = 1, at[0] + 7.9
    # It took 2 s: the last is given for 8.
    assert shared.get("a", slow, 0.5) == 0
    assert shared.get("b", lambda: 7) == 7

    def waits():
        begun.set()
        assert go.wait(seconds(60))
        return "new"

    thread = threading.Thread(target=lambda: shared.get("a", waits))
    thread.start()
    assert begun.wait(seconds(60))
    # Somebody works it out anew, and whoever may have the last has it at once.
    assert shared.get("a", slow, 0.5) == 0
    go.set()
    thread.join()
    assert shared.get("a", slow, 0.5) == "new"
    shared.close()


def test_who_has_looked_on_meanwhile_waits_for_nothing_however_long_it_takes(store, shared):
    go, make = threading.Event(), _counter()

    def slow():
        go.wait()
        return make()

    assert shared.follow("a", make, 0.5, 0.0) == 1
    store.changes = 1
    for _ in range(40):
        store.at += 0.5
        assert shared.follow("a", slow, 0.4, 0.0) == 1
    go.set()
    shared.close()
