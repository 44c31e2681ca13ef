"""Measure how long a served page's refresh takes while several sessions watch a run that grows.

`python -m tests.browser.watching [SESSIONS [SECONDS]]` starts a dashboard of its own, appends a sample to a run's spool
every tenth of a second, and has each session look twice a second, as a browser's page does: from asking to the last
element received. Sessions speak the browser's protocol without a browser, so that none shares the server's cores.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import spool_directory

from .conftest import serving

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_PAGE, _LOOK_S, _SAMPLE_S = "vision_tokens", 0.5, 0.1


def main(sessions: int = 10, seconds: float = 30.0) -> None:
    """Print the median and 95th percentile of the refreshes of all sessions."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "data.duckdb"
        spools, ended, opened = spool_directory(database), threading.Event(), threading.Semaphore(0)
        spools.mkdir()
        experiment = CATALOGUE["context_scaling"]
        settings = build_settings(experiment, range(1, 13), base_setting(experiment, PRESETS["tiny"]))
        spec = RunSpec.new(Target(), Sweep(experiment.name, settings, num_samples=1000))
        taken: list[float] = []
        with SpoolWriter(spool_path(spools, spec.id)) as writer:
            writer.run(spec)
            writer.state(State.RUNNING)
            for number in range(240):
                writer.sample(_sample(number))
            with serving(database) as url:
                watching = [
                    threading.Thread(target=_watch, args=(url, spec.id, ended, opened, taken)) for _ in range(sessions)
                ]
                for thread in watching:
                    thread.start()
                    time.sleep(_LOOK_S / sessions)
                for _ in watching:
                    opened.acquire()
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    number += 1
                    writer.sample(_sample(number))
                    time.sleep(_SAMPLE_S)
                ended.set()
                for thread in watching:
                    thread.join()
    cuts = statistics.quantiles(taken, n=20)
    print(f"{len(taken)} refreshes of {sessions} sessions: median {cuts[9]:.3f} s, 95th percentile {cuts[18]:.3f} s")


def _sample(number: int) -> Sample:
    columns = number % 12 + 1
    stages = (5.0 + columns, 1.0, 30.0 + 3 * columns + number % 7 / 10, 0.0, 0.1)
    tokens = 192 + 96 * columns
    return Sample(
        number, columns - 1, number // 12, number / 10, *stages, sum(stages), (), columns + 1, tokens, tokens + 60, 1
    )


def _watch(url: str, run_id: str, ended: threading.Event, opened: threading.Semaphore, taken: list[float]) -> None:
    """Open the page, then look again and again."""
    asked = f"run={run_id}"
    with connect(f"{url.replace('http', 'ws')}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as session:
        first = BackMsg()
        first.rerun_script.query_string, first.rerun_script.page_name = asked, _PAGE
        fragment, page = _finished(session, first)
        opened.release()
        while not ended.wait(_LOOK_S):
            look = BackMsg()
            look.rerun_script.query_string, look.rerun_script.fragment_id = asked, fragment
            look.rerun_script.page_script_hash = page
            begin = time.perf_counter()
            _finished(session, look)
            taken.append(time.perf_counter() - begin)


def _finished(session: ClientConnection, asked: BackMsg) -> tuple[str, str]:
    """Ask, and read until the script has finished; the part that is to be asked for again and the page it is of."""
    session.send(asked.SerializeToString())
    fragment = page = ""
    while True:
        told = ForwardMsg()
        told.ParseFromString(session.recv(timeout=120))
        kind = told.WhichOneof("type")
        if kind == "auto_rerun" and told.auto_rerun.interval == _LOOK_S:
            fragment = told.auto_rerun.fragment_id
        elif kind == "new_session":
            page = told.new_session.page_script_hash
        elif kind == "script_finished" and (fragment or asked.rerun_script.fragment_id):
            return fragment, page


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float), sys.argv[1:], strict=False)))
