"""A campaign as other schedulers take it: read back by their own clients where installed, and run by a shell."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from profcore.cli.parser import parse
from profcore.worker.campaigns import new_campaign
from profcore.worker.manifests import as_yaml, kubernetes_manifest, skypilot_task, slurm_script

HOSTILE = 'it\'s "a" `test` $HOME $(HOSTNAME) # : - {x} \\ é\nyes'


def campaign(tmp_path, gpus=1, **more):
    options = {
        "partition": "gpu",
        "gpus_per_task": gpus,
        "cpus_per_task": 4,
        "minutes": 90,
        "slurm": {"account": "a b"},
    }
    given = {"words": ("--model=tiny", f"--prompt={HOSTILE}", "--top-k-values", "1", "2"), "options": options, **more}
    return new_campaign(
        tmp_path / "with space", "A_run-1", experiment="moe_topk", launcher="slurm", shards=4, database="", **given
    )


def told(script, tmp_path, **environment):
    """What a script has the interpreter told: it is run with one that prints its words."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' \"$@\"\n"
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": f"{python.parent}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def check_words(words, tmp_path, device="cuda:0"):
    """Whether they are the third shard's, whole."""
    assert words[:3] == ["-m", "profcore", "run"]
    options = parse(words[2:])
    assert (options.shard, options.campaign, options.prompt) == ((3, 4), "A_run-1", HOSTILE)
    assert (options.device, options.top_k_values) == (device, ["1", "2"])
    assert options.spool_only == tmp_path / "with space/A_run-1/spools"


def directives_of(script):
    """What `sbatch` reads of a script, by its names."""
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    return dict(shlex.split(line)[1].removeprefix("--").split("=", 1) for line in lines)


@pytest.mark.parametrize("folder", ["with space", "it's", 'a "b"', "%j-%A_%a 100%", "-x", "#1 $HOME `id` ; ls", "é"])
def test_folders_of_any_name_are_named_whole(tmp_path, folder):
    made = new_campaign(
        tmp_path / folder,
        "run",
        experiment="moe_topk",
        launcher="slurm",
        shards=2,
        database="",
        words=(),
        options={"partition": "", "gpus_per_task": 0, "cpus_per_task": 4, "minutes": 90, "slurm": {}},
    )
    script = slurm_script(made)
    # Of two percent signs Slurm makes one; what stands for a task's number stands alone.
    assert directives_of(script)["output"].replace("%%", "\0").replace("%a", "7").replace("\0", "%") == (
        f"{tmp_path}/{folder}/run/logs/7.log"
    )
    told_words = told(script.replace(made.python, "python"), tmp_path, SLURM_ARRAY_TASK_ID="2")
    assert told_words[told_words.index("--spool-only") + 1] == f"{tmp_path}/{folder}/run/spools"
    made_folders = next(line for line in script.splitlines() if "mkdir" in line).partition("mkdir -p ")[2]
    assert shlex.split(made_folders) == [f"{tmp_path}/{folder}/run/logs"]


def test_names_of_jobs_are_short_enough_for_their_pods_and_tell_campaigns_apart(tmp_path):
    names = set()
    for name in ("a" * 60, f"{'a' * 59}b", "A_b", "a-b", "a_b", "a_b_"):
        made = replace(campaign(tmp_path), id=name, shards=1000)
        found = kubernetes_manifest(made, "i", "c")["metadata"]["name"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found)
        assert len(f"{found}-999") <= 63
        names.add(found)
    assert len(names) == 6


def test_a_script_for_sbatch_measures_the_shard_of_its_task(tmp_path):
    made = campaign(tmp_path)
    script = slurm_script(made).replace(made.python, "python")
    assert script.startswith("#!/bin/bash\n#SBATCH --")
    directives = dict(
        line.removeprefix("#SBATCH --").split("=", 1) for line in script.splitlines() if "#SBATCH" in line
    )
    assert (directives["array"], directives["gpus-per-task"], directives["time"]) == ("1-4", "1", "90")
    assert (directives["account"], directives["partition"]) == ("'a b'", "gpu")
    check_words(told(script, tmp_path, SLURM_ARRAY_TASK_ID="3"), tmp_path)
    on_cpu = slurm_script(campaign(tmp_path, gpus=0))
    assert "gpus" not in on_cpu
    assert "--device cpu" in on_cpu


