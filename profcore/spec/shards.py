"""A run split by setting into shards, which several cards or machines measure; standard library only.

A shard's spool is that of the whole run, of which it visits some settings: its own, which no other shard has, and the
anchors, which every shard has, so that cards are compared before what they measured is pooled. The split follows from
the sweep alone, so that processes that know nothing of each other agree on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec.runs import RunSpec, Shard, fresh_id, is_run_id
from profcore.spec.stages import State
from profcore.spec.text import brief, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.spec.runs import Sweep, Target
    from profcore.spec.settings import Setting

MOST_SHARDS = 1000
_LONGEST_CAMPAIGN = 60
_MOST_ANCHORS = 3
_MOST_NAMED = 5
_COSTLY = 2.0
"""An anchor costs at most so many times the mean of all settings: every shard pays for it."""


def usual_anchors(num_settings: int, count: int) -> int:
    """How many settings are repeated on every shard, unless told: fewer where a shard has few settings of its own."""
    if count < 2:
        return 0
    each = num_settings // count
    return _MOST_ANCHORS if each >= 8 else 2 if each >= 4 else 1


def split(
    target: Target, sweep: Sweep, count: int, campaign: str | None = None, anchors: int | None = None
) -> list[Shard]:
    """The shards of a run, the same for whoever asks with the same arguments.

    Args:
        target: What is measured on; another device makes no other campaign.
        sweep: What is split.
        count: How many shards.
        campaign: The id of the whole run; one that follows from the other arguments unless given.
        anchors: How many settings are repeated on every shard; `usual_anchors` unless given.

    Raises:
        UserError: There are fewer settings than that needs, or the id is none.
    """
    number, wanted = len(sweep.settings), usual_anchors(len(sweep.settings), count) if anchors is None else anchors
    if not 1 <= count <= MOST_SHARDS:
        raise UserError(f"A run cannot be split into {count} shards: give 1 to {MOST_SHARDS:,}.")
    if wanted < 0:
        raise UserError(f"{wanted} anchor settings are not possible: give 0 or more.")
    if count > 1 and count + wanted > number:
        raise UserError(
            f"A sweep of {number} settings cannot be split into {count} shards with "
            f"{counted(wanted, 'anchor')}: each shard needs a setting of its own beside those."
        )
    name = _campaign_of(target, sweep, count, wanted) if campaign is None else check_campaign(campaign)
    costs = setting_costs(sweep.settings)
    repeated = anchor_settings(costs, wanted if count > 1 else 0)
    return [
        Shard(name, index, count, tuple(own), tuple(repeated))
        for index, own in enumerate(_parts(costs, repeated, count), start=1)
    ]


def spread_over(target: Target, sweep: Sweep, devices: Sequence[str]) -> list[RunSpec]:
    """A run over devices of one machine, a shard for each of them as far as there are settings for as many.

    Returns:
        One whole run on the first device where it cannot be split; else a shard a device, in the devices' order.
    """
    number = len(sweep.settings)
    count = max(
        (each for each in range(1, len(devices) + 1) if each + usual_anchors(number, each) <= number), default=1
    )
    if count < 2:
        return [RunSpec.new(replace(target, device=devices[0]), sweep)]
    return [
        shard_spec(replace(target, device=device), sweep, shard)
        for device, shard in zip(devices, split(target, sweep, count, fresh_id()), strict=False)
    ]


def largest_share(target: Target, sweep: Sweep, devices: Sequence[str]) -> float:
    """About which share of a run's time the device takes that has most of it to do."""
    costs = setting_costs(sweep.settings)
    shards = [spec.shard for spec in spread_over(target, sweep, devices)]
    return max((sum(costs[place] for place in each.visited) / sum(costs) for each in shards if each), default=1.0)


def run_id_of(spec: RunSpec) -> str:
    """The id of the run that a spec is of, or is a part of."""
    return spec.shard.campaign if spec.shard else spec.id


def shard_spec(target: Target, sweep: Sweep, shard: Shard) -> RunSpec:
    """The run that measures a shard; its id, and with it its spool's name, follows from campaign and index."""
    return replace(RunSpec.new(target, sweep), id=shard_id(shard), shard=shard)


def shard_id(shard: Shard) -> str:
    """The id of a shard's spool."""
    return f"{shard.campaign}-s{shard.index:03d}"


def check_campaign(text: str) -> str:
    """A campaign's id as it was given.

    Raises:
        UserError: It is no id.
    """
    if not is_run_id(text) or len(text) > _LONGEST_CAMPAIGN:
        raise UserError(
            f"{text[:_LONGEST_CAMPAIGN]!r} is no id of a campaign: give up to {_LONGEST_CAMPAIGN} letters, digits, "
            "hyphens and underscores."
        )
    return text


def parse_shard(text: str) -> tuple[int, int]:
    """The index and the count that '2/4' stands for.

    Raises:
        UserError: It stands for none.
    """
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= index <= count <= MOST_SHARDS:
        raise UserError(f"{text[:20]!r} is no shard: give its number and how many there are, such as 2/4.")
    return index, count


