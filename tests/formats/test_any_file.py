"""Whatever bytes an upload has: it is refused to the person in a sentence, or it is in the database afterwards."""

import json
import random
import time

import pytest

from profcore.errors import FormatError
from profcore.export import archive
from profcore.formats.imports import read_import, write_import
from profcore.results.sweep import load_result
from profcore.spec.runs import RunSpec, Target
from profcore.storage import spool
from profcore.storage.store import Store
from tests.formats.joint_made import latency_file, layout_a
from tests.storage.test_database_states import add_run
from tests.storage.test_unread import SPEC, WHOLE, mutated
from tests.support import small_sweep

PICTURES = {
    "experiment": "latency_distribution",
    "results": [
        {"image_id": "a.png", "query_id": 1, "T_vision_total": 10.0, "T_LLM_prefill": 5.0, "T_LLM_decode": 9.0}
        | {"T_total": 25.0, "num_vision_tokens": 288, "num_input_text_tokens": 12, "num_output_tokens": 4},
    ]
    * 3,
}
BARE = [{"T_total": 5.0, "T_LLM_prefill": 2.0, "top_k": k} for k in (1, 1, 2)]


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """The files that a person may give: results of every form, and a spool."""
    with Store(tmp_path_factory.mktemp("whole") / "data.duckdb") as store:
        run_id = add_run(store.spools)
        store.take_in_all()
        files = archive.run_result_files(store, load_result(store, run_id))
    ours = [text.encode() for text in files.values()]
    others = [PICTURES, BARE, layout_a(4, 8), latency_file(4, 8)]
    return [*ours, *(json.dumps(document).encode() for document in others), WHOLE]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("uploads") / "data.duckdb") as opened:
        yield opened


def check(store, number, document):
    name = f"{number}.json"
    data = mutated(number, document).replace(SPEC.id.encode(), f"{SPEC.id}-{number}".encode())
    try:
        found = read_import(data, name, store.spools)
        write_import(found, store.spools)
    except FormatError as error:
        assert "\n" not in str(error), number
        assert name in str(error), number
        return False
    store.take_in_all()
    assert not store.unread, number
    assert store.run(found.run_id), number
    assert archive.load_run(store, found.run_id), number
    store.remove(found.run_id)
    return True


@pytest.mark.long
def test_an_upload_is_refused_to_the_person_or_is_in_the_database(store, documents):
    taken = [check(store, number, documents[number % len(documents)]) for number in range(120)]
    assert 10 < sum(taken) < 110


@pytest.mark.long
def test_uploads_at_length(store, documents):
    end = time.monotonic() + 60
    for number in range(1000, 5000):
        check(store, number, documents[number % len(documents)])
        if time.monotonic() > end:
            break


def test_an_upload_that_only_the_database_refuses_is_refused_to_the_person(store, monkeypatch):
    """Whatever a check before it lets through, the database has the last word before a file has its name."""
    spec = RunSpec.new(Target(), small_sweep())
    data = f"{json.dumps(spool.run_record(spec))}\n".encode()
    found = read_import(data.replace(b'"num_samples": 2', b'"num_samples": 4000000000'), "mine.jsonl", store.spools)
    with pytest.raises(FormatError, match=r"mine\.jsonl"):
        write_import(found, store.spools)
    assert store.take_in_all() == 0
    assert not store.unread
    assert not list(store.spools.glob("*.part"))


def chance_bytes(number):
    return random.Random(number).randbytes(200)


@pytest.mark.parametrize("number", range(20))
def test_noise_is_refused(store, number):
    with pytest.raises(FormatError):
        read_import(chance_bytes(number), "noise", store.spools)
