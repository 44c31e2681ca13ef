"""Joint result files: both published layouts in, ours out and in again, folders and zips, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from profcore.errors import FormatError, UserError
from profcore.export.archive import run_result_files, zip_runs
from profcore.formats import members
from profcore.formats.imports import reading_data, reading_path, write_imports
from profcore.results.joint import load_joint
from profcore.storage.store import Store
from tests.formats.joint_made import accuracy_file, campaign, latency_file, layout_a, write
from tests.results.stored_joint import made_up_sweep, store_joint


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "joint.duckdb") as opened:
        yield opened


def taken_in(store, path):
    """The runs that a path holds, imported."""
    with reading_path(path, store.spools) as found:
        write_imports(found, store.spools)
    store.take_in_all()
    assert not list(store.spools.glob("*.part"))
    return found


def imported(store, folder, files):
    """The one run of a folder of files."""
    (found,) = taken_in(store, write(folder, files))
    return load_joint(store, found.run_id, steps=True), found


def test_a_campaign_is_one_run_a_setting_for_each_file(store, tmp_path):
    result, found = imported(store, tmp_path / "campaign", campaign(tiers=("low", "medium")))
    points = result.points
    assert points["label"].tolist()[:2] == ["low · top-4 · 8 blocks", "low · top-4 · 16 blocks"]
    assert points["tier"].tolist() == ["low"] * 4 + ["medium"] * 4
    assert points.loc[4, ["least_crops", "most_crops"]].tolist() == [4, 8]
    assert points["scores"].tolist() == [[0.0, 1.0, 0.0, 1.0]] * 8
    first = result.samples.iloc[1]
    assert first["num_crops"] == 1 + 2  # with the global view
    assert (first["vision_total_ms"], first["num_input_tokens"], first["num_output_tokens"]) == (20.0, 364, 3)
    assert first["decode_steps_ms"].tolist() == [8.0, 8.0]
    assert set(result.summary["metric"]) >= {"ttft_ms", "tpot_ms", "total_ms", "llm_prefill_ms"}
    assert (found.note, result.run["source"], result.run["name"]) == ("", "imported", "campaign")
    (again,) = taken_in(store, tmp_path / "campaign")
    assert (again.run_id, again.new) == (found.run_id, False)


def test_ranks_of_a_setting_are_merged_in_the_order_of_their_questions(store, tmp_path):
    stem = "coco-vqa_imgsizetier-low_crops2_topk4_blocks8"
    files = {
        f"{stem}_rank0.json": layout_a(4, 8, rows=3, first=4),
        f"{stem}_rank1.json": layout_a(4, 8, rows=4),
        f"{stem}.json": layout_a(4, 8, rows=7),
        "coco-vqa_imgsizetier-low_crops2_topk8_blocks8.json": layout_a(8, 8),
    }
    result, _ = imported(store, tmp_path / "ranks", files)
    assert result.points["samples"].tolist() == [7, 4]
    assert result.points.loc[0, "scores"] == [float(number % 2) for number in range(7)]


def test_older_files_have_a_bound_in_place_of_the_tier(store, tmp_path):
    files = {f"vqa_crops{crops}_topk4_blocks8.json": layout_a(4, 8, tier=crops) for crops in (12, 2)}
    result, _ = imported(store, tmp_path / "older", files)
    assert result.points["label"].tolist() == ["up to 2 crops · top-4 · 8 blocks", "up to 12 crops · top-4 · 8 blocks"]
    assert result.points["tier"].isna().all()


@pytest.mark.parametrize("folders", [("", ""), ("exp5/", "exp6/")])
def test_accuracy_and_latency_that_lie_apart_are_joined_by_setting(store, tmp_path, folders):
    first, second = folders
    files = {f"{first}exp5_accuracy_results_crops6_topk{k}_blocks8.json": accuracy_file(k, 8) for k in (4, 8)}
    files |= {f"{second}exp6_latency_crops6_topk{k}_blocks8.json": latency_file(k, 8) for k in (4, 8, 16)}
    result, found = imported(store, tmp_path / "apart", files)
    assert result.points["top_k"].tolist() == [4, 8, 16]
    assert result.points["scores"].tolist() == [[0.0, 0.25, 0.5]] * 3
    medians = result.summary.pivot_table(index="point", columns="metric", values="median")
    assert medians.loc[0, ["ttft_ms", "total_ms", "tpot_ms"]].tolist() == [61.0, 101.0, 10.0]
    # Vision and prefill together are no prefill.
    assert "llm_prefill_ms" not in medians
    assert result.points["block_mask"].tolist()[:2] == ["1" * 8 + "0" * 8] * 2
    assert found.note == ""


def test_what_is_missing_of_a_campaign_is_said(store, tmp_path):
    files = campaign((4, 8, 16))
    files.popitem()
    files["coco-vqa_imgsizetier-low_crops2_topk4_blocks8.json"]["accuracy"] = None
    for row in files["coco-vqa_imgsizetier-low_crops2_topk4_blocks8.json"]["per_sample_results"]:
        row["accuracy"] = None
    result, found = imported(store, tmp_path / "sparse", files)
    assert "1 of 6 combinations of these values are not there: the campaign was sparse" in found.note
    assert "1 setting with latencies but no accuracy" in found.note
    assert result.notes == [found.note] or " ".join(result.notes) == found.note
    only = {"exp5_accuracy_results_crops6_topk4_blocks8.json": accuracy_file(4, 8)}
    assert "1 setting with an accuracy but no latency" in imported(store, tmp_path / "only", only)[1].note


def comparable(result):
    """What of a run must be the same after it was written and read."""
    knobs = ["label", "grid", "tier", "num_crops", "top_k", "active_blocks", "block_mask", "output_tokens", "samples"]
    columns = [*knobs, "accuracy", "kl", "quality_queries", "total_j"]
    points = result.points[columns].astype(object)
    samples = result.samples[["sample_id", "setting", "total_ms", "llm_prefill_ms", "elapsed_s", "num_output_tokens"]]
    steps = [list(each) for each in result.samples["decode_steps_ms"]]
    scores = result.points["scores"].tolist()
    return points.where(points.notna(), None).values.tolist(), samples.values.tolist(), steps, scores


@pytest.mark.parametrize("whole", [True, False], ids=["with run.json", "its files alone"])
def test_a_run_written_and_read_again_says_the_same(store, tmp_path, whole):
    run_id = store_joint(store, made_up_sweep(output_tokens=(1, 3)), joules=lambda setting: 1.0 * setting.top_k)
    before = load_joint(store, run_id, steps=True)
    files = run_result_files(store, before)
    assert "joint/profcore_crops1_topk1_blocks8_tokens3.json" in files
    document = json.loads(files["joint/profcore_crops1_topk1_blocks8_tokens3.json"])
    assert document["latency_stats"]["T_decode_per_step_stats"]["pos_1"]["count"] == 6
    assert len(document["per_sample_results"]) == document["num_samples"] == 6
    chosen = {name: text for name, text in files.items() if whole or not name.endswith("run.json")}
    after, _ = imported(store, tmp_path / "again", chosen)
    assert comparable(after)[0] == comparable(before)[0]
    assert comparable(after)[3] == comparable(before)[3]
    assert after.run["environment"] == before.run["environment"]
    if whole:
        assert comparable(after) == comparable(before)
        assert after.run["spec"] == before.run["spec"]
        written = run_result_files(store, after)
        for name in (name for name in files if not name.endswith("run.json")):
            mine, again = json.loads(files[name]), json.loads(written[name])
            for each in (mine, again):
                each["metadata"].pop("run")
            assert again == mine


def test_a_zip_of_runs_is_read_and_each_is_a_run(store, tmp_path):
    joint = store_joint(store)
    data = zip_runs([load_joint(store, joint)], store)
    with Store(tmp_path / "other.duckdb") as other:
        with reading_data(data, "runs.zip", other.spools) as found:
            write_imports(found, other.spools)
        other.take_in_all()
        assert [each.new for each in found] == [True]
        assert len(load_joint(other, found[0].run_id).points) == 18


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16
    return entry


def called(name):
    entry = zipfile.ZipInfo("a.json")
    entry.filename = name
    return entry


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped({called("."): "{}", "a.json": "{}"}), "holds '.', which is no name of a file"),
        (zipped({called(""): "{}", "a.json": "{}"}), "holds '', which is no name of a file"),
        (zipped({"../out.json": "{}"}), "whose path leads out of it"),
        (zipped({"/etc/out.json": "{}"}), "whose path leads out of it"),
        (zipped({link("a.json"): "/etc/passwd"}), "which is a link"),
        (zipped({"bomb.json": b"[" + b"0," * 20_000_000 + b"0]"}), "unpacks to more than 200 times its size"),
        (zipped({"a.txt": "cats"}), "holds no result file"),
        (zipped({}), "holds no result file"),
        (zipped({"run.json": "{}"}), "holds no result: it needs"),
        (zipped({"a.json": "{}"}), "is no result file"),
        (b"PK\x03\x04 cats", "cannot be read"),
        (zipped({"a.json": "{}" * 100})[:60], "cannot be read"),
    ],
    # A zip holds the time at which it was made: by itself it names a test anew in each process that collects it.
    ids=["dot", "nameless", "up", "root", "link", "bomb", "text", "empty", "no rows", "no result", "no zip", "cut off"],
)
def test_zips_that_are_not_to_be_unpacked(tmp_path, data, said):
    with pytest.raises(FormatError, match=said), reading_data(data, "a.zip", tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_what_macos_puts_beside_files_is_no_result(store, tmp_path):
    files = run_result_files(store, load_joint(store, store_joint(store)))
    beside = {f"__MACOSX/{name.replace('joint/', 'joint/._')}": b"\0\5\x16\7\xff" for name in files}
    for given in (files, files | beside):
        with reading_data(zipped(given), "a.zip", tmp_path) as found:
            assert len(found) == 1
    folder = tmp_path / "copied"
    for name, content in (files | beside).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert len(members.folder_members(folder)) == len(files)


def test_a_zip_of_too_many_or_too_large_files(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MOST_MEMBERS", 2)
    with (
        pytest.raises(FormatError, match="more than 2 files"),
        reading_data(zipped(dict.fromkeys("abc", "")), "a", tmp_path),
    ):
        pass
    with (
        pytest.raises(FormatError, match="unpacks to more than"),
        reading_data(zipped({"a": " " * 11}), "a", tmp_path, 10),
    ):
        pass


def changed(files, place=0, **more):
    """The files with one of them changed at its top level."""
    name = list(files)[place]
    return {**files, name: {**files[name], **more}}


STEM = "coco-vqa_imgsizetier-low_crops2_topk4_blocks8"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (changed(campaign(), top_k=5), "their top_k 4 is not the file's 5"),
        ({f"{STEM}.json": layout_a(5, 8)}, "is named after top_k 4, but holds 5"),
        (
            {f"{STEM}_rank0.json": layout_a(4, 8), f"{STEM}_rank1.json": layout_a(4, 8, first=4, total=20)},
            "are of one setting, but contradict each other in block_mask",
        ),
        (
            {f"{STEM}_rank0.json": layout_a(4, 8), f"{STEM}_rank1.json": layout_a(4, 8, tier="medium", first=4)},
            "contradict each other in tier: low and medium",
        ),
        (
            {
                f"{STEM}_rank0.json": layout_a(4, 8),
                f"{STEM}_rank1.json": layout_a(4, 8, per_sample_results=layout_a(4, 9)["per_sample_results"][:1]),
            },
            "not the file's 8",
        ),
        ({f"{STEM}.json": '{"top_k": 4, "per_sample_'}, "is not JSON, or is cut off"),
        ({f"{STEM}.json": {"cats": 1}}, "is named as joint results are, but holds none"),
        ({f"{STEM}.json": layout_a(4, 8, rows=0)}, "holds no result: per_sample_results is empty"),
        ({f"{STEM}.json": layout_a(4, 8, tier_range={"min_crops": 3, "max_crops": 1})}, "from 3 to 1 crops"),
        ({f"{STEM}.json": layout_a(4, 8, accuracy=83)}, "accuracy 83 is no number"),
        ({f"{STEM}.json": layout_a(4, 8, per_sample_results=[{"T_total": -1}])}, "T_total -1 is no number"),
        ({f"{STEM}.json": layout_a(4, 8), f"{STEM}_again2.json": layout_a(4, 8)}, "are of one setting: give one"),
        ({"notes.txt": "cats"}, "holds no result file"),
    ],
)
def test_what_is_no_campaign_is_refused_and_nothing_is_left(store, tmp_path, files, said):
    folder = write(tmp_path / "bad", files)
    with pytest.raises(FormatError, match=said), reading_path(folder, store.spools):
        pass
    assert not list(store.spools.glob("*")) or not list(store.spools.glob("*.part"))


def test_samples_of_one_question_that_differ_between_ranks_are_refused(store, tmp_path):
    other = layout_a(4, 8)
    other["per_sample_results"][2]["T_total"] += 1
    files = {f"{STEM}_rank0.json": layout_a(4, 8), f"{STEM}_rank1.json": other}
    with pytest.raises(UserError, match="contradict each other in sample 2"):
        taken_in(store, write(tmp_path / "ranks", files))


def test_one_file_alone_is_a_run_of_one_setting(store, tmp_path):
    path = write(tmp_path, {"anything.json": layout_a(4, 8)}) / "anything.json"
    (found,) = taken_in(store, path)
    result = load_joint(store, found.run_id)
    assert (len(result.points), len(result.samples)) == (1, 4)


def test_files_that_are_named_otherwise_are_told_by_their_content(store, tmp_path):
    files = {f"{number}.json": layout_a(top_k, 8) for number, top_k in enumerate((4, 8, 16))}
    result, _ = imported(store, tmp_path / "renamed", files)
    assert result.points["top_k"].tolist() == [4, 8, 16]


def test_result_files_of_other_kinds_in_a_zip_are_a_run_each(tmp_path):
    topk = {"summary": [], "all_samples": [{"top_k": 1, "T_total": 1.0}]}
    pictures = {"results": [{"image_id": 1, "T_total": 2.0}]}
    data = zipped({"a/topk.json": json.dumps(topk), "a/pictures.json": json.dumps(pictures), "a/readme.txt": "cats"})
    with Store(tmp_path / "other.duckdb") as other:
        with reading_data(data, "results.zip", other.spools) as found:
            write_imports(found, other.spools)
        other.take_in_all()
        assert sorted(other.runs()["experiment"]) == ["latency_distribution", "moe_topk"]
        assert [each.name for each in found] == ["results.zip: a/pictures.json", "results.zip: a/topk.json"]
