"""The four experiments as somebody has them who never ran any: a process, a model and an engine of their own.

`python -m profcore.bench.suite TARGET SAMPLES` is that process; its last line is what it took, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.bench.base import Figure, at_most
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.paths import REPOSITORY
from profcore.spec.runs import Sweep, Target

if TYPE_CHECKING:
    from profcore.worker.shelf import ModelShelf

_SAMPLES = 50


def suite(target: Target, shelf: ModelShelf) -> list[Figure]:
    """All four default experiments from a loaded model, 50 samples a setting, compiling and capturing included.

    What other benchmarks compiled, chose or captured is not there: neither in the process nor on disk. Nothing where
    that process ends early, which says itself why.
    """
    # Two of a model may not fit the card.
    shelf.clear()
    command = [sys.executable, "-m", "profcore.bench.suite", json.dumps(target.to_dict()), str(_SAMPLES)]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            command, env=surroundings(Path(empty)), cwd=Path.cwd(), stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        print(f"suite: not run (its own process ended with {done.returncode}).", file=sys.stderr)
        return []
    found = json.loads(done.stdout.splitlines()[-1])
    must = at_most(1.1) if target.engine == "compiled" and target.device.startswith("cuda") else None
    how = f"{found['inferences']} inferences of all four experiments, in a process of its own, nothing cached on disk"
    return [Figure("suite", found["seconds"] / 60, "min", how, must)]


def surroundings(empty: Path) -> dict[str, str]:
    """This process's environment, with every cache of compiled code in an empty folder, and models where they are."""
    from huggingface_hub.constants import HF_HOME

    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        # What was fetched of the hub lies in the user's cache directory, unless told.
        "HF_HOME": HF_HOME,
        # Of tilings that were chosen, and of what this project compiles.
        "XDG_CACHE_HOME": str(empty),
        "TORCHINDUCTOR_CACHE_DIR": str(empty / "inductor"),
        "TRITON_CACHE_DIR": str(empty / "triton"),
        "CUDA_CACHE_PATH": str(empty / "cuda"),
    }


def measure(target: Target, num_samples: int) -> dict[str, float]:
    """Seconds that the four experiments take once the model is loaded, and how many inferences they are."""
    from profcore.bench.model import samples_of
    from profcore.worker.shelf import ModelShelf

    shelf = ModelShelf()
    config = shelf.get(target).model.config
    begin, inferences = time.perf_counter(), 0
    for experiment in CATALOGUE.values():
        settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
        inferences += len(samples_of(target, shelf, Sweep(experiment.name, settings, num_samples=num_samples)))
    return {"seconds": time.perf_counter() - begin, "inferences": inferences}


def main(words: list[str]) -> int:
    """Measure as the words say and print it; 2 for what a person can put right, 130 if interrupted."""
    try:
        print(json.dumps(measure(Target(**json.loads(words[0])), int(words[1]))), flush=True)
    except UserError as error:
        print(f"suite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
