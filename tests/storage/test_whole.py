"""What a killed process left half written is taken away, and nothing else."""

import os
import time

from profcore.storage.store import Store


def test_drafts_that_nobody_writes_any_more_are_taken_away(tmp_path):
    database = tmp_path / "data.duckdb"
    with Store(database) as store:
        store.spools.mkdir(exist_ok=True)
    half = "data.duckdb.0a1b2c3d.part"
    left = [store.spools / "a.x1.part", tmp_path / half, tmp_path / f"{half}.wal"]
    kept = [store.spools / "b.x2.part", tmp_path / f"other-{half}", tmp_path / "data.duckdb.my.partial.csv"]
    for path in (*left, *kept):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    for path in (*left, *kept[1:]):
        os.utime(path, (two_days_ago, two_days_ago))
    with Store(database):
        pass
    assert [path for path in left if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
