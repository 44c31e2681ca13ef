"""Traces made by hand, whose answers are known."""

import pytest

from profcore.measure import trace
from profcore.measure.trace import Kernel


def span(name, start, duration):
    return {"ph": "X", "cat": "user_annotation", "name": name, "ts": start, "dur": duration, "tid": 1}


def launch(correlation, at):
    return {
        "ph": "X",
        "cat": "cuda_runtime",
        "name": "launch",
        "ts": at,
        "dur": 1,
        "args": {"correlation": correlation},
    }


def kernel(name, correlation, start, duration):
    arguments = {"correlation": correlation}
    return {"ph": "X", "cat": "kernel", "name": name, "ts": start, "dur": duration, "args": arguments}


def test_a_kernel_belongs_to_what_was_open_when_it_was_launched():
    events = [
        span("stage:llm_prefill", 0, 100),
        span("part:attention", 10, 20),
        span("part:norms", 12, 4),
        span("stage:llm_decode", 100, 50),
        launch(1, 11),
        launch(2, 13),
        launch(3, 25),
        launch(4, 50),
        launch(5, 120),
        launch(6, 500),
        # They run long after they were launched, when other ranges are open.
        kernel("a", 1, 200, 5),
        kernel("b", 2, 210, 5),
        kernel("c", 3, 220, 5),
        kernel("d", 4, 230, 5),
        kernel("e", 5, 240, 5),
        kernel("outside", 6, 600, 5),
    ]
    found = {each.name: (each.stage, each.part) for each in trace.kernels(events)}
    assert found == {
        "a": ("llm_prefill", "attention"),
        "b": ("llm_prefill", "norms"),
        "c": ("llm_prefill", "attention"),
        "d": ("llm_prefill", "other"),
        "e": ("llm_decode", "other"),
    }


def test_names_tell_the_part_where_no_range_does():
    events = [span("stage:vision_encoder", 0, 100)]
    for number, name in enumerate(("flash_fwd_kernel", "layer_norm_kernel", "gemm")):
        events += [launch(number, number), kernel(name, number, 200 + number, 1)]
    assert [each.part for each in trace.kernels(events)] == ["attention", "norms", "other"]


def test_operators_of_a_cpu_have_their_own_time():
    def operator(name, start, duration):
        return {"ph": "X", "cat": "cpu_op", "name": name, "ts": start, "dur": duration, "tid": 1}

    events = [
        span("stage:projector", 0, 100),
        operator("linear", 10, 30),
        operator("addmm", 12, 20),
        operator("resize", 14, 5),
        operator("relu", 50, 7),
    ]
    found = {each.name: each.duration for each in trace.kernels(events)}
    assert found == {"linear": 10, "addmm": 15, "resize": 5, "relu": 7}
    assert trace.stage_spans(events) == {"projector": 100}


def test_waiting_for_a_predecessor_is_no_work():
    cut = trace.exclusive([Kernel("a", "s", "p", 0, 10), Kernel("b", "s", "p", 4, 9), Kernel("c", "s", "p", 20, 5)])
    # b began at 4 but could work from 10 on; c stands apart.
    assert [(each.name, each.start, each.duration) for each in cut] == [("a", 0, 10), ("b", 10, 3), ("c", 20, 5)]
    inside = trace.exclusive([Kernel("a", "s", "p", 0, 10), Kernel("b", "s", "p", 2, 3)])
    assert [each.duration for each in inside] == [10, 0]


def test_a_graphs_kernels_take_the_parts_of_the_same_work_launched_one_by_one():
    launched = [
        Kernel(name, "llm_decode", part, at, 1)
        for at, (name, part) in enumerate(
            [("proj", "attention"), ("proj", "router"), ("copy", "other"), ("up", "experts")]
        )
    ]
    # In the graph the copy became something else; what is around it is still known.
    replayed = [Kernel(name, "llm_decode", "other", at, 1) for at, name in enumerate(["proj", "proj", "memcpy", "up"])]
    assert [each.part for each in trace.name_parts(replayed, launched)] == ["attention", "router", "other", "experts"]
    assert [each.duration for each in trace.name_parts(replayed, launched)] == [1, 1, 1, 1]


def test_sums_by_part_and_by_name():
    found = [
        Kernel("a", "s", "experts", 0, 1000),
        Kernel("a", "s", "experts", 1, 3000),
        Kernel("b", "s", "norms", 2, 500),
    ]
    assert trace.by_part(found) == [
        {"stage": "s", "part": "experts", "ms": 4.0, "kernels": 2},
        {"stage": "s", "part": "norms", "ms": 0.5, "kernels": 1},
    ]
    first, second = trace.top_kernels(found)
    assert first == {"stage": "s", "name": "a", "count": 2, "ms": 4.0, "mean_us": 2000.0}
    assert second["ms"] == pytest.approx(0.5)
    assert len(trace.top_kernels(found, most=1)) == 1


def test_scaling():
    (kernel,) = trace.scaled([Kernel("a", "s", "p", 0, 10)], {"s": 0.5})
    assert kernel.duration == 5
