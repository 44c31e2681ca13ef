"""What needs no torch is refused before torch is loaded: here it cannot be."""

import json
import os
import subprocess
import sys

from tests.support import ROOT, seconds

COMMANDS = {
    "run moe_topk --top-k-values 999": "above the model's 64 experts",
    "run moe_topk --device cpu --top-k-values 999": "above the model's 64 experts",
    "run transformer_blocks_mask --num-active-blocks 17": "the model has 16",
    "run context_scaling --image /dev/zero": "not a picture that can be read",
    "run moe_topk --device cpu --energy": "NVIDIA GPUs alone",
    "run latency_distribution --energy": "measured of knobs",
    "run context_scaling --quality": "context_scaling records no quality, which follows top-k and blocks there alone",
    "run output_tokens --quality --data-set shapes": "run joint with --quality",
    "run latency_distribution --quality": "latency_distribution records no quality",
    "run latency_distribution --data-set folder --data /dev/null": "neither a file nor a folder",
    "run latency_distribution --num-pictures 0": "measure nothing",
    "run all --model /nowhere": "no model '/nowhere'",
    "run moe_topk --until 1% --num-samples 5": "give one of them",
    "run moe_topk --until 1% --num-runs 5": "give one of them",
    "run moe_topk --max-samples 5": "give --until 1% as well",
    "run moe_topk --until 1% --max-samples 5": "6 to 5,000",
    "run moe_topk --until 99%": "0.01 % to 50 %",
    "run moe_topk --until much": "no share between 0 and 1",
    "run moe_topk --until 1% --max-seconds 0": "no number of seconds above 0",
    "run latency_distribution --until 1%": "each picture must have equally many",
    "compare-engines moe_topk --until 1% --num-samples 5": "give one of them",
    "compare-engines moe_topk --image gone.png": "no picture 'gone.png'",
    "compare-engines moe_topk --model /nowhere": "no model '/nowhere'",
    "inspect topk --top-k-values 999": "above the model's 64 experts",
    "inspect tokens --model /nowhere": "no model '/nowhere'",
    "importance influence --data-set vqa --data .": "Name the file of questions",
    "importance influence --model /nowhere": "no model '/nowhere'",
    "why --top-k 999": "above the model's 64 experts",
    "why --image gone.png": "no picture 'gone.png'",
    "check --expected gone.safetensors --model /nowhere": "no model '/nowhere'",
}
CODE = """
import contextlib, io, json, sys
from profcore.cli.parser import main
found = {}
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            main(words.split())
        except SystemExit as left:
            found[words] = [left.code, said.getvalue()]
print(json.dumps(found))
"""


def test_bad_input_is_refused_without_torch(tmp_path):
    # A module that cannot be imported stands in for torch.
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PROFCORE_DB": str(tmp_path / "db")}
    command = [sys.executable, "-c", CODE, json.dumps(list(COMMANDS))]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=seconds(120), check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for words, says in COMMANDS.items():
        code, said = found[words]
        assert (code, says in said, said.count("\n")) == (2, True, 1), (words, said)
