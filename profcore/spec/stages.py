"""What is measured and turned: stages, knobs, the states of a run, clocks."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """One part of an inference; the stages of a sample add up to its total."""

    VISION_ENCODER = "vision_encoder"
    PROJECTOR = "projector"
    LLM_PREFILL = "llm_prefill"
    LLM_DECODE = "llm_decode"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The stage's name as charts and tables write it."""
        return _STAGE_LABELS[self]

    @property
    def column(self) -> str:
        """The column or field that holds this stage's latency in milliseconds."""
        return f"{self.value}_ms"


_STAGE_LABELS = {
    Stage.VISION_ENCODER: "Vision encoder",
    Stage.PROJECTOR: "Projector",
    Stage.LLM_PREFILL: "LLM prefill",
    Stage.LLM_DECODE: "LLM decode",
    Stage.OTHER: "Other",
}


TTFT_STAGES = (Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL)
"""The stages up to the first token, in the order they run."""

MODEL_STAGES = (*TTFT_STAGES, Stage.LLM_DECODE)
"""The stages in which the model itself works, in the order they run; `OTHER` is what they leave of the total."""


class Knob(StrEnum):
    """A dial of the model that a sweep turns."""

    VISION_TOKENS = "vision_tokens"
    TOP_K = "top_k"
    ACTIVE_BLOCKS = "active_blocks"
    OUTPUT_TOKENS = "output_tokens"


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the run will produce no further sample."""
        return self in (State.DONE, State.STOPPED, State.FAILED)


class Clock(StrEnum):
    """How stage latencies are taken."""

    EVENTS = "events"
    PUBLISHED = "published"
