"""A campaign as other schedulers take it: a script for sbatch, an indexed Job for Kubernetes, a task for SkyPilot.

Each shard is one command, and goes on with its spool where it is started again. Nothing is started from here.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.worker.campaigns import Campaign

_RETRIES = 3
_STOPS_WITHIN_S = 60
_LONGEST_NAME = 63
# What a scheduler's own variable is put in the place of.
_SHARD = "PROFCORE-SHARD"
# A scalar that YAML takes as the text it is.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


def slurm_script(campaign: Campaign) -> str:
    """A script for `sbatch`: an array with a task for each shard, with one card."""
    given = campaign.options
    options: dict[str, Any] = {
        "job-name": f"profcore-{campaign.experiment}",
        "array": f"1-{campaign.shards}",
        "ntasks": 1,
        "cpus-per-task": given["cpus_per_task"],
        "time": given["minutes"],
        # Slurm's own patterns begin with a percent sign, of which two are one.
        "output": f"{str(campaign.logs).replace('%', '%%')}/%a.log",
        "open-mode": "append",
        "chdir": campaign.working_directory,
    }
    if given["gpus_per_task"]:
        options["gpus-per-task"] = given["gpus_per_task"]
    if given["partition"]:
        options["partition"] = given["partition"]
    lines = [f"#SBATCH --{name}={shlex.quote(str(value))}" for name, value in {**options, **given["slurm"]}.items()]
    # The folders are there before the first task writes its log: Slurm makes none.
    before = f"# Before submitting: mkdir -p {shlex.quote(str(campaign.logs))}"
    command = _shell(campaign, '"$SLURM_ARRAY_TASK_ID"')
    return "\n".join(["#!/bin/bash", *lines, before, "set -eu", command, ""])


def kubernetes_manifest(campaign: Campaign, image: str, claim: str) -> dict[str, Any]:
    """An indexed Job: each index is a shard, with one card, and starts again by itself where it fails.

    Args:
        campaign: The campaign; its folder lies on the volume.
        image: A container's image with profcore in it.
        claim: The volume claim that is mounted at the folder where campaigns lie.
    """
    given = campaign.options
    resources: dict[str, Any] = {"cpu": str(given["cpus_per_task"])}
    if given["gpus_per_task"]:
        resources["nvidia.com/gpu"] = str(given["gpus_per_task"])
    command = _shell(campaign, '"$shard"', python="python")
    # A dollar before a parenthesis is Kubernetes' own, unless there are two.
    script = f"set -eu; shard=$((JOB_COMPLETION_INDEX + 1)); {command}".replace("$(", "$$(")
    container = {
        "name": "shard",
        "image": image,
        "command": ["/bin/sh", "-c", script],
        "resources": {"limits": resources},
        "volumeMounts": [{"name": "campaigns", "mountPath": str(campaign.folder.parent)}],
    }
    pod = {
        "restartPolicy": "Never",
        # Of each shard by itself, from when a node has it: one that waits for a card uses none of it up.
        "activeDeadlineSeconds": 60 * given["minutes"],
        "containers": [container],
        "volumes": [{"name": "campaigns", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        # A pod of it is called after it and its index.
        "metadata": {"name": _dns_name(campaign.id, _LONGEST_NAME - len(f"-{campaign.shards - 1}"))},
        "spec": {
            "completionMode": "Indexed",
            "completions": campaign.shards,
            "parallelism": campaign.shards,
            "backoffLimitPerIndex": _RETRIES,
            "template": {"spec": pod},
        },
    }


def skypilot_task(campaign: Campaign, accelerator: str | None) -> dict[str, Any]:
    """A task on as many nodes as there are shards; each measures the one of its rank, for as long as it may take.

    Args:
        campaign: The campaign; its folder is one that every node sees.
        accelerator: The card that each node has; None for none.
    """
    given = campaign.options
    resources: dict[str, Any] = {"cpus": f"{given['cpus_per_task']}+"}
    if given["gpus_per_task"]:
        resources["accelerators"] = f"{accelerator}:{given['gpus_per_task']}"
    # SkyPilot bounds no task. As by Ctrl-C the shard is stopped in order, which keeps what it measured.
    bound = f"timeout --foreground --signal=INT --kill-after={_STOPS_WITHIN_S}s {given['minutes']}m"
    command = _shell(campaign, '"$shard"', python="python")
    script = f"set -eu\nshard=$((SKYPILOT_NODE_RANK + 1))\n{bound} {command}\n"
    return {
        "name": _dns_name(campaign.id),
        "num_nodes": campaign.shards,
        "resources": resources,
        "run": script,
    }


def _shell(campaign: Campaign, shard: str, python: str = "") -> str:
    """A shard's command as a shell runs it.

    Args:
        campaign: The campaign.
        shard: What gives the shell the shard's number.
        python: The interpreter there; this machine's unless given.
    """
    words = campaign.command(_SHARD, "cuda:0" if campaign.options["gpus_per_task"] else "cpu")
    if python:
        words[0] = python
    return shlex.join(words).replace(_SHARD, shard)


def _dns_name(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name that Kubernetes takes, another one for each text: small letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9-]+", "-", f"profcore-{text}".lower()).rstrip("-")
    if name == f"profcore-{text}" and len(name) <= longest:
        return name
    told = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{name[: longest - len(told) - 1].rstrip('-')}-{told}"


def as_yaml(value: Mapping[str, Any]) -> str:
    """Plain values as YAML; a text that could be taken for something else is quoted as in JSON, which is YAML too."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    """A mapping's or a list's lines, as they stand furthest left."""
    lines: list[str] = []
    pairs = [(f"{_scalar(name)}:", each) for name, each in value.items()] if isinstance(value, dict) else None
    for head, each in pairs if pairs is not None else [("-", each) for each in value]:
        if isinstance(each, dict | list) and each:
            inner = _lines(each)
            if head == "-":
                lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
            else:
                lines += [head, *(f"  {line}" for line in inner)]
        elif isinstance(each, str) and _is_block(each):
            lines += [f"{head} |", *(f"  {line}" for line in each.splitlines())]
        else:
            lines.append(f"{head} {_scalar(each)}")
    return lines


def _is_block(text: str) -> bool:
    """Whether a text reads as well in lines of its own: several lines of usual letters, ended by a line's end."""
    lines = text.split("\n")
    ends_once = len(lines) > 2 and not lines[-1] and bool(lines[-2].strip())
    return ends_once and bool(lines[0][:1].strip()) and all(map(str.isprintable, lines))


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)
