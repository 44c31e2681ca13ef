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
    named = {
        "flash_fwd_kernel": "attention",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_kernel0_0": "attention",
        "triton_poi_fused__softmax_4": "attention",
        "layer_norm_kernel": "norms",
        "triton_per_fused_add_native_layer_norm_view_2": "norms",
        # A norm that also adds what a product gave: inductor names it after both.
        "triton_red_fused_addmm_native_layer_norm_0": "norms",
        "nvjet_sm90_tst_128x232_64x4_2x1_v_bz_coopA_bias_TNT": "matrix products",
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_128x128>(Params)": "matrix products",
        "sm90_xmma_gemm_bf16bf16_bf16f32": "matrix products",
        "aten::addmm": "matrix products",
        "triton_poi_fused_mul_sigmoid_view_1": "activation",
        "triton_poi_fused_addmm_gelu_3": "activation",
        "triton_poi_fused_clone_permute_view_0": "other",
        "Memset (Device)": "other",
    }
    for number, name in enumerate(named):
        events += [launch(number, number), kernel(name, number, 200 + number, 1)]
    assert {each.name: each.part for each in trace.kernels(events)} == named


def test_a_range_says_more_than_a_name():
    events = [span("stage:llm_prefill", 0, 100), span("part:experts", 0, 50), span("part:attention", 50, 50)]
    events += [launch(1, 10), kernel("gemm", 1, 200, 1), launch(2, 60), kernel("silu", 2, 210, 1)]
    assert [each.part for each in trace.kernels(events)] == ["experts", "attention"]


# As an H100 ran them under `compiled` for two crops, in microseconds: a block of the vision encoder, and the projector.
BLOCK = {
    "nvjet_sm90_tst_256x112_64x4_2x1_v_bz_coopA_bias_TNT": 13.9,
    "Memset (Device)": 0.7,
    "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x64_4x1x1_cga1x1x1_kernel0_0": 17.5,
    "nvjet_sm90_tst_128x80_64x8_4x1_v_bz_bias_TNT": 7.1,
    "triton_per_fused_add_native_layer_norm_view_0": 3.0,
    "nvjet_sm90_tst_256x152_64x4_1x2_h_bz_coopA_bias_TNT": 17.0,
    "triton_poi_fused_mul_sigmoid_view_1": 4.9,
    "nvjet_sm90_tst_128x80_64x8_4x1_v_bz_bias_TNT again": 16.5,
    "triton_per_fused_add_native_layer_norm_view_2": 5.2,
}
PROJECTOR = {
    "triton_poi_fused__to_copy_add_bitwise_and_clone_eq_lt_mul_ne_permute_select_unsqueeze_view_0": 3.4,
    "nvjet_sm90_tst_64x48_64x15_4x2_h_bz_bias_TNT": 7.2,
    "nvjet_sm90_tst_192x96_64x5_1x2_h_bz_coopB_bias_TNT": 17.6,
    "triton_per_fused_mul_permute_sum_unbind_view_2": 2.4,
    "triton_poi_fused__softmax_amax_mul_sub_3": 1.3,
    "triton_poi_fused__softmax_4": 1.2,
    "nvjet_sm90_tst_64x72_64x12_2x1_v_bz_TNT": 5.3,
    "triton_poi_fused__unsafe_view_mul_silu_split_6": 1.5,
}


def test_a_compiled_vision_encoder_and_projector_are_told_apart_by_their_kernels():
    events = [span("stage:vision_encoder", 0, 100), span("stage:projector", 100, 100)]
    for number, (name, took) in enumerate({**BLOCK, **PROJECTOR}.items()):
        events += [launch(number, 50 if name in BLOCK else 150), kernel(name, number, 1000 + 50 * number, took)]
    found = {(each["stage"], each["part"]): each["ms"] * 1e3 for each in trace.by_part(trace.kernels(events))}
    assert found == pytest.approx(
        {
            ("vision_encoder", "attention"): 17.5,
            ("vision_encoder", "matrix products"): 13.9 + 7.1 + 17.0 + 16.5,
            ("vision_encoder", "activation"): 4.9,
            ("vision_encoder", "norms"): 3.0 + 5.2,
            ("vision_encoder", "other"): 0.7,
            ("projector", "attention"): 1.3 + 1.2,
            ("projector", "matrix products"): 7.2 + 17.6 + 5.3,
            ("projector", "activation"): 1.5,
            ("projector", "other"): 3.4 + 2.4,
        }
    )


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
