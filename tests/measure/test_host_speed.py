"""How fast the host is, by a clock of the test's own."""

from itertools import accumulate

from profcore.measure.host_speed import HostProbe


def probe(*seconds):
    """A probe whose pieces of work take so long, one after another."""
    ends = list(accumulate(seconds))
    times = iter([time for begin, end in zip([0.0, *ends], ends, strict=False) for time in (begin, end)])
    return HostProbe(lambda: next(times))


def test_an_interrupt_in_one_of_two_is_not_the_hosts_speed():
    assert probe(100e-6, 900e-6).read_us() == 100


def test_a_sample_has_the_slower_of_its_two_ends():
    host = probe(*[100e-6] * 2, *[210e-6] * 2, *[100e-6] * 2, *[100e-6] * 2)
    assert [host.read_us() for _ in range(4)] == [100, 210, 210, 100]


def test_a_real_host_takes_some_time():
    assert 0 < HostProbe().read_us() < 1e6
