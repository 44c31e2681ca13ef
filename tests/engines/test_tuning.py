"""Tilings that are found on the card: tried once, kept, and never in a capture. Times are given here, not measured."""

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

from profcore.engines.kernels import prefill, tuning


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "kept_at", lambda: tmp_path / "deep" / "tilings.json")
    monkeypatch.setattr(tuning, "_found", {})
    return tmp_path / "deep" / "tilings.json"


def choose(times, tried, key="a", **more):
    """The fastest of candidates whose times are these; one of None cannot be run."""

    def work(candidate):
        tried.append(candidate)
        if times[candidate] is None:
            raise RuntimeError("no shared memory is left")
        return times[candidate]

    return tuning.tuned(key, tuple(times), work, lambda run: run(), **more)


def test_the_fastest_that_can_be_run_is_tried_once_and_kept(kept, monkeypatch):
    times, tried = {"slow": 3.0, "impossible": None, "fast": 1.0}, []
    assert choose(times, tried) == "fast"
    assert tried == ["slow", "impossible", "fast"]
    assert choose(times, tried) == "fast"
    # Another process reads what was kept; another shape is tried by itself.
    monkeypatch.setattr(tuning, "_found", {})
    assert choose(times, tried) == "fast"
    assert len(tried) == 3
    assert choose({"slow": 1.0, "impossible": None, "fast": 2.0}, tried, key="b") == "slow"
    assert len(tried) == 6


def test_nothing_is_tried_in_a_capture_and_what_is_known_holds_there(kept):
    times, tried = {"usual": 2.0, "fast": 1.0}, []
    assert choose(times, tried, may_try=False) == "usual"
    assert not tried
    choose(times, tried)
    assert choose(times, tried, may_try=False) == "fast"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": "y"}', "\x00"])
def test_a_damaged_file_is_tried_anew_and_replaced(kept, monkeypatch, content):
    kept.parent.mkdir()
    kept.write_text(content)
    tried = []
    assert choose({"one": 2.0, "other": 1.0}, tried) == "other"
    monkeypatch.setattr(tuning, "_found", {})
    choose({"one": 2.0, "other": 1.0}, tried)
    assert len(tried) == 2


def test_where_none_can_be_run_the_usual_one_stands_and_nothing_is_kept(kept):
    assert choose({"usual": None, "other": None}, []) == "usual"
    assert not kept.exists()


def test_the_experts_of_a_prefill_give_the_same_by_whichever_tiling_is_found(monkeypatch):
    torch.manual_seed(0)
    tokens, width, count, units, top_k = 6, 32, 4, 32, 2
    x, normed = torch.randn(tokens, width), torch.randn(tokens, width)
    logits = torch.randn(tokens, count)
    gate_up, down = torch.randn(count, 2 * units, width) * 0.1, torch.randn(count, width, units) * 0.1
    usual = prefill.experts(x, normed, logits, gate_up, down, top_k)
    seen = []

    def time_ms(run):
        seen.append(run())
        return float(len(prefill.CANDIDATES) - len(seen))

    monkeypatch.setattr(prefill, "needs_tuning", lambda device: True)
    monkeypatch.setattr(tuning, "device_ms", time_ms)
    monkeypatch.setattr(prefill, "CANDIDATES", prefill.CANDIDATES[:2])
    found = prefill.experts(x, normed, logits, gate_up, down, top_k)
    assert len(seen) == 3
    for each in (*seen, found):
        torch.testing.assert_close(each, usual, atol=1e-5, rtol=1e-5)
