"""`submit --print`: what another scheduler takes, printed and not started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.worker.manifests import as_yaml, kubernetes_manifest, skypilot_task, slurm_script

if TYPE_CHECKING:
    import argparse

    from profcore.worker.campaigns import Campaign


def print_job(options: argparse.Namespace, campaign: Campaign) -> int:
    """Print a campaign as the scheduler that was named takes it."""
    if options.form == "slurm":
        print(slurm_script(campaign), end="")
    elif options.form == "kubernetes":
        print(as_yaml(kubernetes_manifest(campaign, options.container, options.volume)), end="")
    else:
        print(as_yaml(skypilot_task(campaign, options.accelerator)), end="")
    return 0
