"""FLOPs against latency of several runs: what may lie on one plane."""

import numpy as np
import pytest

from profcore.comparisons.flops_latency import correlations, pool_alike
from profcore.results.pictures import load_picture_result
from profcore.storage.store import Store
from tests.comparisons.stored import MACHINE, import_file, pictures_sweep, store_run


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def measured(store, cost=10.0, sweep=None, **machine):
    run_id = store_run(store, sweep or pictures_sweep(), lambda setting: cost * setting.grid[1], **machine)
    return load_picture_result(store, run_id)


def test_runs_that_were_measured_alike_are_pooled(store):
    both = [measured(store), measured(store, sweep=pictures_sweep("language_tokens_vs_latency", output_tokens=(8, 16)))]
    (pool,) = pool_alike(both)
    assert len(pool.points) == 6 * 4 + 6 * 2
    assert pool.runs == tuple(each.run["id"] for each in both)
    assert pool.differences == []
    # The same pictures in both runs are one cluster each.
    assert pool.points["image_id"].nunique() == 6


@pytest.mark.parametrize("field", ["device_name", "model", "weights", "dtype", "engine", "experts", "clock"])
def test_what_was_measured_elsewhere_has_points_of_its_own(store, field):
    """Two machines of unlike speed would otherwise spoil the correlation of both."""
    pools = pool_alike([measured(store), measured(store, 100.0, **{field: "another"}), measured(store)])
    assert [len(pool.runs) for pool in pools] == [2, 1]
    assert [len(pool.points) for pool in pools] == [48, 24]


def test_versions_that_differ_are_named(store):
    runs = [measured(store), measured(store, torch="2.13")]
    (pool,) = pool_alike(runs, dict(zip((each.run["id"] for each in runs), "ab", strict=True)))
    assert pool.differences == ["torch: 2.11 (a); 2.13 (b)"]
    assert pool.title == "a; b"


def test_files_that_do_not_say_what_they_were_measured_on_are_pooled_with_nothing(store):
    rows = [{"image_id": str(n), "T_total": 10.0 + n, "flops_total": 1e9 * (n + 1)} for n in range(4)]
    document = {"results": rows, "correlation": {}, "r_squared": {}}
    files = [
        load_picture_result(store, import_file(store, {**document, "results": rows[:number]}, "same.json"))
        for number in (3, 4)
    ]
    pools = pool_alike([measured(store), *files], {each.run["id"]: "same.json" for each in files})
    assert [len(pool.points) for pool in pools] == [24, 3, 4]
    assert len({pool.title for pool in pools}) == 3


def test_pictures_of_two_data_sets_with_one_number_are_two_clusters(store):
    (pool,) = pool_alike([measured(store), measured(store, sweep=pictures_sweep(data_set="another"))])
    assert pool.points["image_id"].nunique() == 12


def test_a_pool_has_the_correlation_of_its_own_points(store):
    """Prefill grows with the grid as its FLOPs nearly do, on both machines."""
    pools = pool_alike([measured(store, model="tiny"), measured(store, 100.0, device_name="slow")])
    points = [pool.points.assign(flops_llm_prefill=pool.points["num_vision_tokens"] * 1e9) for pool in pools]
    found = [correlations(each).set_index("metric").loc["llm_prefill_ms", "r"] for each in points]
    expected = np.corrcoef([288, 384, 480, 576], [1, 2, 3, 4])[0, 1]
    assert found == pytest.approx([expected] * 2)
    assert MACHINE["device_name"] != "slow"
