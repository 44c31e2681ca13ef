import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from profcore.cli import parser
from profcore.inspectors.parity import TOLERANCE
from profcore.worker import shelf as shelves

FAST = ["--device", "cpu", "--num-samples", "2", "--warmup", "0", "--block-mask", "1100000000000000"]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, shelf):
    """The command line in this process, in an empty folder, with the model kept between calls."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data" / "profcore.duckdb"))
    monkeypatch.setattr(shelves, "ModelShelf", lambda: shelf)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            parser.main([str(word) for word in words])
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return call


def stored(run):
    code, out, _ = run("runs", "--json")
    return json.loads(out) if code == 0 else []


def test_run_writes_the_result_file_and_stores_the_run(run, tmp_path):
    code, out, _ = run("run", "moe_topk", "--top-k-values", 1, 2, *FAST)
    assert code == 0
    file = tmp_path / "results/profiling/moe_topk/exp2_moe_topk_results.json"
    assert str(file.relative_to(tmp_path)) in out
    document = json.loads(file.read_text())
    assert [entry["top_k"] for entry in document["summary"]] == [1, 2]
    assert document["metadata"]["environment"]["weights"] == "random"
    (row,) = stored(run)
    assert (row["experiment"], row["state"], row["num_samples"]) == ("moe_topk", "done", 4)
    assert row.keys() >= {"id", "experiment", "state", "num_samples"}
    code, out, _ = run("runs")
    assert code == 0
    assert "moe_topk" in out.replace("\n", "")


@pytest.mark.long
def test_run_all_with_spools_only_then_import(run, tmp_path):
    words = ["--max_grid_size", 1, "--top_k_values", "1,2", "--num_active_blocks", 1, "1010000000000000"]
    code, out, _ = run(
        "run", "all", *words, "--max_new_tokens", 1, 2, *FAST, "--spool_only", "out", "--output_dir", "o"
    )
    assert code == 0
    assert not (tmp_path / "data").exists()
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "context_scaling",
        "moe_topk",
        "output_tokens",
        "transformer_blocks_mask",
    ]
    spools = sorted(Path("out").glob("*.jsonl"))
    assert len(spools) == 4
    code, out, _ = run("import", *spools, *Path("o").glob("*/*.json"))
    assert code == 0
    rows = stored(run)
    # Top-k has two files: its samples, and the scaling that follows from them.
    assert len(rows) == 9
    assert sum(row["num_samples"] for row in rows) == 2 * (2 + 4 + 4 + 4)
    code, out, _ = run("import", *spools)
    assert out.count("was here before") == 4
    assert len(stored(run)) == 9


def test_one_bad_file_keeps_the_others_out(run):
    run("run", "context_scaling", "--max-grid-size", 1, *FAST, "--spool-only", "out")
    Path("bad.json").write_text("{}")
    code, _, err = run("import", next(Path("out").glob("*.jsonl")), "bad.json")
    assert code == 2
    assert err == "profcore: bad.json is no result file: it needs a list called summary or results.\n"
    assert stored(run) == []


def test_check(run, tiny_molmoe, monkeypatch):
    expected = tiny_molmoe / "expected.safetensors"
    monkeypatch.undo()
    code, out, _ = run("check", "--model", tiny_molmoe, "--expected", expected, "--device", "cpu")
    assert code == 0
    lines = dict(line.split()[:2] for line in out.splitlines())
    assert len(lines) == 13
    assert all(float(value) < 1e-4 for value in lines.values())
    code, out, _ = run(
        "check", "--model", tiny_molmoe, "--expected", expected, "--device", "cpu", "--dtype", "bfloat16"
    )
    assert code == 1
    assert f"above {TOLERANCE:g}" in out


@pytest.mark.long
def test_check_of_an_engine(run, tiny_molmoe, monkeypatch):
    expected = tiny_molmoe / "expected.safetensors"
    monkeypatch.undo()
    command = ["check", "--model", tiny_molmoe, "--device", "cpu", "--engine", "compiled"]
    code, out, _ = run(*command, "--expected", expected)
    assert code == 0
    largest = [float(line.rsplit(maxsplit=1)[1]) for line in out.splitlines()]
    assert len(largest) == 13 + 9
    assert max(largest) < 1e-4
    code, _, err = run("check", "--device", "cpu")
    assert (code, "Nothing to compare with" in err) == (2, True)


def test_tokens_agree_with_the_reference(run, shared):
    for case in json.loads((shared / "reference/image_processing.json").read_text())["cases"]:
        size = "--width", case["width"], "--height", case["height"], "--max-crops", case["max_crops"]
        code, out, _ = run("tokens", *size, "--json")
        assert code == 0
        result = json.loads(out)
        for key in (
            "tiling",
            "num_crops",
            "num_vision_tokens",
            "num_image_tokens",
            "patch_index_sha256",
            "tokens_sha256",
        ):
            assert result[key] == case[key]


class TestBadInput:
    """Each gives one sentence and exit status 2, and stores nothing."""

    @pytest.fixture
    def refuse(self, run, tmp_path):
        def check(*words, says):
            before = sorted(tmp_path.rglob("*"))
            code, out, err = run(*words)
            assert code == 2, out + err
            assert says in err
            assert err.startswith("profcore: ")
            assert err.count("\n") == 1
            after = [path for path in tmp_path.rglob("*") if path not in before and path.suffix != ".duckdb"]
            assert [path for path in after if path.is_file()] == []
            assert stored(run) == []

        return check

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--top-k-values", "65"], "above the model's 64 experts"),
            (["--top-k-values", "0"], "at least 1 expert"),
            (["--engine", "graph", "--device", "cpu"], "The graph engine needs a GPU"),
            (["--top-k-values", "2", "2"], "twice"),
            (["--top-k-values", "x"], "'x' is no value"),
            (["--block-mask", "101"], "has 3 entries, but the model has 16"),
            (["--block-mask", "0" * 16], "no active block"),
            (["--num-samples", "0"], "0 samples"),
            (["--grid", "13"], "1×1 to 1×12"),
            (["--device", "cuda:7"], "no device 'cuda:7'"),
            (["--device", "tpu"], "no device 'tpu'"),
            (["--dtype", "int4"], "Unknown dtype"),
            (["--experts", "magic"], "Unknown experts"),
            (["--model", "nowhere"], "no model 'nowhere'"),
            (["--image", "/etc/hostname"], "not a picture"),
            (["--image", "nobody.jpg"], "no picture"),
        ],
    )
    def test_run(self, refuse, words, says):
        refuse("run", "moe_topk", *FAST, *words, says=says)

    def test_grid_out_of_range(self, refuse):
        refuse("run", "context_scaling", *FAST, "--max-grid-size", 13, says="1×1 to 1×12")
        refuse("run", "context_scaling", *FAST, "--max-grid-size", 0, says="out of range")

    def test_narrow_picture(self, refuse, tmp_path):
        Image.new("RGB", (1, 20000)).save(tmp_path / "narrow.png")
        refuse("run", "moe_topk", *FAST, "--image", tmp_path / "narrow.png", says="too narrow")
        refuse("tokens", "--width", 1, "--height", 20000, says="too narrow")

    def test_checkpoints(self, refuse, tiny_molmoe, tmp_path):
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(tiny_molmoe / name, tmp_path / name)
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        refuse("run", "moe_topk", *FAST, "--model", tmp_path, says="is truncated")
        weights.rename(tmp_path / "pytorch_model.bin")
        refuse("run", "moe_topk", *FAST, "--model", tmp_path, says="only pickled weights")
        (tmp_path / "pytorch_model.bin").unlink()
        refuse("check", "--model", tmp_path, "--expected", "x", says="no .safetensors file")

    def test_databases_and_files(self, run, tmp_path):
        (tmp_path / "text").write_text("not a database " * 1000)
        for words in (["run", "moe_topk", *FAST], ["import", tmp_path / "text"], ["runs"]):
            code, _, err = run(*words, "--db", tmp_path / "text")
            assert (code, err.count("\n")) == (2, 1)
            assert "no DuckDB database" in err
        code, _, err = run("import", "missing.json")
        assert (code, "cannot be read" in err) == (2, True)
        code, _, err = run("runs", "--db", tmp_path / "none.duckdb")
        assert (code, "no database" in err) == (2, True)
        assert not (tmp_path / "none.duckdb").exists()

    def test_unknown_words(self, run):
        assert run("run", "everything")[0] == 2
        assert run()[0] == 2
        code, _, err = run("bench", "--only", "nothing", "--device", "cpu")
        assert (code, "no --only 'nothing'" in err) == (2, True)


def test_ctrl_c_stops_the_run_and_keeps_its_samples(run, monkeypatch):
    import os
    import signal

    from profcore.engines.eager import EagerEngine

    original, calls = EagerEngine.infer, []

    def infer(*arguments, **keywords):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **keywords)

    monkeypatch.setattr(EagerEngine, "infer", infer)
    code, _, _ = run("run", "moe_topk", "--top-k-values", 1, 2, *FAST)
    assert code == 130
    (row,) = stored(run)
    assert (row["state"], row["num_samples"]) == ("stopped", 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_cpu_measures_the_tiny_model(run):
    code, _, _ = run("run", "context_scaling", "--max-grid-size", 1, "--num-samples", 1, "--warmup", 0)
    assert code == 0
    (row,) = stored(run)
    assert (row["model"], row["device_name"].endswith(("thread", "threads"))) == ("tiny", True)


@pytest.mark.parametrize("name", ["load", pytest.param("duty", marks=pytest.mark.long)])
def test_bench_gives_ratios(run, name):
    code, out, _ = run("bench", "--only", name, "--device", "cpu", "--json")
    assert code == 0
    (figure,) = json.loads(out)["figures"]
    assert figure["benchmark"] == name
    assert figure["value"] > 0
    assert name != "duty" or figure["value"] <= 1


@pytest.mark.long
def test_an_engine_measures_from_the_command_line(run):
    code, _, err = run("run", "moe_topk", "--top-k-values", 1, 2, *FAST, "--engine", "compiled")
    assert code == 0, err
    assert len(stored(run)) == 1


@pytest.mark.parametrize("engines", [["eager"], pytest.param(["eager", "compiled"], marks=pytest.mark.long)])
def test_compare_engines(run, engines):
    command = ["compare-engines", "moe_topk", "--num-samples", 1, "--warmup", 0, "--device", "cpu", "--json"]
    code, out, err = run(*command, "--engines", *engines)
    assert code == 0, err
    rows = json.loads(out[out.index("[") :])
    assert {row["engine"] for row in rows} == {*engines, "published code"}
    assert {row["metric"] for row in rows} == {"llm_prefill_ms", "tpot_ms"}
    assert len(stored(run)) == len(engines)


def test_ceilings(run):
    code, out, _ = run("ceilings", "--device", "cpu", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["read_gb_s"] > 0.1
    assert found["matmul_tflop_s"] > 0.001
    code, _, err = run("ceilings", "--device", "cuda:9")
    assert (code, "no device 'cuda:9'" in err) == (2, True)


def test_why(run, tmp_path):
    command = ["why", "--device", "cpu", "--top-k", 2, "--output-tokens", 3, "--block-mask", "11" + "0" * 14]
    code, out, _ = run(*command, "--trace", tmp_path / "t.json.gz", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["steps"], found["setting"]["top_k"]) == (2, 2)
    assert {part["part"] for part in found["parts"] if part["stage"] == "llm_decode"} >= {"attention", "experts"}
    assert (tmp_path / "t.json.gz").stat().st_size > 0
    code, out, _ = run(*command)
    assert "On this CPU" in out
    code, _, err = run("why", "--device", "cpu", "--top-k", 65)
    assert (code, "64 experts" in err) == (2, True)


PICTURES = ["--num-pictures", 2, "--num-samples", 1, "--warmup", 0, "--device", "cpu"]


def test_real_pictures_are_measured_from_the_command_line(run, tmp_path):
    code, out, err = run("run", "component_profiling", *PICTURES)
    assert code == 0
    file = tmp_path / "results/motivation/exp2_component_profiling.json"
    assert str(file.relative_to(tmp_path)) in out
    assert "2 queries, 0 skipped" in err
    assert len(json.loads(file.read_text())["results"]) == 2
    (row,) = stored(run)
    assert (row["experiment"], row["num_samples"]) == ("component_profiling", 2)


@pytest.mark.long
def test_flops_vs_latency_measures_both_and_derives(run, tmp_path):
    options = ["--max-grid-size", 2, "--max_new_tokens", 2, 4]
    code, out, _ = run("run", "flops_vs_latency", *PICTURES, *options, "--output-dir", "o", "--spool-only", "s")
    assert code == 0
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "exp3_vision_tokens_vs_latency.json",
        "exp4_language_tokens_vs_latency_no_eos.json",
        "exp5_flops_vs_latency.json",
    ]
    document = json.loads(Path("o/exp5_flops_vs_latency.json").read_text())
    assert len(document["results"]) == 2 * 2 + 2 * 2
    assert set(document["correlation"]) >= {"vision_encoder_ms", "llm_prefill_ms", "total_ms"}
    assert "R²" in out
    code, _, err = run("run", "flops_vs_latency", *PICTURES, "--max-new-tokens", "x")
    assert (code, "is no value of output tokens" in err) == (2, True)


def test_flops_scaling_is_a_top_k_run_with_a_verdict(run, tmp_path):
    code, out, _ = run("run", "flops_scaling", "--top-k-values", 1, 8, *FAST)
    assert code == 0
    assert "LLM decode, top-k 1 to 8: FLOPs grow" in out
    document = json.loads((tmp_path / "results/profiling/moe_topk/flops_scaling_analysis.json").read_text())
    assert {"1", "8"} <= document.keys()
    assert [row["experiment"] for row in stored(run)] == ["moe_topk"]
    code, _, err = run("run", "flops_scaling", "--top-k-values", 1, *FAST)
    assert (code, err) == (2, "profcore: FLOPs scaling compares values of top-k: give two or more.\n")


def test_a_data_set_that_is_none_stores_nothing(run, tmp_path):
    code, _, err = run("run", "latency_distribution", "--data-set", "vqa", "--data", "/no/where", *PICTURES)
    assert (code, err) == (2, "profcore: There is nothing at '/no/where': give the path of a folder of pictures.\n")
    assert stored(run) == []


@pytest.mark.long
def test_figures_of_our_own_and_of_published_files(run, tmp_path, shared):
    run("run", "moe_topk", "--top-k-values", 1, 2, *FAST)
    run("run", "vision_tokens_vs_latency", "--max-grid-size", 2, *PICTURES)
    code, out, _ = run("plot", "all")
    assert code == 0
    folder = Path("results/profiling/moe_topk/figures")
    assert sorted(path.name for path in folder.iterdir()) == [
        "exp2_moe_topk_vs_latency_breakdown.png",
        "flops_scaling_analysis.png",
        "flops_scaling_latency.png",
        "roofline.png",
        "samples_in_order.png",
    ]
    assert Path("results/motivation/figures/exp3_vision_tokens_vs_latency.png").exists()
    with Image.open(folder / "exp2_moe_topk_vs_latency_breakdown.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.5)
    for file in sorted((shared / "motivation").glob("*.json"))[:3]:
        shutil.copy(file, tmp_path / file.name)
        code, out, _ = run("plot", "all", "--json-file", file.name, "--format", "svg", "pdf")
        assert code == 0
        assert {Path(line).suffix for line in out.split()} == {".svg", ".pdf"}
    code, _, err = run("plot", "output_tokens", "--json-file", "exp2_moe_topk_results.json")
    assert (code, err) == (
        2,
        "profcore: exp2_moe_topk_results.json holds results of moe_topk, not of output_tokens.\n",
    )
    code, out, err = run("plot", "moe_topk", "--results-dir", "results/profiling")
    assert code == 0
    assert "vision" not in out
    for words, says in (
        (["all", "--results-dir", "nowhere"], "no directory 'nowhere'"),
        (["output_tokens"], "holds no result file of output_tokens"),
        (["all", "--json-file", "none.json"], "cannot be read"),
    ):
        code, _, err = run("plot", *words)
        assert (code, says in err, err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("name", ["tokens", "moe-layer", "flow", "pooling", "structure"])
def test_inspection_tools(run, name):
    code, out, _ = run("inspect", name, "--device", "cpu", "--json", "--image", "coffee")
    assert code == 0
    found = json.loads(out)
    assert found["environment"]["model"] == "tiny"
    code, words, _ = run("inspect", name, "--device", "cpu", "--image", "coffee")
    assert code == 0
    # Both show what one function gives.
    shown = {"tokens": "704 vision tokens", "moe-layer": "64 experts", "flow": "module calls", "pooling": "2×3 grid"}
    assert shown.get(name, "3,694,176 parameters") in words


def test_top_k_is_proved_and_importance_scored_and_used(run, tmp_path):
    code, out, _ = run("inspect", "topk", "--device", "cpu", "--top-k-values", 2, "--image", "chelsea")
    assert code == 0
    assert "Every token used exactly as many experts as top-k says" in out
    code, _, err = run("inspect", "topk", "--device", "cpu", "--top-k-values", 65)
    assert (code, "Top-k 65 is above the model's 64 experts" in err) == (2, True)
    code, out, _ = run("importance", "norm", "--device", "cpu", "--num-pictures", 1, "--output", "s.json")
    assert code == 0
    assert "these scores mean nothing" in out
    scores = json.loads(Path("s.json").read_text())
    assert list(scores) == [str(block) for block in range(16)]
    fast = ["--device", "cpu", "--num-samples", 1, "--warmup", 0]
    words = ["--importance-file", "s.json", "--num-active-blocks", 2, "--quality", "--num-pictures", 1]
    code, _, _ = run("run", "transformer_blocks_mask", *words, *fast, "--spool-only", "out")
    assert code == 0
    records = [json.loads(line) for line in next(Path("out").glob("*.jsonl")).read_text().splitlines()]
    (setting,) = records[0]["sweep"]["settings"]
    best = sorted(scores, key=lambda block: -scores[block])[:2]
    assert setting["block_mask"] == "".join("1" if str(block) in best else "0" for block in range(16))
    (quality,) = [record for record in records if record["type"] == "quality"]
    assert (quality["setting"], quality["queries"], quality["accuracy"]) == (0, 1, None)
    assert quality["kl"] > 0
    for words, says in (
        (["--importance-threshold", 0.5], "A threshold needs scores"),
        (["--importance-file", "none.json"], "cannot be read"),
        (["--importance-file", "s.json", "--importance-threshold", 99], "No block has a score of 99 or more"),
    ):
        code, _, err = run("run", "transformer_blocks_mask", *words, *fast)
        assert (code, says in err, err.count("\n")) == (2, True, 1)


@pytest.mark.long
def test_inspect_check_is_the_same_check(run, tiny_molmoe, monkeypatch):
    monkeypatch.undo()
    expected = tiny_molmoe / "expected.safetensors"
    code, out, _ = run("inspect", "check", "--model", tiny_molmoe, "--device", "cpu", "--expected", expected, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["passed"]
    checks = {row["check"] for row in found["rows"]}
    assert checks == {"eager", "compiled", "compiled against eager"}
    assert sum(row["what"].startswith("out.") for row in found["rows"]) == 13
