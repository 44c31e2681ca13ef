"""A vision-language model of transformers: its parts found by names, its knobs turned where its modules read them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import transformers
from transformers import GenerationConfig

from profcore.errors import ModelError
from profcore.models.experts import Experts
from profcore.models.families.family import PROJECTORS
from profcore.models.families.fields import TOP_K_FIELDS
from profcore.models.knobs import check_setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor, nn

    from profcore.models.families.shape import FamilyShape
    from profcore.spec.settings import Setting


class VisionLanguageModel:
    """What an engine needs of such a model.

    Attributes:
        config: Its shape.
        hf: The whole model, as transformers builds it.
        base: What has `get_image_features`, which runs vision encoder and projector.
        encoder, projector: These; of some models the projector is inside the encoder.
        layers: The language model's transformer blocks.
        experts: Which implementation of the experts each stage runs.
    """

    def __init__(self, shape: FamilyShape, hf: Any, experts: str) -> None:
        """Find the parts of a model whose weights are there.

        Raises:
            ModelError: A part is not there.
        """
        self.config, self.hf = shape, hf.eval().requires_grad_(False)
        # Answers have their setting's length: with no token that ends them there is nothing to look for.
        hf.generation_config = GenerationConfig(eos_token_id=None, pad_token_id=None)
        # Newer versions have `generate` encode the picture before it hands over; the model's forward is to do it.
        hf._supports_mm_encoder_outputs = lambda: False
        self.base = hf.base_model
        if not hasattr(self.base, "get_image_features"):
            raise ModelError(
                f"{shape.name} has no get_image_features in this version of transformers: it is unknown here."
            )
        self.encoder: nn.Module = hf.get_encoder(modality="image")
        self.projector = self._find_projector()
        decoder = hf.get_decoder()
        while not hasattr(decoder, "layers"):
            decoder = decoder.model
        self.decoder: Any = decoder
        self.layers: Any = decoder.layers
        self.experts = Experts.of("none")
        self.use_experts(Experts.of(experts))

    def _find_projector(self) -> nn.Module:
        places = [(self.base, name) for name in PROJECTORS] + [(self.encoder, "merger")]
        for place, name in places:
            if hasattr(place, name):
                found: nn.Module = getattr(place, name)
                return found
        raise ModelError(f"{self.config.name} has no projector of a name that is known here.")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.hf.get_output_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return self.hf.get_output_embeddings().weight.dtype

    @property
    def attention(self) -> str:
        """Transformers' implementation of the language model's attention."""
        return str(self.decoder.config._attn_implementation)

    def parameters(self) -> Iterator[Tensor]:
        """The weights."""
        return self.hf.parameters()

    def use_experts(self, experts: Experts) -> None:
        """Have each stage run an implementation of the experts; a model without any has none to run.

        Raises:
            ModelError: This transformers runs them by code of the model's own alone, which is given no indices.
        """
        if not self.config.num_experts:
            return
        if self.config.kind.top_k_reason:
            # All of them run, by the model's own code.
            self.experts = Experts.of("dense")
            return
        if not self.decoder._can_set_experts_implementation():
            raise ModelError(
                f"transformers {transformers.__version__} runs the experts of {self.config.kind.name} by other code "
                "than is counted here: install another version."
            )
        # Not of the whole, whose class may know of no experts though its language model has some.
        self.decoder.set_experts_implementation(experts.prefill)
        self.experts = experts

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Inside, decode steps' implementation of the experts is in use; outside of it, prefill's."""
        config = self.decoder.config
        if not self.config.num_experts or self.experts.prefill == self.experts.decode:
            yield
            return
        config._experts_implementation = self.experts.decode
        try:
            yield
        finally:
            config._experts_implementation = self.experts.prefill

    def expert_modules(self) -> list[list[nn.Module]]:
        """The modules of routed experts of each block, none of a block without; each is given the chosen indices."""
        return [
            [module for module in layer.modules() if type(module).__name__.endswith("Experts")] for layer in self.layers
        ]

    @contextmanager
    def turned(self, setting: Setting) -> Iterator[None]:
        """Top-k and active blocks as the setting says, and as they were before on leaving.

        A block that is left out hands its input on, so that masks, positions and caches stay the model's own.

        Raises:
            UserError: The setting is not one of the model's.
        """
        check_setting(setting, self.config)
        places = self._top_k_places if setting.top_k != self.config.top_k else []
        skipped = [layer for layer, active in zip(self.layers, setting.block_mask, strict=True) if not active]
        before = [(place, name, getattr(place, name)) for place, name in places]
        try:
            for place, name in places:
                setattr(place, name, setting.top_k)
            for layer in skipped:
                layer.forward = _handed_on
            yield
        finally:
            for place, name, value in before:
                setattr(place, name, value)
            for layer in skipped:
                del layer.forward

    @cached_property
    def _top_k_places(self) -> list[tuple[Any, str]]:
        """Where the modules read how many experts a token goes to: their own field, or the configuration's.

        Looked for once, since a host would wait for it at each inference.
        """
        modules = [module for layer in self.layers for module in layer.modules()]
        own = [(module, "top_k") for module in modules if isinstance(getattr(module, "top_k", None), int)]
        config = self.decoder.config
        return own + [(config, name) for name in TOP_K_FIELDS if isinstance(getattr(config, name, None), int)]


def _handed_on(hidden_states: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    return hidden_states
