"""What `run` writes and prints when a run has ended."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from profcore.cli.common import deliver
from profcore.cli.tables import print_table
from profcore.comparisons import flops_scaling
from profcore.comparisons.flops_latency import correlations, display_correlations
from profcore.comparisons.flops_scaling import routed_experts
from profcore.experiments.motivation import MOTIVATION
from profcore.export.result_files import result_files
from profcore.models.recorded import is_small_trained
from profcore.models.shapes.shape import WHAT
from profcore.results.base import MeasuredRun
from profcore.results.energy import display_energy, energy_failures, energy_words, has_energy
from profcore.results.joint import JointResult, load_joint
from profcore.results.joint_tables import display_short_joint
from profcore.results.pictures import load_picture_result
from profcore.results.quality import (
    RANDOM_QUALITY,
    accuracy_words,
    has_quality,
    is_random,
    quality_failure,
    quality_words,
)
from profcore.results.sweep import Result, load_result
from profcore.results.tables import display_quality, display_short_summary, display_without_flagged
from profcore.roofline.flops import with_flops
from profcore.spec.environments import set_aside_words
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.stats import flag_sentences
from profcore.storage.frames import SpoolReader, spool_environment, spool_routing, spool_samples
from profcore.storage.lines import read_from

DEFAULT_PROFILING_OUTPUT = Path("results/profiling")
DEFAULT_MOTIVATION_OUTPUT = Path("results/motivation")
FLOPS_VS_LATENCY = "flops_vs_latency"


def report_run(options: argparse.Namespace, spec: RunSpec, path: Path, state: State) -> int:
    """Write the result files, print what they say, and hand the spool to the store."""
    samples, name = spool_samples(path), spec.sweep.experiment
    if samples.empty:
        last = read_from(path).records[-1]
        print(f"profcore: {name} {state}: {last.get('reason')}", file=sys.stderr)
    else:
        reader, routed = SpoolReader(path), spool_routing(path)
        result = load_result(reader, spec.id) or load_joint(reader, spec.id) or load_picture_result(reader, spec.id)
        assert result
        _write_all(options, result, result_files(name, samples, result.metadata, routed), state)
        if isinstance(result, Result):
            print_table(display_short_summary(result))
            print_energy(result)
        if isinstance(result, JointResult):
            print_table(display_short_joint(result))
        print_quality(result)
        _print_what(result)
        _print_flags(result)
        _print_scaling(options, result)
    deliver(options, path)
    return 0 if state is State.DONE else 1


def report_merged(options: argparse.Namespace, run_id: str, paths: list[Path], state: State) -> None:
    """Write the result files of a run that several devices shared, and print what they say of it as one run."""
    try:
        from profcore.storage.connection import IN_MEMORY
        from profcore.storage.store import Store
    except ImportError as error:
        print(f"{error.name} is not installed here: import these spools where it is, and they are one run.")
        return
    with Store(IN_MEMORY, paths[0].parent) as store:
        for path in paths:
            store.try_take_in(path)
        result = load_result(store, run_id) or load_joint(store, run_id) or load_picture_result(store, run_id)
        if result is None or result.samples.empty:
            run = store.run(run_id) or {}
            print(f"profcore: run {run_id} {state}: {run.get('reason')}", file=sys.stderr)
            return
        samples, routed = store.sample_table(run_id).to_pandas(), routed_experts(result.settings)
        files = result_files(result.run["experiment"], samples, result.metadata, routed)
        _write_all(options, result, files, state)
        if isinstance(result, Result):
            print_table(display_short_summary(result))
            print_energy(result)
        if isinstance(result, JointResult):
            print_table(display_short_joint(result))
        print_quality(result)
        _print_what(result)
        _print_flags(result)
        _print_scaling(options, result)
        for text in set_aside_words(result.run["environments"]):
            print(f"Warning: {text}", file=sys.stderr)
        print(f"Run {run_id}, measured on {counted(len(paths), 'device')}.")


def _print_scaling(options: argparse.Namespace, result: MeasuredRun) -> None:
    """Whether latency grows with top-k as the arithmetic does, where that was asked."""
    if options.experiment == flops_scaling.EXPERIMENT and isinstance(result, Result):
        rows = flops_scaling.run_scaling(result)
        print_table(flops_scaling.display_scaling(rows))
        print("\n".join(flops_scaling.explain_scaling(rows)))


def print_energy(result: Result) -> None:
    """What settings take in joules, where that was measured, and why where it was to be and could not."""
    for reason, number in energy_failures(result.settings):
        print(f"No energy of {counted(number, 'setting')}: {reason}")
    if has_energy(result):
        print_table(display_energy(result))
        print(energy_words(result))


def print_quality(result: MeasuredRun) -> None:
    """What settings give in quality, where that was recorded, and why where it was to be and could not."""
    if failure := quality_failure(result.settings):
        print(failure)
    if not has_quality(result.settings):
        return
    if isinstance(result, Result):
        print_table(display_quality(result))
    # A joint run's table has accuracy alone, where there is one.
    answered = isinstance(result, JointResult) and result.points["accuracy"].notna().any()
    print(accuracy_words(result) if answered else quality_words(result))
    if is_random(result):
        print(RANDOM_QUALITY)


def _print_what(result: MeasuredRun) -> None:
    """What was measured, where its latencies are not those of the model that it is built like."""
    if is_small_trained(result.run["environment"]):
        print(WHAT)


def _print_flags(result: MeasuredRun) -> None:
    """How many samples were taken while the card was held back or shared, and what they did to the totals."""
    if sentences := flag_sentences(result.samples):
        print("\n".join(sentences))
        print_table(display_without_flagged(result.samples, result.settings, all_latencies=False))


def report_flops(options: argparse.Namespace, paths: list[Path]) -> None:
    """Write and print what is derived from experiments 3 and 4 together."""
    frames = [spool_samples(path) for path in paths]
    # Settings of two runs are no longer told apart by their numbers.
    samples = pd.concat([frame.assign(setting=frame["setting"] + 10**6 * n) for n, frame in enumerate(frames)])
    samples = samples.reset_index(drop=True).assign(sample_id=range(len(samples)))
    environment = spool_environment(paths[-1])
    metadata = {"environment": environment, "derived_from": [path.stem for path in paths]}
    for file, text in result_files(FLOPS_VS_LATENCY, samples, metadata).items():
        print(f"{FLOPS_VS_LATENCY}: in {_write(options, FLOPS_VS_LATENCY, file, text)}")
    print_table(display_correlations(correlations(with_flops(samples, environment))))


def _write_all(options: argparse.Namespace, result: MeasuredRun, files: dict[str, str], state: State) -> None:
    """Write a run's result files, and print where; those of a joint run lie in a folder of their own."""
    name, taken = result.run["experiment"], counted(len(result.samples), "sample")
    if not isinstance(result, JointResult):
        for file, text in files.items():
            print(f"{name}: {taken}, {state}, in {_write(options, name, file, text)}")
        return
    places = [
        _write(options, name, f"{name}/{result.run['id']}/{Path(file).name}", text) for file, text in files.items()
    ]
    print(f"{name}: {taken}, {state}, in {counted(len(places), 'file')} of {places[0].parent}")


def _write(options: argparse.Namespace, experiment: str, file: str, text: str) -> Path:
    default = DEFAULT_MOTIVATION_OUTPUT if experiment in MOTIVATION else DEFAULT_PROFILING_OUTPUT
    path = (options.output_dir or default) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