def same_run(one: RunSpec, other: RunSpec) -> list[str]:
    """What differs between what two shards of one campaign were asked for, in words; nothing where they are of one run.

    Devices may differ, and so may the shards' numbers.
    """
    found = []
    for where in ("target", "sweep"):
        there, here = getattr(one, where).to_dict(), getattr(other, where).to_dict()
        for name in dict.fromkeys((*there, *here)):
            if (where, name) != ("target", "device") and there.get(name) != here.get(name):
                found.append(name.replace("_", " "))
    first, second = one.shard, other.shard
    if first is None or second is None:
        return [*found, "one is no shard"]
    if first.count != second.count:
        found.append(f"number of shards ({first.count} there, {second.count} here)")
    if first.anchors != second.anchors:
        found.append("anchors")
    return found


def state_of_run(shards: Mapping[int, tuple[State, str | None]], count: int) -> tuple[State, str | None]:
    """Where a run stands whose shards stand here or there, and why where it is not simply done.

    Args:
        shards: The state of each by its number, with the reason.
        count: How many there are to be.
    """
    states = [state for state, _ in shards.values()]
    if State.RUNNING in states:
        return State.RUNNING, None
    if State.QUEUED in states:
        return (State.QUEUED if set(states) == {State.QUEUED} else State.RUNNING), None
    missing = [number for number in range(1, count + 1) if number not in shards]
    bad = {number: (state, reason) for number, (state, reason) in shards.items() if state is not State.DONE}
    said = [
        f"Shard {number} {state}: {brief(reason or 'no reason is known')}" for number, (state, reason) in bad.items()
    ]
    if missing:
        listed = ", ".join(map(str, missing[:_MOST_NAMED])) + (" …" if len(missing) > _MOST_NAMED else "")
        plural = "Shards" if len(missing) > 1 else "Shard"
        said.insert(0, f"{plural} {listed} of {count} {'are' if len(missing) > 1 else 'is'} not here yet.")
    if not said:
        return State.DONE, None
    more = f" And {len(said) - _MOST_NAMED} more." if len(said) > _MOST_NAMED else ""
    failed = any(state is State.FAILED for state, _ in bad.values())
    return (State.FAILED if failed else State.STOPPED), " ".join(said[:_MOST_NAMED]) + more


def setting_costs(settings: Sequence[Setting]) -> list[float]:
    """About what each setting costs, as multiples of the mean: half by what it takes to get any ready, half by latency.

    Only the balance of shards depends on it.
    """
    taken = [_latency_ms(setting) for setting in settings]
    mean = sum(taken) / len(taken)
    return [0.5 + 0.5 * each / mean for each in taken]


def _latency_ms(setting: Setting) -> float:
    """About how long an inference takes.

    Source: docs/figures.md, an H200 under `compiled`: 0.7 ms of vision encoder and 0.6 ms of prefill a crop, and a
    decode step of 0.46 ms and 0.055 ms for each of top-k.
    """
    blocks = setting.active_blocks / len(setting.block_mask)
    crops = setting.grid[0] * setting.grid[1] + 1
    prefill = crops * (0.7 + 0.6 * blocks)
    return prefill + (setting.output_tokens - 1) * blocks * (0.46 + 0.055 * setting.top_k)


def anchor_settings(costs: Sequence[float], number: int) -> list[int]:
    """The settings that every shard repeats: over the range of costs, but for those that cost far more than others."""
    mean = sum(costs) / len(costs)
    order = sorted(range(len(costs)), key=lambda place: (costs[place], place))
    bearable = [place for place in order if costs[place] <= _COSTLY * mean]
    # A few that cost all there is leave too few others.
    bearable += [place for place in order if place not in bearable]
    usable = bearable[: max(number, sum(costs[place] <= _COSTLY * mean for place in order))]
    if number < 2:
        return [usable[len(usable) // 2]] if number else []
    return sorted({usable[round(step * (len(usable) - 1) / (number - 1))] for step in range(number)})


def _parts(costs: Sequence[float], anchors: Sequence[int], count: int) -> list[list[int]]:
    """The settings of each shard's own, the costliest first to whichever has the least so far.

    An anchor is of one shard, too: what is not a latency, such as quality, is measured there alone.
    """
    parts: list[list[int]] = [[] for _ in range(count)]
    for place, anchor in enumerate(anchors):
        parts[place % count].append(anchor)
    load = [0.0] * count
    rest = [place for place in range(len(costs)) if place not in set(anchors)]
    for place in sorted(rest, key=lambda each: (-costs[each], each)):
        least = min(range(count), key=lambda part: (load[part], part))
        parts[least].append(place)
        load[least] += costs[place]
    return [sorted(part) for part in parts]


def _campaign_of(target: Target, sweep: Sweep, count: int, anchors: int) -> str:
    plain: dict[str, Any] = {**target.to_dict(), "device": None}
    text = json.dumps([plain, sweep.to_dict(), count, anchors], sort_keys=True)
    return f"{sweep.experiment[:40]}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
