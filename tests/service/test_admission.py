"""Who may use a dashboard, by how a page is reached and what its owner has set."""

import pytest

from profcore.service.admission import Guesses, Lock, Rules, Visit, is_loopback

OPEN = Rules()
LOCKED = Rules(allow_remote=True, password="correct horse")


@pytest.mark.parametrize(
    ("name", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("unix:///tmp/socket", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evil.localhost.example", False),
    ],
)
def test_what_is_this_machine_alone(name, loopback):
    assert is_loopback(name) is loopback


@pytest.mark.parametrize(
    "visit",
    [
        Visit("127.0.0.1"),
        Visit("127.0.0.1", "localhost:8501", "http://localhost:8501"),
        Visit("127.0.0.1", "127.0.0.1:8501"),
        Visit("::1", "[::1]:8501", "http://[::1]:8501"),
    ],
)
def test_whoever_sits_at_the_machine_comes_in(visit):
    assert visit.refused(OPEN) is None


REMOTE = [
    Visit(""),
    Visit("0.0.0.0", "127.0.0.1:8501"),
    Visit("10.0.0.7"),
    # By a proxy on the same machine, which hands on the name or only the browser's Origin.
    Visit("127.0.0.1", "profcore.example.org", "https://profcore.example.org"),
    Visit("127.0.0.1", "127.0.0.1:8501", "https://profcore.example.org"),
    Visit("127.0.0.1", ""),
    Visit("127.0.0.1", "[::1", "http://[::1"),
]


@pytest.mark.parametrize("visit", REMOTE)
@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (OPEN, ("PROFCORE_ALLOW_REMOTE=1", "PROFCORE_PASSWORD")),
        (Rules(allow_remote=True), ("PROFCORE_PASSWORD",)),
        (Rules(allow_remote=True, password="short"), ("PROFCORE_PASSWORD",)),
        (Rules(password="correct horse"), ("PROFCORE_ALLOW_REMOTE=1",)),
        (Rules(login=True), ("PROFCORE_ALLOW_REMOTE=1",)),
    ],
)
def test_nobody_comes_from_elsewhere_until_its_owner_has_set_all_that_is_needed(visit, rules, named):
    sentence = visit.refused(rules)
    assert sentence is not None
    for each in ("PROFCORE_ALLOW_REMOTE=1", "PROFCORE_PASSWORD"):
        assert (each in sentence) is (each in named)


@pytest.mark.parametrize("visit", REMOTE)
def test_with_a_lock_the_door_may_be_asked_for_from_elsewhere(visit):
    assert visit.refused(LOCKED) is None
    assert visit.refused(Rules(allow_remote=True, login=True)) is None


def test_another_page_of_this_machine_is_refused_unless_it_is_trusted():
    visit = Visit("127.0.0.1", "127.0.0.1:8501", "http://localhost:9999")
    assert "server.corsAllowedOrigins" in str(visit.refused(LOCKED))
    assert visit.refused(OPEN, ["http://localhost:9999"]) is None


def test_rules_are_read_from_the_environment():
    rules = Rules.of(
        {"PROFCORE_ALLOW_REMOTE": "1", "PROFCORE_PASSWORD": "secret word", "PROFCORE_USERS": "a@b.org, @c.org"}
    )
    assert rules.allow_remote
    assert rules.password == "secret word"
    assert [rules.lets_in(each) for each in ("A@B.org", "x@c.org", "x@d.org", "x@b.org", "", None)] == [
        *(True, True, False, False, False, False)
    ]
    assert Rules.of({}).lets_in(None)
    assert not Rules.of({"PROFCORE_ALLOW_REMOTE": "0"}).allow_remote


def test_who_guesses_waits_longer_and_longer_and_keeps_nobody_else_out():
    now, paused = [0.0], []
    lock, stranger = Lock(lambda: now[0], paused.append), Guesses(lambda: now[0])
    looked_at = 0
    for second in range(600):
        now[0] = float(second)
        for _ in range(3):
            looked_at += lock.opens("wrong", "secret", stranger) is False
        # Another session, at any time.
        assert lock.opens("secret", "secret", Guesses(lambda: now[0])) is True
    assert looked_at < 20
    assert lock.opens("secret", "secret", stranger) is None
    now[0] += 60
    assert lock.opens("\ud800", "secret", stranger) is False


def test_where_many_sessions_guess_each_answer_takes_a_moment_and_none_is_refused():
    now, paused = [0.0], []
    lock = Lock(lambda: now[0], paused.append)
    for _ in range(100):
        assert lock.opens("wrong", "secret", Guesses()) is False
    assert len(paused) == 40
    assert lock.opens("secret", "secret", Guesses()) is True
    assert len(paused) == 41
    now[0] = 61.0
    assert lock.opens("secret", "secret", Guesses()) is True
    assert len(paused) == 41
