"""Where a worker keeps its loaded model and what its engine compiled."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import make_engine
from profcore.errors import UserError
from profcore.models.experts import Experts, resolve_experts
from profcore.models.load import LoadedModel, load_model, resolve_device, resolve_dtype
from profcore.spec.runs import Target

if TYPE_CHECKING:
    from profcore.engines.base import Engine


class ModelShelf:
    """Keeps the last loaded model and what its engine compiled, since both take longer than many a run."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._loaded: LoadedModel | None = None
        self._engine_key: tuple[str, Experts] | None = None
        self._engine: Engine | None = None

    @property
    def has_one(self) -> bool:
        """Whether a model is loaded."""
        return self._loaded is not None

    def clear(self) -> None:
        """Let go of the model and of what its engine compiled, so that another process has the memory."""
        self._key, self._loaded = None, None
        self._engine_key, self._engine = None, None
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()

    def get(self, target: Target) -> LoadedModel:
        """The model for a target, loaded only if it is not the one at hand.

        Raises:
            UserError: There is no such device, dtype or model.
        """
        device = resolve_device(target.device)
        dtype = resolve_dtype(target.dtype, device)
        experts = resolve_experts(target.experts, device, dtype, target.engine)
        key = (target.model, device, dtype)
        if self._loaded is None or key != self._key:
            # Let go of the old model first: two may not fit.
            self._key, self._loaded = None, None
            self._engine_key, self._engine = None, None
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.set_device(device)
            try:
                self._loaded = load_model(target.model, device, dtype, experts.prefill)
            except torch.cuda.OutOfMemoryError:
                raise UserError(
                    f"{target.model} in {str(dtype).removeprefix('torch.')} does not fit the memory of {device}."
                ) from None
            self._key = key
        self._loaded.model.use_experts(experts)
        return self._loaded

    def engine(self, target: Target) -> Engine:
        """The target's engine on its model; made anew only for another model, engine or experts implementation.

        Raises:
            UserError: As `get`, or the engine does not run there.
        """
        loaded = self.get(target)
        key = (target.engine, loaded.model.experts)
        if self._engine is None or key != self._engine_key:
            # What the old one captured may hold the memory that the new one needs.
            self._engine_key, self._engine = None, None
            if loaded.model.device.type == "cuda":
                torch.cuda.empty_cache()
            self._engine = make_engine(target.engine, loaded.model)
            self._engine_key = key
        return self._engine
