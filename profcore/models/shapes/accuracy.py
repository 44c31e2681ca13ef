"""How many held-out questions the small model answers rightly, at each value of a knob."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import torch

from profcore.data_sets.shapes import PICTURES, QUESTIONS, QUESTIONS_EACH, held_out
from profcore.images.processing import select_tiling
from profcore.models.shapes.batches import NO_LABEL, Batch, make_batch
from profcore.models.shapes.forward import Knobs, Output, Tensors, forward, on_host, to_device

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from profcore.data_sets.shapes import Question
    from profcore.images.shapes import Scene
    from profcore.models.molmoe import MolmoE

_CROPS_AT_ONCE = 160


def right(output: Output, batch: Tensors, end: int) -> Tensor:
    """Which questions are answered by the very word and nothing after it, (B, Q); False where none is asked."""
    said = output.logits.argmax(-1)
    return (said[..., 0] == batch.answers) & (said[..., 1] == end)


def held_out_batches(max_crops: int, pictures: int = PICTURES) -> list[Batch]:
    """The first so many held-out pictures, tiled by the model's own rule into at most so many crops."""
    groups: defaultdict[tuple[int, int], list[tuple[Scene, list[Question]]]] = defaultdict(list)
    for number in range(pictures):
        scene, questions = held_out(number)
        groups[scene.height, scene.width].append((scene, questions))
    made = []
    for (height, width), group in groups.items():
        tiling = select_tiling(height, width, max_crops)
        most = max(1, _CROPS_AT_ONCE // (1 + tiling[0] * tiling[1]))
        for begin in range(0, len(group), most):
            scenes, asked = zip(*group[begin : begin + most], strict=True)
            made.append(make_batch(scenes, asked, tiling, QUESTIONS_EACH))
    return made


def accuracy(model: MolmoE, batches: Iterable[Batch], top_k: int, blocks: tuple[int, ...]) -> dict[str, float]:
    """The share that is answered rightly: of `all`, and of each kind of question."""
    asked: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    device = model.device
    knobs = Knobs.of(model.config, top_k, blocks, device)
    for batch in batches:
        on_device = to_device(on_host(batch, device), device, model.dtype)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            found = right(forward(model, on_device, knobs), on_device, model.config.eos_token_id)
        for kind, name in enumerate(QUESTIONS):
            of_kind = (on_device.kinds == kind) & (on_device.answers != NO_LABEL)
            for key in (name, "all"):
                asked[key] += int(of_kind.sum())
                correct[key] += int((found & of_kind).sum())
    return {key: correct[key] / asked[key] for key in ("all", *QUESTIONS) if asked[key]}


def knob_accuracy(model: MolmoE, pictures: int = PICTURES) -> dict[str, Any]:
    """Accuracy at full setting, and at each value of one knob with the others at full setting.

    Active blocks are the first so many; crops are bounded and chosen by the model's own rule.
    """
    config = model.config
    whole, every = held_out_batches(config.max_crops, pictures), tuple(range(config.n_layers))
    full = accuracy(model, whole, config.top_k, every)
    experts = sorted({*(2**power for power in range(config.num_experts.bit_length())), config.top_k})
    bounds = [bound for bound in (1, 2, 3, 4, 6, 9) if bound < config.max_crops]
    return {
        "questions": sum(int((batch.answers != NO_LABEL).sum()) for batch in whole),
        "full": full,
        "top_k": {
            k: full if k == config.top_k else accuracy(model, whole, k, every)
            for k in experts
            if k <= config.num_experts
        },
        "active_blocks": {
            number: full if number == len(every) else accuracy(model, whole, config.top_k, every[:number])
            for number in range(1, len(every) + 1)
        },
        "max_crops": {
            **{each: accuracy(model, held_out_batches(each, pictures), config.top_k, every) for each in bounds},
            config.max_crops: full,
        },
    }
