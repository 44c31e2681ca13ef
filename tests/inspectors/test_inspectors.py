"""Inspection tools, each against numbers worked out independently."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from profcore.errors import FormatError, UserError
from profcore.experiments import block_choice
from profcore.inspectors import run_inspector
from profcore.inspectors.base import Inspection
from profcore.inspectors.importance import block_score
from profcore.inspectors.names import INSPECTORS
from profcore.inspectors.report import importance_lines, importance_table, lines, tables
from profcore.inspectors.topk import describe, differing
from profcore.measure.quality import QualityMeter, kl_divergence
from profcore.measure.vqa_accuracy import normalise, vqa_accuracy
from profcore.models.config import PRESETS
from profcore.models.load import LoadedModel
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer
from profcore.roofline.parameters import count_parameters
from profcore.spec.queries import Picture, Query
from profcore.spec.runs import Target
from profcore.spec.settings import Setting

CONFIG = PRESETS["tiny"]


@pytest.fixture(scope="module")
def look(tiny):
    def ask(name, **arguments):
        return run_inspector(name, Inspection(tiny, Target(), arguments))

    return ask


@pytest.fixture(scope="module")
def two_blocks():
    """A model of two blocks, small enough for many passes."""
    config = replace(CONFIG, n_layers=2, num_experts=4, top_k=2)
    model = random_model(config, torch.device("cpu"), torch.float32, "eager", seed=3)
    return LoadedModel(model, ByteTokenizer(config), "random")


@pytest.fixture
def small(tmp_path):
    """A query on a picture of one crop."""
    path = tmp_path / "small.png"
    Image.effect_noise((300, 300), 80).convert("RGB").save(path)
    return Query(Picture("file", str(path)), "What?", "small", "1", 300, 300)


def test_every_tool_gives_words_and_tables(look):
    for name in INSPECTORS:
        if name != "check":
            found = look(name, values=[1, 2])
            assert all(isinstance(line, str) and line for line in lines(name, found))
            assert all(len(table) for table in tables(name, found).values())


def test_tokens_are_counted_by_kind(look):
    found = look("tokens", picture={"kind": "photo", "value": "coffee"}, prompt="Hi")
    # A grid of 2 rows and 3 columns: 20 rows of 28 tokens, and 12 of 12 for the global view, each row ended.
    text = len(" User: Hi Assistant:")
    assert found["grid"] == [2, 3]
    assert found["counts"] == {
        "BOS": 1,
        "<im_start>": 2,
        "<im_patch>": 20 * 28 + 12 * 12,
        "<im_col>": 20 + 12,
        "<im_end>": 2,
        "text": text,
    }
    assert found["num_input_tokens"] == sum(found["counts"].values())
    assert sum(run["length"] for run in found["runs"]) == found["num_input_tokens"]
    assert [run["start"] for run in found["runs"][:3]] == [0, 1, 2]
    assert "".join(each["piece"] for each in found["text"]) == " User: Hi Assistant:"
    assert (found["num_crops"], len(found["crops"])) == (7, 6)


def test_a_moe_layer_has_the_parameters_of_the_formula(look):
    found = look("moe-layer")
    expert = 3 * CONFIG.d_model * CONFIG.expert_width
    assert found["expert_parameters"] == expert
    assert found["block_parameters"] == 64 * expert + 64 * CONFIG.d_model
    assert found["block_active_parameters"] == 8 * expert + 64 * CONFIG.d_model
    assert found["block_bytes"] == 4 * found["block_parameters"]
    assert (found["implementation"], found["normalised"], found["blocks"]) == ("grouped_mm", False, 16)
    shapes = {row["weight"]: row["shape"] for row in found["weights"]}
    assert shapes["experts.gate_up_proj"] == [64, 2 * CONFIG.expert_width, CONFIG.d_model]


def test_the_structure_sums_up_to_the_formula(look):
    found = look("structure")
    formula = {each.component: each for each in count_parameters(CONFIG)}
    rows = {row["module"]: row for row in found["modules"]}
    assert rows["model"]["parameters"] == sum(each.total for each in formula.values())
    assert rows["model"]["active"] == sum(each.active for each in formula.values())
    assert rows["llm.model.layers.*.mlp.experts"]["parameters"] == formula["LLM experts"].total
    assert rows["llm.model.layers.*.mlp.experts"]["count"] == 16
    assert found["stages"]["Vision encoder"]["parameters"] == formula["Vision encoder"].total
    assert found["stages"]["Projector"]["active"] == formula["Projector"].total
    assert rows["model"]["bytes"] == 4 * rows["model"]["parameters"]


def test_pooling_keeps_each_token_of_a_grid_once(look):
    found = look("pooling", picture={"kind": "photo", "value": "coffee"})
    assert (found["patches_per_side"], found["tokens_per_side"], found["overlap_patches"]) == (24, 12, 8)
    assert [crop["tokens"] for crop in found["crops"]] == [144, 100, 80, 100, 100, 80, 100]
    assert sum(crop["tokens"] for crop in found["crops"]) == found["num_vision_tokens"] == 704
    # The first crop keeps its two outer margins and drops two token rows and columns on the inner sides.
    kept = found["crops"][1]["kept"]
    assert all(kept[row][column] == (row < 10 and column < 10) for row in range(12) for column in range(12))


def test_the_flow_has_every_module_in_its_stage_with_its_statistics(tiny, look):
    found = look("flow", picture={"kind": "solid", "value": "#336699"})
    calls = {(call["stage"], call["module"]): call for call in found["calls"]}
    head = calls[("llm_prefill", "llm.lm_head")]
    assert head["output_shape"] == [1, 1, CONFIG.embedding_size]
    embed = calls[("llm_prefill", "llm.model.embed_tokens")]
    assert embed["input_shape"] == [1, found["num_input_tokens"]]
    assert embed["bytes"] == found["num_input_tokens"] * CONFIG.d_model * 4
    block = calls[("llm_decode", "llm.model.layers.15")]
    assert block["input_shape"] == block["output_shape"] == [1, 1, CONFIG.d_model]
    assert {stage for stage, _ in calls} == {"vision_encoder", "projector", "llm_prefill", "llm_decode"}
    assert ("projector", "projector.w2") in calls
    assert found["nan"] == 0
    ids = torch.tensor([[CONFIG.eos_token_id]])
    seen = []
    hook = tiny.model.llm.model.embed_tokens.register_forward_hook(lambda *call: seen.append(call[2]))
    tiny.model.llm.model.embed_tokens(ids)
    hook.remove()
    # No hook of the tool is left behind on the model.
    assert not any(module._forward_hooks for module in tiny.model.modules())
    assert len(seen) == 1


def test_the_flow_counts_values_that_are_none(two_blocks):
    weight = two_blocks.model.llm.model.norm.weight
    before = weight.clone()
    with torch.no_grad():
        weight[0] = float("nan")
    try:
        asked = Inspection(two_blocks, Target(), {"picture": {"kind": "solid", "value": "#336699"}})
        found = run_inspector("flow", asked)
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert found["nan"] > 0
    assert "values are NaN" in lines("flow", found)[1]


def test_a_router_with_weights_set_by_hand_sends_every_token_where_they_say(two_blocks):
    """A router of zeros with one positive column would need knowing the states; a tie is broken by order instead."""
    model = two_blocks.model
    router = model.llm.model.layers[0].mlp.gate
    before = router.weight.clone()
    with torch.no_grad():
        # All experts tie at first; then the third and second are made the least likely for every token of positive
        # projection and the most likely for every other, so a token has either the pair (0, 3) or the pair (1, 2).
        router.weight.zero_()
        router.weight[1], router.weight[2] = before[1], before[1]
    try:
        asked = Inspection(
            two_blocks, Target(), {"values": [1, 2, 4], "picture": {"kind": "solid", "value": "#336699"}}
        )
        found = run_inspector("topk", asked)
    finally:
        with torch.no_grad():
            router.weight.copy_(before)
    assert found["passed"]
    rows = {(row["picture"], row["top_k"], row["phase"]): row for row in found["routing"]}
    pair = rows[("real", 2, "prefill")]
    load = pair["load"][0]
    assert load[1] == load[2]
    assert load[0] == load[3] == pair["tokens"] - load[1]
    everything = rows[("real", 4, "prefill")]
    assert everything["load"] == [[everything["tokens"]] * 4] * 2
    assert everything["distinct"] == [4, 4]
    assert everything["imbalance"] == [1.0, 1.0]
    assert rows[("real", 1, "decode")]["tokens"] == 4
    assert rows[("real", 2, "prefill")]["per_token"] == [2, 2]
    # The picture asked for is itself a solid colour, only another one of the same size.
    assert rows[("real", 2, "prefill")]["tokens"] == rows[("solid", 2, "prefill")]["tokens"]


def test_a_token_that_used_another_number_fails():
    used = [torch.tensor([[0, 1], [2, 2], [3, 0]])]
    found = describe(used, experts=4, top_k=2)
    assert (found["per_token"], found["passed"]) == ([1, 2], False)
    assert found["load"] == [[2, 1, 1, 1]]
    assert found["distinct"] == [4]
    # The busiest expert has 2 tokens where the mean has 5 / 4.
    assert found["imbalance"] == [1.6]
    rows = [{"picture": name, "top_k": 2, "phase": "prefill", "unlike": 0.0, **found} for name in ("real", "solid")]
    said = lines("topk", {"routing": rows, "values": [2], "experts": 4, "passed": False, "weights": "real"})
    assert said[0] == "FAILED: at top-k 2 a token of the real picture used 1 to 2 experts."
    # Two of three tokens use other sets; the order within a token does not matter.
    other = [torch.tensor([[1, 0], [2, 3], [3, 1]])]
    assert differing(used, other) == pytest.approx(2 / 3)


def test_top_k_out_of_range(look):
    with pytest.raises(UserError, match="Top-k 65 is out of range"):
        look("topk", values=[1, 65])
    with pytest.raises(UserError, match="no inspection 'cats'"):
        look("cats")


def test_check_says_what_passed_and_what_the_model_answers(look, two_blocks):
    found = run_inspector("check", Inspection(two_blocks, Target(), {"engines": ["eager"]}))
    assert found["passed"]
    assert [row["what"] for row in found["rows"]] == [
        "logits that are not finite",
        "tokens out of range",
        "tokens that differ when asked again",
    ]
    head = two_blocks.model.llm.lm_head.weight
    before = head.clone()
    with torch.no_grad():
        head[5] = float("inf")
    try:
        broken = run_inspector("check", Inspection(two_blocks, Target(), {"engines": ["eager"]}))
    finally:
        with torch.no_grad():
            head.copy_(before)
    assert not broken["passed"]
    assert broken["rows"][0]["found"] > 0


class TestImportance:
    """Scores, and the masks that follow from them."""

    def score(self, loaded, query, method, monkeypatch):
        from profcore.inspectors import importance as tool
        from profcore.spec.queries import QuerySet

        monkeypatch.setattr(tool, "read_data_set", lambda data_set: QuerySet("one", (query,)))
        return run_inspector("importance", Inspection(loaded, Target(), {"method": method}))

    def test_influence_and_norm_by_hand(self):
        before = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        after = torch.tensor([[[0.0, 3.0], [0.0, 4.0]]])
        # A right angle and no angle: 1 - (0 + 1) / 2; what is added has the lengths sqrt(10) and 2.
        assert block_score(before, after, "influence") == pytest.approx(0.5)
        assert block_score(before, after, "norm") == pytest.approx((10**0.5 + 2) / 2)

    @pytest.mark.parametrize("method", ["influence", "norm", "kl"])
    def test_a_block_that_does_nothing_has_no_importance(self, two_blocks, small, method, monkeypatch):
        layer = two_blocks.model.llm.model.layers[1]
        silenced = [layer.self_attn.o_proj.weight, layer.mlp.experts.down_proj]
        before = [weight.clone() for weight in silenced]
        with torch.no_grad():
            for weight in silenced:
                weight.zero_()
        try:
            found = self.score(two_blocks, small, method, monkeypatch)
        finally:
            with torch.no_grad():
                for weight, kept in zip(silenced, before, strict=True):
                    weight.copy_(kept)
        assert found["scores"]["1"] == pytest.approx(0, abs=1e-6)
        assert found["scores"]["0"] > 1e-5
        assert importance_table(found)["block"].tolist() == [0, 1]
        assert "mean nothing" in importance_lines(found)[-1]

    def test_accuracy_falls_where_a_block_is_needed(self, two_blocks, small, monkeypatch):
        meter = QualityMeter(two_blocks, [small])
        inputs = meter.inputs(small)
        full = meter.answer(inputs, Setting((1, 1), 2, (True, True), 1))
        without_first = meter.answer(inputs, Setting((1, 1), 2, (False, True), 1))
        asked = replace(small, answers=(full,) * 10)
        found = self.score(two_blocks, asked, "accuracy", monkeypatch)
        assert found["full_accuracy"] == 1.0
        assert found["scores"]["0"] == (0.0 if normalise(without_first) == normalise(full) else 1.0)
        with pytest.raises(UserError, match="one has no answers"):
            self.score(two_blocks, small, "accuracy", monkeypatch)

    def test_masks_by_hand(self):
        scores = {1: 0.3, 2: 0.1, 3: 0.3, 4: 0.2}
        # Blocks 0 and 5 have no score and are always kept; of the tie the earlier block wins.
        assert block_choice.most_important(scores, 2, 6) == "100001"
        assert block_choice.most_important(scores, 3, 6) == "110001"
        assert block_choice.most_important(scores, 5, 6) == "110111"
        assert block_choice.above(scores, 0.2, 6) == "110111"
        assert block_choice.above({0: 1.0, 1: 0.5}, 0.6, 2) == "10"
        with pytest.raises(UserError, match="the 2 blocks without a score are always kept"):
            block_choice.most_important(scores, 1, 6)
        with pytest.raises(UserError, match="7 active blocks is out of range"):
            block_choice.most_important(scores, 7, 6)
        with pytest.raises(UserError, match="No block has a score of 2 or more"):
            block_choice.above({0: 1.0, 1: 0.5}, 2, 2)

    def test_score_files_in_both_directions(self):
        scores = {1: 0.0381, 14: 0.5}
        assert block_choice.read_scores(block_choice.write_scores(scores).encode(), "s.json", 16) == scores

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"no json", "is not JSON"),
            (b"[]", "holds no scores"),
            (b"{}", "holds no scores"),
            (b'{"16": 1}', "'16' is no block of a model with 16: they are 0 to 15"),
            (b'{"one": 1}', "'one' is no block"),
            (b'{"1": "high"}', "the score of block 1 is no number"),
            (b'{"1": NaN}', "the score of block 1 is no number"),
        ],
    )
    def test_score_files_that_are_none(self, data, says):
        with pytest.raises(FormatError, match=says):
            block_choice.read_scores(data, "s.json", 16)


def test_kl_divergence_by_hand():
    full, other = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    # 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75)
    assert kl_divergence(full, other) == pytest.approx(0.143841, abs=1e-5)
    assert kl_divergence(full, full) == 0


def test_the_full_model_has_no_divergence_from_itself(two_blocks, small):
    found = QualityMeter(two_blocks, [small]).of(Setting((1, 1), 2, (True, True), 5))
    assert (found.kl, found.accuracy, found.queries) == (0.0, None, 1)
    assert QualityMeter(two_blocks, [small]).of(Setting((1, 1), 2, (True, False), 5)).kl > 0


@pytest.mark.parametrize(
    ("answer", "as_compared"),
    [
        ("The Cat.", "cat"),
        ("two", "2"),
        ("Dont know", "don't know"),
        ("1,000 people", "1000 people"),
        ("a 3.5", "3.5"),
        ("red/blue", "red blue"),
        ("None", "0"),
        (" yes,\n please! ", "yes please"),
    ],
)
def test_answers_are_written_alike(answer, as_compared):
    assert normalise(answer) == as_compared


def test_vqa_accuracy_by_hand():
    people = ["cat"] * 2 + ["dog"] * 8
    # Left out one of the two: 1 match of 3; left out another: 2 of 3. (2 * 1/3 + 8 * 2/3) / 10.
    assert vqa_accuracy("The cat", people) == pytest.approx(0.6)
    assert vqa_accuracy("dog", people) == 1.0
    assert vqa_accuracy("bird", people) == 0.0
    assert vqa_accuracy("cat", ["a cat"]) == 1.0
    with pytest.raises(ValueError, match="people's answers"):
        vqa_accuracy("cat", [])
