"""Notes, tags, stars and the archive: kept beside the spools, given back by a rebuild; and the runs' key figures."""

import json

import pytest

from profcore.errors import UserError
from profcore.service.key_figures import KeyFigures
from profcore.spec.marks import Marks, checked_tags
from profcore.spec.stages import State
from profcore.storage.rebuild import rebuild
from profcore.storage.store import Store, spool_directory
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep

NOTED = {"note": "a\nb", "tags": ["warm", "h100, warm"], "starred": True, "archived": True}
KEPT = {"note": "a\nb", "tags": "warm, h100", "starred": True, "archived": True}


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data.duckdb"


@pytest.fixture
def store(database):
    with Store(database) as opened:
        yield opened


def noted(store, run_id):
    run = store.run(run_id)
    return {name: run[name] for name in KEPT}


def a_run(store, **options):
    return store_run(store, small_sweep(values=(1, 2), num_samples=3), lambda setting: 5.0 * setting.top_k, **options)


def test_what_is_noted_of_a_run_is_listed_and_outlives_its_database(database):
    with Store(database) as store:
        run_id, other = a_run(store), a_run(store)
        store.mark(run_id, **NOTED)
        assert noted(store, run_id) == KEPT
        assert store.run_list().set_index("id")["starred"].to_dict() == {run_id: True, other: False}
        store.mark(run_id, starred=False)
        assert noted(store, run_id) == {**KEPT, "starred": False}
    rebuild(database)
    with Store(database) as store:
        assert noted(store, run_id) == {**KEPT, "starred": False}
        store.remove(run_id)
    kept = json.loads((spool_directory(database) / "given.json").read_text())
    assert kept["marks"] == {}


def test_a_file_of_names_of_before_there_were_marks_is_read_and_one_that_is_lost_is_made_anew(database):
    kept = spool_directory(database) / "given.json"
    with Store(database) as store:
        run_id = a_run(store)
        store.mark(run_id, **NOTED)
    kept.unlink()
    Store(database).close()
    assert json.loads(kept.read_text())["marks"][run_id]["tags"] == ["warm", "h100"]
    kept.write_text(json.dumps({"names": {run_id: "mine"}, "removed": []}))
    rebuild(database)
    with Store(database) as store:
        assert (store.run(run_id)["name"], store.run(run_id)["starred"]) == ("mine", False)


@pytest.mark.parametrize("marks", [{"tags": 7}, {"note": None}, {"starred": "yes"}, {"tags": ["x" * 41]}, [1]])
def test_marks_that_are_none_are_set_aside_with_their_file(database, marks):
    with Store(database) as store:
        run_id = a_run(store)
    kept = spool_directory(database) / "given.json"
    kept.write_text(json.dumps({"names": {}, "removed": [], "marks": {run_id: marks}}))
    with Store(database):
        assert kept.with_suffix(".json.bad").exists()


def test_what_is_too_long_is_refused_and_nothing_changes(store):
    run_id = a_run(store)
    for changes in ({"note": "x" * 2001}, {"tags": ["x" * 41]}, {"tags": [str(number) for number in range(21)]}):
        with pytest.raises(UserError, match="too "):
            store.mark(run_id, **changes)
    with pytest.raises(UserError, match="no run"):
        store.mark("nowhere", starred=True)
    assert noted(store, run_id) == {"note": "", "tags": "", "starred": False, "archived": False}
    assert checked_tags([" a  b ", "c,a b"]) == ("a b", "c")
    assert Marks.from_dict(Marks("n", ("a",), True).to_dict()) == Marks("n", ("a",), True)


def test_an_archived_run_is_no_latest_and_no_figure_rests_on_it(store):
    first, second = a_run(store), a_run(store, hour=1)
    assert store.latest("moe_topk") == second
    store.mark(second, archived=True)
    assert store.latest("moe_topk") == first
    assert store.ranked("moe_topk") == [first]


def test_empty_runs_are_those_that_ended_without_samples_or_a_summary(store):
    empty = a_run(store, state=State.FAILED, only=0)
    a_run(store)
    a_run(store, state=State.RUNNING, only=0)
    import_file(store, published_topk(lambda top_k: 1.0))
    assert store.empty_runs() == [empty]


def test_key_figures_are_medians_of_the_settings_medians(store):
    # A prefill of 5 and 10 ms, other stages constant, a decode step of a tenth of it.
    run_id = a_run(store)
    samples = store.samples(run_id)
    found = store.figures([run_id]).set_index("id").loc[run_id]
    first_token = samples["vision_encoder_ms"] + samples["projector_ms"] + samples["llm_prefill_ms"]
    assert found["ttft_ms"] == pytest.approx(first_token.groupby(samples["setting"]).median().median())
    steps = samples["llm_decode_ms"] / (samples["num_output_tokens"] - 1)
    assert found["tpot_ms"] == pytest.approx(steps.groupby(samples["setting"]).median().median())
    assert list(found["totals_ms"]) == pytest.approx(samples.groupby("setting")["total_ms"].median().tolist())
    many = store_run(store, small_sweep("output_tokens", range(50, 1, -1), num_samples=1), lambda setting: 5.0)
    totals = list(store.figures([many])["totals_ms"].iloc[0])
    assert len(totals) == 20
    assert totals == sorted(totals)


def test_key_figures_are_asked_again_only_of_runs_with_further_samples(store, monkeypatch):
    a_run(store)
    asked = []
    real = store.figures
    monkeypatch.setattr(store, "figures", lambda ids: asked.append(list(ids)) or real(ids))
    figures = KeyFigures(store)
    first = figures.add_to(store.run_list())
    empty = a_run(store, state=State.FAILED, only=0)
    new = a_run(store)
    runs = figures.add_to(store.run_list()).set_index("id")
    assert asked == [first["id"].tolist(), [new]]
    assert runs["ttft_ms"].notna().sum() == 2
    assert runs["ttft_ms"].isna()[empty]
    assert (runs["duration_s"].dropna() >= 0).all()