def test_an_indexed_job_measures_the_shard_of_its_index(tmp_path):
    made = kubernetes_manifest(campaign(tmp_path), "registry/image:1", "claim")
    assert yaml.safe_load(as_yaml(made)) == made
    spec = made["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["volumeMounts"][0]["mountPath"] == str(tmp_path / "with space")
    # What the cluster makes of it before a shell sees it: two dollars are one, and stand for nothing.
    script = container["command"][2].replace("$$(", "$(")
    check_words(told(script, tmp_path, JOB_COMPLETION_INDEX="2"), tmp_path)
    on_cpu = kubernetes_manifest(campaign(tmp_path, gpus=0), "i", "c")["spec"]["template"]["spec"]
    assert on_cpu["containers"][0]["resources"]["limits"] == {"cpu": "4"}


def test_an_indexed_job_is_one_for_the_clusters_own_client(tmp_path):
    client = pytest.importorskip("kubernetes.client", reason="the Kubernetes client is not installed here")
    made = yaml.safe_load(as_yaml(kubernetes_manifest(campaign(tmp_path), "image", "claim")))

    class Answer:
        data = json.dumps(made)

    # It refuses what a Job has not or lacks, and drops what it does not know: nothing is lost on the way.
    job = client.ApiClient().deserialize(*_for_client(client, Answer))
    assert client.ApiClient().sanitize_for_serialization(job) == made


def _for_client(client, answer):
    """The arguments that this version's `deserialize` takes."""
    import inspect

    parameters = inspect.signature(client.ApiClient.deserialize).parameters
    if "response_text" in parameters:
        return answer.data, "V1Job", "application/json"
    return answer, "V1Job"


def test_a_task_for_skypilot_measures_the_shard_of_its_node(tmp_path):
    made = skypilot_task(campaign(tmp_path), "H100")
    assert yaml.safe_load(as_yaml(made)) == made
    assert (made["num_nodes"], made["resources"]["accelerators"]) == (4, "H100:1")
    check_words(told(made["run"], tmp_path, SKYPILOT_NODE_RANK="2"), tmp_path)
    assert "accelerators" not in skypilot_task(campaign(tmp_path, gpus=0), None)["resources"]


def test_a_task_for_skypilot_ends_a_shard_in_order_when_its_time_is_over(tmp_path):
    bound = skypilot_task(campaign(tmp_path), "H100")["run"].splitlines()[2].partition(" python ")[0]
    assert bound.endswith(" 90m")
    # With a limit of a moment the command is interrupted, and says so by its own end.
    script = f"{bound.replace('90m', '0.1s')} {sys.executable} -c 'import time; time.sleep(60)'"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "KeyboardInterrupt" in done.stderr) == (124, True)


def test_a_task_is_one_for_skypilot_itself(tmp_path, monkeypatch):
    # Nobody is told that it was tried, and what it keeps of a person stays away from theirs.
    monkeypatch.setenv("SKYPILOT_DISABLE_USAGE_COLLECTION", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed here")
    made = yaml.safe_load(as_yaml(skypilot_task(campaign(tmp_path), "H100")))
    task = sky.Task.from_yaml_config(made)
    assert task.num_nodes == 4


@pytest.mark.parametrize(
    "value",
    [
        {"a": "yes", "b": "1", "c": "", "d": None, "e": True, "f": 1.5, "g": [], "h": {}},
        {"a": ["x", {"b": 1, "c": [1, "2"]}, ["y", "z"]], "key with: colon": "- x"},
        {
            "block": "one\ntwo\n",
            "no block": " one\ntwo\n",
            "nor this": "one\n\ttwo",
            "end": "a\n\n",
            "sign": "\x07\n\n",
        },
        {"null": "~", "date": "2026-01-01", "octal": "0o7", "e": "1e3", "nan": ".nan", "uni": "\u2028é"},
    ],
)
def test_plain_values_are_the_same_again(value):
    assert yaml.safe_load(as_yaml(value)) == value
