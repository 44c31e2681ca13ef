"""`submit --print`: what another scheduler takes, printed and not started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.worker.manifests import as_yaml, kubernetes_manifest, skypilot_task, slurm_script

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from profcore.worker.campaigns import Campaign


def print_jobs(options: argparse.Namespace, campaigns: Sequence[Campaign]) -> int:
    """Print campaigns as the scheduler that was named takes them; of several one document after another."""
    for place, campaign in enumerate(campaigns):
        if place:
            print("---")
        _print_job(options, campaign)
    return 0


def _print_job(options: argparse.Namespace, campaign: Campaign) -> None:
    if options.form == "slurm":
        print(slurm_script(campaign), end="")
    elif options.form == "kubernetes":
        print(as_yaml(kubernetes_manifest(campaign, options.container, options.volume)), end="")
    else:
        print(as_yaml(skypilot_task(campaign, options.accelerator)), end="")
