"""The sample results, exported and read back: what a person downloads says what was measured."""

import pandas as pd
import pytest

from profcore.export.archive import load_run, run_result_files
from profcore.formats.imports import read_import, write_import
from profcore.results.joint import JointResult
from profcore.results.sweep import Result
from profcore.storage.store import Store


@pytest.mark.long
def test_every_sample_result_reads_back_as_it_was(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        store.take_in_shipped()
        for run_id in store.runs()["id"]:
            before = load_run(store, run_id)
            if isinstance(before, JointResult):
                # A folder of files; that they read back whole is held in tests/formats.
                continue
            text = next(iter(run_result_files(store, before).values()))
            found = read_import(text.encode(), "again.json", store.spools)
            write_import(found, store.spools)
            store.take_in_all()
            after = load_run(store, found.run_id)
            assert after.run["environment"] == before.run["environment"]
            assert after.run["spec"] == before.run["spec"]
            assert len(after.samples) == len(before.samples)
            order = ["setting", "metric"] if isinstance(before, Result) else ["setting"]
            rows = [each.summary if isinstance(each, Result) else each.points for each in (before, after)]
            columns = [column for column in rows[0] if column in rows[1]]
            first, second = (frame.sort_values(order)[columns].reset_index(drop=True) for frame in rows)
            pd.testing.assert_frame_equal(first, second, check_dtype=False)
