"""Training the small model: from seeds to a checkpoint, in minutes on a GPU.

The vision side is told at first what each image token shows, by two linear layers that are thrown away afterwards, so
that the language model has something to look at from the first hundreds of steps on. Some steps run fewer experts,
blocks or crops, so that accuracy falls step by step where those are turned down and not all at once.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from profcore.errors import UserError
from profcore.images.geometry import CROP_PATCHES
from profcore.images.shapes import Draws
from profcore.models.config import MolmoConfig
from profcore.models.load import load_model
from profcore.models.molmoe import MolmoE, random_model
from profcore.models.shapes.accuracy import knob_accuracy, right
from profcore.models.shapes.batches import DIGIT_LABELS, NO_LABEL, THING_LABELS, Pictures, batches
from profcore.models.shapes.files import (
    REPORT,
    STATE,
    WEIGHTS,
    Progress,
    read_state,
    write_checkpoint,
    write_json,
    write_state,
)
from profcore.models.shapes.forward import Knobs, OnHost, Tensors, forward, on_host, to_device
from profcore.models.shapes.precision import Computing
from profcore.models.shapes.shape import SHAPES_CONFIG, WHAT
from profcore.models.shapes.steps import Captured, PlainSteps, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from profcore.models.shapes.batches import Batch

_SAVED_EVERY_S, _TOLD_EVERY, _AHEAD = 60.0, 50, 2
# Beside patch embeddings about 1 wide.
_PLACED = 0.5


@dataclass(frozen=True)
class Course:
    """All that a training is, but its length.

    Attributes:
        config: The model's shape.
        pictures: What it sees.
        peak: The highest learning rate, after `warmup` steps; it then falls as a cosine to `least` of it.
        labels: The weight of naming what image tokens show, at the beginning; it falls to a tenth.
        balance, router_z: The weights of what routing costs.
        sharpness: What attention's norms of queries and of keys begin with.
        fewer_experts, fewer_blocks: The shares of steps, past the first stage of pictures, that run at a lower top-k,
            and with some blocks left out.
    """

    config: MolmoConfig = SHAPES_CONFIG
    pictures: Pictures = field(default_factory=Pictures)
    peak: float = 1.5e-3
    warmup: int = 200
    least: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0
    labels: float = 1.0
    balance: float = 0.01
    router_z: float = 0.001
    sharpness: float = 1.5
    fewer_experts: float = 0.0
    fewer_blocks: float = 0.3

    def knobs(self, step: int) -> tuple[int, tuple[int, ...]]:
        """The top-k and the active blocks of a step, from its number alone.

        At least three quarters of top-k and half of the blocks run: what is never trained for is to cost accuracy.
        """
        draws = Draws(f"knobs/{self.pictures.seed}/{step}")
        config, every = self.config, tuple(range(self.config.n_layers))
        if step < self.pictures.stages[0].until_step:
            return config.top_k, every
        top_k, blocks = config.top_k, every
        if draws.below(1000) < 1000 * self.fewer_experts:
            top_k = draws.among((3 * config.top_k + 3) // 4, config.top_k)
        if draws.below(1000) < 1000 * self.fewer_blocks:
            number = draws.among((config.n_layers + 1) // 2, config.n_layers)
            blocks = every[:number] if draws.below(2) else tuple(sorted(draws.some_of(every, number)))
        return top_k, blocks

    def told(self) -> dict[str, float]:
        """What a person may choose of it, by the names of the command's options."""
        pictures = {name: getattr(self.pictures, name) for name in ("seed", "crops", "questions", "coarse", "finer")}
        own = ("peak", "sharpness", "fewer_experts", "fewer_blocks")
        return {**pictures, **{name: getattr(self, name) for name in own}}

    def rate(self, step: int, done: float) -> float:
        """The learning rate of a step, with this share of the training done."""
        rising = min(1.0, (step + 1) / self.warmup)
        return self.peak * rising * (self.least + (1 - self.least) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Trained(nn.Module):
    """The model, and the two layers that are trained with it and thrown away."""

    def __init__(self, course: Course, device: torch.device) -> None:
        super().__init__()
        seed = course.pictures.seed
        self.model = random_model(course.config, device, torch.float32, "eager", seed)
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            _initialise(self.model, course.sharpness)
            self.things = nn.Linear(course.config.d_model, THING_LABELS).to(device)
            self.digits = nn.Linear(course.config.d_model, DIGIT_LABELS).to(device)
        self.requires_grad_(True)


def _initialise(model: MolmoE, sharpness: float) -> None:
    """Weights as wide as their inputs ask for: the published 0.02 is for widths in the thousands."""
    for name, parameter in model.named_parameters():
        if "norm" not in name and not name.endswith("bias"):
            deviation = _deviation(name, parameter, model.config)
            with torch.no_grad():
                parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation))
    with torch.no_grad():
        places = model.vision.embeddings.position_embedding.weight
        places[1:] = _places(CROP_PATCHES, places.shape[1])
        for layer in model.llm.model.layers:
            layer.self_attn.q_norm.weight.fill_(sharpness)
            layer.self_attn.k_norm.weight.fill_(sharpness)


