"""`baseline` and `regress`: what they print, and with which status they end."""

import json
import xml.etree.ElementTree as ET

import pytest

from profcore.cli.parser import main
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A database with a run, slower and faster ones of a newer torch, one of few samples, one of another card."""
    path = tmp_path_factory.mktemp("held") / "data.duckdb"
    sweep, few = small_sweep(num_samples=20), small_sweep(num_samples=3)
    with Store(path) as store:
        ids = {
            "before": store_run(store, sweep, lambda setting: 10.0),
            "slower": store_run(store, sweep, lambda setting: 11.0, torch="2.12"),
            "faster": store_run(store, sweep, lambda setting: 9.0, torch="2.12"),
            "few": store_run(store, few, lambda setting: 10.0),
            "card": store_run(store, sweep, lambda setting: 10.0, device_name="another card"),
        }
    return path, ids


@pytest.fixture
def ask(runs, capsys):
    def asked(*words):
        with pytest.raises(SystemExit) as ended:
            main([*(runs[1].get(word, word) for word in words), "--db", str(runs[0])])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return asked


@pytest.mark.long
def test_a_run_is_held_against_a_baseline(ask, runs):
    assert ask("baseline", "list")[:2] == (0, "There is no baseline: `profcore baseline set RUN` makes one.\n")
    assert ask("baseline", "set", "before")[1] == f"moe_topk is {runs[1]['before']} now.\n"
    assert ask("baseline", "set", "before", "--name", "main")[0] == 0
    listed = ask("baseline", "list")[1]
    assert runs[1]["before"] in listed
    assert [line.split()[0] for line in listed.splitlines()] == ["name", "main", "moe_topk"]
    assert [ask("regress", name, "--against", "main")[0] for name in ("before", "faster", "slower", "few", "card")] == [
        *(0, 0, 1, 3, 2)
    ]
    assert ask("regress", "slower", "--against", "before", "--margin", "20%")[0] == 0
    code, said, _ = ask("regress", "slower", "--against", "main", "--latency", "prefill", "prefill")
    assert said.startswith(f"Slower: {runs[1]['slower']} is slower than {runs[1]['before']} by more than 2 %.")
    assert "torch: 2.11 then, 2.12 now" in said
    assert "LLM decode" not in said
    assert ask("baseline", "remove", "main")[0] == 0
    code, said, wrong = ask("regress", "few", "--against", "main")
    assert (code, said) == (2, "")
    assert "no baseline or run 'main': the baselines are moe_topk" in wrong


def test_every_format_is_what_it_says(ask):
    report = ask("regress", "slower", "--against", "before", "--format", "json")[1]
    assert json.loads(report)["verdict"] == "slower"
    suites = ET.fromstring(ask("regress", "slower", "--against", "before", "--format", "junit")[1])
    assert int(suites.get("failures")) > 0
    markdown = ask("regress", "slower", "--against", "before", "--format", "markdown")[1]
    assert markdown.startswith("**Slower: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("baseline", "set"), "Name a run"),
        (("baseline", "remove"), "Name a baseline"),
        (("baseline", "remove", "none"), "no baseline 'none'"),
        (("baseline", "list", "before"), "lists them all"),
        (("baseline", "list", "--name", "x"), "takes none"),
        (("baseline", "put", "before"), "There is no action 'put'"),
        (("baseline", "set", "before", "--name", ""), "needs a name"),
        (("regress", "slower"), "required"),
        (("regress", "slower", "--against", "main\udcff"), "no text in UTF-8"),
        (("regress", "slower", "--against", "before", "--margin", "0"), "no share"),
        (("regress", "slower", "--against", "before", "--latency", "all"), "no --latency 'all'"),
    ],
)
def test_bad_input_ends_with_status_2(ask, words, said):
    code, out, wrong = ask(*words)
    assert (code, out) == (2, "")
    assert said in wrong
