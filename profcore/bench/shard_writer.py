"""Writes shards of made-up samples for `bench --only shards`: a process of its own, as cards that measure would be."""

import sys
from pathlib import Path

from profcore.bench.shards import write_shards

if __name__ == "__main__":
    write_shards(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