def _places(side: int, width: int) -> Tensor:
    """Where each patch lies, as waves along both sides: so that attention can tell near from far from the beginning.

    Shapes:
        Returns (side * side, width), row by row.

    Source: Beyer et al. 2022 (arXiv:2205.01580), with shorter waves for a grid of patches.
    """
    waves = 100.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * waves
    along = torch.cat([angles.sin(), angles.cos()], dim=1)
    both = torch.cat([along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)], dim=-1)
    return _PLACED * both.reshape(side * side, -1)


def _deviation(name: str, parameter: Tensor, config: MolmoConfig) -> float:
    if name.endswith("embed_tokens.weight"):
        return 0.1
    if parameter.dim() == 1 or name.endswith(("pad_embed", "position_embedding.weight", "mlp.gate.weight")):
        return 0.02
    if name.endswith("experts.down_proj"):
        # Routing weighs each of the chosen experts by about one in all of them; what they add together is to be as
        # wide as of any feed-forward, else attention alone learns the task and top-k changes nothing.
        return config.num_experts * (config.top_k * config.expert_width) ** -0.5
    inputs = parameter.shape[-1] if parameter.dim() == 3 else parameter[0].numel()
    # What is added to the residual stream, so often, is to leave it as wide as it was.
    added = name.endswith(("o_proj.weight", "out_proj.weight", "fc2.weight"))
    return (inputs * (2 * config.n_layers if added else 1)) ** -0.5


@dataclass(frozen=True)
class Losses:
    """What a step is trained by, each a mean: of the answers, of what image tokens show, of routing; and accuracy."""

    answers: Tensor
    labels: Tensor
    routing: Tensor
    accuracy: Tensor


def losses(trained: Trained, batch: Tensors, course: Course, knobs: Knobs) -> Losses:
    """What a batch costs with the knobs turned so."""
    end = course.config.eos_token_id
    output = forward(trained.model, batch, knobs)
    asked = batch.answers != NO_LABEL
    targets = torch.stack([batch.answers, torch.where(asked, end, NO_LABEL)], dim=-1)
    answers = F.cross_entropy(output.logits.float().flatten(0, 2), targets.flatten(), ignore_index=NO_LABEL)
    labels = _label_loss(trained.things(output.image_tokens), batch.things)
    labels = labels + _label_loss(trained.digits(output.image_tokens), batch.digits)
    routing = course.balance * output.balance + course.router_z * output.router_z
    with torch.no_grad():
        accuracy = right(output, batch, end).sum() / asked.sum()
    return Losses(answers, labels, routing, accuracy)


