"""What the graph and the compiled engine share: an inference over tensors that stay where they are.

Each stage is a piece of work that reads and writes tensors of fixed places, so that it can be captured once and
replayed. The position advances on the device, so one captured decode step serves every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import record_function

from profcore.engines.base import StopRequestedError
from profcore.engines.capture import Captures
from profcore.images.geometry import CROP, PATCHES_PER_CROP, TOKENS_PER_CROP
from profcore.models.knobs import check_setting
from profcore.spec.stages import TTFT_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting

_CACHE_STEP = 128


@dataclass
class PictureSlot:
    """Where a picture of some number of crops goes in, and what the vision encoder and projector make of it."""

    pixels: Tensor
    masks: Tensor
    features: Tensor
    image_tokens: Tensor


@dataclass
class PromptSlot:
    """Where a prompt of some length goes in (see `ModelInputs`)."""

    input_ids: Tensor
    sources: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Plan:
    """The keys of a setting's captures, and the slots its inputs go into."""

    picture: PictureSlot
    prompt: PromptSlot
    keys: dict[Stage, Hashable]


class StaticEngine:
    """See `profcore.engines.base.Engine`; a subclass says how each stage is computed."""

    name: str

    def __init__(self, model: MolmoE, graphs: bool) -> None:
        """Set the tensors up that all settings share.

        Args:
            model: The model; it must keep its weights where they are.
            graphs: Whether stages are captured in CUDA graphs.
        """
        self.model = model
        self.captures = Captures(model.device, graphs)
        config, device = model.config, model.device
        head_size = config.d_model // config.n_heads
        shape = (config.n_layers, 2, config.n_heads, config.max_positions, head_size)
        self.cache = torch.zeros(shape, dtype=model.dtype, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        self.token = torch.zeros(1, dtype=torch.int64, device=device)
        self.tokens = torch.zeros(config.max_positions + 1, dtype=torch.int64, device=device)
        self.logits = torch.zeros(config.embedding_size, dtype=model.dtype, device=device)
        self._pictures: dict[int, PictureSlot] = {}
        self._prompts: dict[tuple[int, int], PromptSlot] = {}
        self._loaded: tuple[Any, Any] = (None, None)

    # What a subclass computes

    def encode(self, slot: PictureSlot) -> None:
        """The vision encoder, from `slot.pixels` to `slot.features`."""
        raise NotImplementedError

    def project(self, slot: PictureSlot) -> None:
        """The projector, from `slot.features` to `slot.image_tokens`."""
        raise NotImplementedError

    def prefill(self, picture: PictureSlot, prompt: PromptSlot, setting: Setting) -> None:
        """The prompt through the active blocks: cache, `logits`, and the first token as `decode` wants it."""
        raise NotImplementedError

    def decode(self, length: int, setting: Setting) -> None:
        """One step: the token at `position` through the active blocks, `logits`, the next token and position.

        Args:
            length: Positions of the cache that a step may look at.
            setting: Top-k and active blocks.
        """
        raise NotImplementedError

    def check(self, inputs: ModelInputs, setting: Setting) -> None:
        """Whether a setting can be captured at all, before anything is tried.

        Raises:
            UserError: It cannot.
        """

    # The same for all

    def prepare(self, inputs: ModelInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """As `Engine.prepare`."""
        plan = self._plan(inputs, setting)
        works = self._works(plan, inputs, setting)
        missing = [stage for stage in works if plan.keys[stage] not in self.captures]
        if missing:
            self.check(inputs, setting)
            if tell:
                verb = "Compiling and capturing" if self.name == "compiled" else "Capturing"
                tell(f"{verb} {', '.join(stage.label for stage in missing)}")
            self._load(plan, inputs)
        for stage, work in works.items():
            if stage is Stage.LLM_DECODE:
                self.position.fill_(0)
            self.captures.add(plan.keys[stage], work)
        return max(self.captures.peak(key) for key in plan.keys.values()) or None

    def stage_memory(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, int]:
        """Bytes of intermediate tensors of each prepared stage, which lie beyond what the allocator sees."""
        return {stage: self.captures.peak(key) for stage, key in self._plan(inputs, setting).keys.items()}

    @torch.no_grad()
    def infer(
        self,
        inputs: ModelInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`; what is not prepared yet is prepared first.

        Inputs are put into their places before the clock starts: that copy is this engine's own and no part of the
        model.
        """
        self.prepare(inputs, setting)
        plan = self._plan(inputs, setting)
        self._load(plan, inputs)
        run, keys = self.captures.run, plan.keys
        kept: list[Tensor] = []
        if clock:
            clock.start()
        for stage in TTFT_STAGES:
            run(keys[stage])
            if clock:
                clock.mark(stage)
        if keep_logits:
            kept.append(self.logits.clone())
        for _ in range(setting.output_tokens - 1):
            if stop and stop():
                raise StopRequestedError
            run(keys[Stage.LLM_DECODE])
            if clock:
                clock.step()
            if keep_logits:
                kept.append(self.logits.clone())
        if clock:
            clock.finish()
        first = inputs.num_input_tokens
        return self.tokens[first : first + setting.output_tokens].clone(), kept

    def carried(self) -> list[Tensor]:
        """What a decode step finds and leaves changed for the next, besides the cache, which it only adds to."""
        return [self.position, self.token]

    def stage_works(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """As `Engine.stage_works`."""
        self.prepare(inputs, setting)
        plan = self._plan(inputs, setting)
        self._load(plan, inputs)
        after_prefill: list[Tensor] = []

        def repeated(stage: Stage) -> Callable[[], None]:
            return torch.no_grad()(lambda: self.captures.run(plan.keys[stage]))

        @torch.no_grad()
        def decode() -> None:
            if not after_prefill:
                after_prefill.extend(each.clone() for each in self.carried())
            for place, before in zip(self.carried(), after_prefill, strict=True):
                place.copy_(before)
            for _ in range(setting.output_tokens - 1):
                self.captures.run(plan.keys[Stage.LLM_DECODE])

        return {stage: decode if stage is Stage.LLM_DECODE else repeated(stage) for stage in plan.keys}

    @torch.no_grad()
    def uncaptured(self, inputs: ModelInputs, setting: Setting, steps: int) -> None:
        """One inference by the same kernels launched one by one, each stage under its name for a profiler."""
        self.prepare(inputs, setting)
        plan = self._plan(inputs, setting)
        self._load(plan, inputs)
        works = self._works(plan, inputs, setting)
        for stage in TTFT_STAGES:
            with record_function(f"stage:{stage}"):
                works[stage]()
        for _ in range(steps):
            with record_function(f"stage:{Stage.LLM_DECODE}"):
                works[Stage.LLM_DECODE]()

    def _works(self, plan: Plan, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        works = {
            Stage.VISION_ENCODER: lambda: self.encode(plan.picture),
            Stage.PROJECTOR: lambda: self.project(plan.picture),
            Stage.LLM_PREFILL: lambda: self.prefill(plan.picture, plan.prompt, setting),
        }
        if setting.output_tokens > 1:
            length = self._cache_length(inputs, setting)
            works[Stage.LLM_DECODE] = lambda: self.decode(length, setting)
        return works

    def _plan(self, inputs: ModelInputs, setting: Setting) -> Plan:
        check_setting(setting, self.model.config)
        crops, length, kept = inputs.num_crops, inputs.num_input_tokens, inputs.num_vision_tokens
        knobs = (setting.top_k, setting.block_mask)
        keys: dict[Stage, Hashable] = {
            Stage.VISION_ENCODER: ("vision encoder", crops),
            Stage.PROJECTOR: ("projector", crops),
            Stage.LLM_PREFILL: ("prefill", crops, length, kept, *knobs),
        }
        if setting.output_tokens > 1:
            keys[Stage.LLM_DECODE] = ("decode", self._cache_length(inputs, setting), *knobs)
        if crops not in self._pictures:
            self._pictures[crops] = self._new_picture(crops)
        if (length, kept) not in self._prompts:
            self._prompts[length, kept] = PromptSlot(*map(torch.zeros_like, _prompt(inputs)))
        return Plan(self._pictures[crops], self._prompts[length, kept], keys)

    def _cache_length(self, inputs: ModelInputs, setting: Setting) -> int:
        """Positions that a decode step's attention covers: a multiple of a step, so that few steps are captured."""
        needed = inputs.num_input_tokens + setting.output_tokens
        return min(-(-needed // _CACHE_STEP) * _CACHE_STEP, self.model.config.max_positions)

    def _new_picture(self, crops: int) -> PictureSlot:
        config, patches = self.model.config, PATCHES_PER_CROP
        options: dict[str, Any] = {"dtype": self.model.dtype, "device": self.model.device}
        return PictureSlot(
            pixels=torch.zeros((crops, 3, CROP, CROP), **options),
            masks=torch.zeros((crops, patches), device=self.model.device),
            features=torch.zeros((crops, patches, config.vit_width * len(config.vit_layers)), **options),
            image_tokens=torch.zeros((crops, TOKENS_PER_CROP, config.d_model), **options),
        )

    def _load(self, plan: Plan, inputs: ModelInputs) -> None:
        # Compared by identity: the same inputs are measured over and over.
        if self._loaded[0] is inputs and self._loaded[1] is plan.picture:
            return
        plan.picture.pixels.copy_(inputs.pixels)
        plan.picture.masks.copy_(inputs.masks)
        for place, given in zip(
            (plan.prompt.input_ids, plan.prompt.sources, plan.prompt.positions), _prompt(inputs), strict=True
        ):
            place.copy_(given)
        self._loaded = (inputs, plan.picture)


def _prompt(inputs: ModelInputs) -> tuple[Tensor, Tensor, Tensor]:
    return inputs.input_ids, inputs.sources, inputs.positions
