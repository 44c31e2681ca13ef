"""The graph engine for vision-language models of transformers: a static cache, each stage captured in a CUDA graph.

A stage whose own code looks at a tensor's value runs as it is, and its reason is said; the others are captured all the
same. What a setting needs is recorded once from an inference over the static cache, as `generate` drives it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import StopRequestedError
from profcore.engines.capture import Captures
from profcore.engines.family_session import GraphSession
from profcore.spec.stages import TTFT_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting

_MOST_SESSIONS = 32


class FamilyGraphEngine:
    """See `profcore.engines.base.Engine`."""

    name = "graph"

    def __init__(self, model: VisionLanguageModel, graphs: bool = True) -> None:
        """Nothing is captured yet.

        Args:
            model: The model; it must keep its weights where they are.
            graphs: Whether stages are captured in CUDA graphs; else they run as they would be captured.
        """
        self._model, self._graphs = model, graphs
        self._captures = Captures(model.device, graphs)
        self._sessions: OrderedDict[Any, GraphSession] = OrderedDict()

    @property
    def experts(self) -> str:
        """Transformers' experts implementation of each stage."""
        return str(self._model.experts)

    def reasons(self, inputs: FamilyInputs, setting: Setting) -> dict[Stage, str]:
        """Why stages of a setting are not captured, by the stages that are not."""
        self.prepare(inputs, setting)
        return self._session(inputs, setting).reasons

    def prepare(self, inputs: FamilyInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """As `Engine.prepare`."""
        key = _key(inputs, setting)
        if key not in self._sessions:
            if tell:
                tell("Capturing")
            while len(self._sessions) >= _MOST_SESSIONS:
                _, oldest = self._sessions.popitem(last=False)
                oldest.let_go()
            session = GraphSession(self._model, inputs, setting, self._captures)
            try:
                session.capture()
            except BaseException:
                # What was captured so far stands under this session's identity, which another may have later.
                session.let_go()
                raise
            self._sessions[key] = session
            if tell:
                for stage, reason in session.reasons.items():
                    tell(f"Running {stage.label} uncaptured ({reason})")
        self._sessions.move_to_end(key)
        return self._sessions[key].extra_memory()

    def stage_memory(self, inputs: FamilyInputs, setting: Setting) -> dict[Stage, int]:
        """Bytes of intermediate tensors of each captured stage, which lie beyond what the allocator sees."""
        self.prepare(inputs, setting)
        return self._session(inputs, setting).stage_memory()

    @torch.no_grad()
    def infer(
        self,
        inputs: FamilyInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`; what is not prepared yet is prepared first."""
        self.prepare(inputs, setting)
        session, kept = self._session(inputs, setting), []
        with self._model.turned(setting):
            if clock:
                clock.start()
            session.see(clock)
            session.run(Stage.LLM_PREFILL)
            if clock:
                clock.mark(Stage.LLM_PREFILL)
            if keep_logits:
                kept.append(session.logits.clone())
            for _ in range(setting.output_tokens - 1):
                if stop and stop():
                    raise StopRequestedError
                session.run(Stage.LLM_DECODE)
                if clock:
                    clock.step()
                if keep_logits:
                    kept.append(session.logits.clone())
            if clock:
                clock.finish()
        return session.tokens.clone(), kept

    def stage_works(self, inputs: FamilyInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """As `Engine.stage_works`."""
        self.prepare(inputs, setting)
        session = self._session(inputs, setting)

        def repeated(stage: Stage) -> Callable[[], None]:
            @torch.no_grad()
            def work() -> None:
                with self._model.turned(setting):
                    if stage is not Stage.LLM_DECODE:
                        session.run(stage)
                        return
                    session.rewind_to_prompt()
                    for _ in range(setting.output_tokens - 1):
                        session.run(stage)

            return work

        stages = [*TTFT_STAGES, *([Stage.LLM_DECODE] if setting.output_tokens > 1 else [])]
        return {stage: repeated(stage) for stage in stages}

    def _session(self, inputs: FamilyInputs, setting: Setting) -> GraphSession:
        return self._sessions[_key(inputs, setting)]


def _key(inputs: FamilyInputs, setting: Setting) -> Any:
    """A session holds its inputs, so that another's never have their identity."""
    return id(inputs), setting.top_k, setting.block_mask, setting.output_tokens