def _label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy over image tokens, those that show something and the many that show nothing counting alike.

    It is 0 where no token is labelled.
    """
    labels = labels.flatten()
    each = F.cross_entropy(logits.float().flatten(0, -2), labels, ignore_index=NO_LABEL, reduction="none")
    something, nothing = (labels > 0).float(), (labels == 0).float()
    shares = [(each * which).sum() / which.sum().clamp(min=1) for which in (something, nothing)]
    return (shares[0] + shares[1]) / 2


class Training:
    """A training that can be stopped and gone on with."""

    def __init__(self, course: Course, directory: Path, device: torch.device, resume: bool = False) -> None:
        """Begin one, or go on with the one that the directory holds.

        Raises:
            UserError: The directory holds what would be lost, or nothing to go on with.
        """
        self.course, self.directory, self.device = course, directory, device
        _check_folder(directory, resume)
        self.trained = Trained(course, device)
        self.computing = Computing(self.trained)
        on_card = device.type == "cuda"
        # Of a card these are read where they lie, so that a captured step sees what they are by then.
        self._rate = torch.tensor(course.peak, device=device)
        self._labels = torch.tensor(course.labels, device=device)
        self.optimiser = torch.optim.AdamW(
            _groups(self.trained, course.weight_decay),
            lr=self._rate if on_card else course.peak,
            betas=(0.9, 0.97),
            fused=on_card,
            capturable=on_card,
        )
        work = Work(self._learn, self._finish, self.computing.forget)
        self._one_step = Captured(work) if on_card else PlainSteps(work)
        self.progress = Progress(seed=course.pictures.seed, course=json.dumps(course.told()))
        if resume:
            begun = self.progress
            self.progress = read_state(directory, self.trained, self.optimiser)
            self.computing.follow()
            _check_same(directory, self.progress, begun)

    def run(self, seconds: float, steps: int | None, workers: int, tell: Callable[[str], None]) -> None:
        """Train until so many seconds are taken or steps made in all; on an interrupt what is done is kept."""
        begin, saved = time.monotonic() - self.progress.seconds, time.monotonic()
        last = math.inf if steps is None else steps
        try:
            for batch in self._ahead(batches(self.course.pictures, self.progress.step, workers)):
                step, taken = self.progress.step, time.monotonic() - begin
                done = max(taken / seconds, step / last)
                if done >= 1:
                    break
                found = self._step(batch, step, done)
                if step % _TOLD_EVERY == 0:
                    tell(_line(step, taken, found))
                self.progress = replace(self.progress, step=step + 1, seconds=time.monotonic() - begin)
                if time.monotonic() - saved > _SAVED_EVERY_S:
                    self.save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            self.save()
            raise

    def _ahead(self, drawn: Iterator[Batch]) -> Iterator[OnHost]:
        """Batches, of which the next is unpacked while the device works on the one before."""

        def following() -> OnHost:
            return on_host(next(drawn), self.device)

        with ThreadPoolExecutor(1) as thread:
            coming = deque(thread.submit(following) for _ in range(_AHEAD))
            while True:
                batch = coming.popleft().result()
                coming.append(thread.submit(following))
                yield batch

    def _step(self, batch: OnHost, step: int, done: float) -> Losses:
        course = self.course
        rate = course.rate(step, done)
        self._rate.fill_(rate)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate if self.device.type == "cuda" else rate
        self._labels.fill_(course.labels * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))))
        knobs = Knobs.of(course.config, *course.knobs(step), self.device)
        found: Losses = self._one_step(to_device(batch, self.device, self.computing.module.model.dtype), knobs)
        return found

    def _learn(self, batch: Tensors, knobs: Knobs) -> Losses:
        found = losses(self.computing.module, batch, self.course, knobs)
        (found.answers + self._labels * found.labels + found.routing).backward()
        return Losses(*(each.detach() for each in vars(found).values()))

    def _finish(self) -> None:
        self.computing.hand_over()
        nn.utils.clip_grad_norm_(self.trained.parameters(), self.course.clip)
        self.optimiser.step()
        self.computing.follow()

    def save(self) -> None:
        """Keep what a later call goes on from."""
        if self.progress.step:
            write_state(self.directory, self.trained, self.optimiser, self.progress)

    def finish(self, pictures: int) -> dict[str, Any]:
        """Write the checkpoint, load it as everybody does, and say how much of the held-out set it answers rightly.

        Args:
            pictures: Of the held-out set.
        """
        size = write_checkpoint(self.trained.model, self.directory)
        loaded = load_model(str(self.directory), self.device, torch.float32, "eager")
        report = {
            "what": WHAT,
            "seed": self.progress.seed,
            "course": self.course.told(),
            "steps": self.progress.step,
            "seconds": round(self.progress.seconds, 1),
            "device": _device_name(self.device),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "parameters": sum(each.numel() for each in loaded.model.parameters()),
            "bytes": size,
            "held_out_accuracy": knob_accuracy(loaded.model, pictures),
        }
        write_json(self.directory / REPORT, report)
        (self.directory / STATE).unlink(missing_ok=True)
        return report


def _check_folder(directory: Path, resume: bool) -> None:
    """Make a training's folder, or have it hold what is to be gone on with.

    Raises:
        UserError: It holds what would be lost, a training that is done, or cannot be made.
    """
    begun, done = ((directory / name).exists() for name in (STATE, WEIGHTS))
    if done and not begun:
        raise UserError(f"{directory} holds a training that is done: give another folder to train anew.")
    if begun and not resume:
        raise UserError(f"{directory} holds a training already: give --resume to go on with it, or another folder.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory} cannot be made a folder ({error.strerror}): give another --output.") from None


def _check_same(directory: Path, found: Progress, begun: Progress) -> None:
    """Whether a training goes on as it was begun, since its report says one course alone.

    Raises:
        UserError: It was begun with another seed or course.
    """
    if found.seed != begun.seed:
        raise UserError(f"{directory} was begun with --seed {found.seed}: give that one to go on.")
    before, now = (json.loads(each.course or "{}") for each in (found, begun))
    other = [f"--{name.replace('_', '-')} {value:g}" for name, value in before.items() if now.get(name) != value]
    if other:
        raise UserError(f"{directory} was begun with {' '.join(other)}: give the same to go on.")


def _groups(trained: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters as AdamW takes them: vectors do not decay."""
    decayed = [each for each in trained.parameters() if each.dim() > 1]
    others = [each for each in trained.parameters() if each.dim() <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _line(step: int, seconds: float, found: Losses) -> str:
    values = ", ".join(f"{name} {float(value.detach()):.3f}" for name, value in vars(found).items())
    return f"step {step}, {seconds:.0f} s: {values}"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
