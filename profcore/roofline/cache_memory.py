"""How much memory the keys and values of an answer take, and whether they fit a device beside the weights; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.models.config import MolmoConfig
from profcore.models.context import longest_answer, prompts_of
from profcore.models.families.fields import whole
from profcore.models.families.parameters import ITEM_BYTES
from profcore.models.families.shape import FamilyShape
from profcore.roofline.model_sizes import ModelSize, gigabytes, size_of, stored_dtype

if TYPE_CHECKING:
    from profcore.models.shape import Shape
    from profcore.spec.runs import Sweep, Target

_SLIDING = "sliding_attention"


def cache_token_bytes(shape: Shape, itemsize: int) -> int:
    """Bytes of a token's keys and values in all blocks, at the least.

    Blocks that see a window alone keep no more than that, however long an answer is, and are left out.

    Args:
        shape: The model's.
        itemsize: Bytes of a number.
    """
    if isinstance(shape, MolmoConfig):
        return 2 * shape.n_layers * shape.d_model * itemsize
    assert isinstance(shape, FamilyShape)
    text = shape.text
    heads = whole(text, ("num_attention_heads",), 1)
    # Where blocks have heads of several sizes, the smaller.
    grouped = min(whole(text, (name,), heads) for name in ("num_key_value_heads", "num_global_key_value_heads"))
    size = whole(text, ("head_dim",), whole(text, ("hidden_size",), heads) // heads)
    kinds = text.get("layer_types")
    full = sum(kind != _SLIDING for kind in kinds) if isinstance(kinds, list) else shape.n_layers
    if not isinstance(kinds, list) and text.get("sliding_window"):
        # Which blocks have the window is its class's own.
        full = 0
    return 2 * max(full - whole(text, ("num_kv_shared_layers",), 0, least=0), 0) * grouped * size * itemsize


def check_cache(sweep: Sweep, shape: Shape, target: Target, memory: int | None, size: ModelSize | None = None) -> None:
    """Whether each answer's keys and values fit a device's memory beside the weights.

    Args:
        sweep: What is to be measured; of real pictures those that do not fit are passed over as they are measured.
        shape: The model's.
        target: Which model, on what and in which type.
        memory: Bytes of the device; None where nobody knows.
        size: The model's, where that is known though it has no name.

    Raises:
        UserError: They do not; the sentence names the longest answer that fits.
    """
    size = size or size_of(target.model, shape)
    dtype = stored_dtype(target.dtype, target.device)
    each = cache_token_bytes(shape, ITEM_BYTES.get(dtype, 0))
    if memory is None or size is None or not each or sweep.plan:
        return
    left = memory - size.memory_bytes(dtype)
    if left < 0:
        # That is the weights' own fault, and loading says so.
        return
    for setting, prompt in zip(sweep.settings, prompts_of(sweep, shape, target.model), strict=True):
        needed = (prompt + setting.output_tokens - 1) * each
        if needed > left:
            fits = longest_answer(prompt, left // each)
            right = f"ask for {fits} output tokens at most" if fits > 0 else "choose fewer vision tokens"
            raise UserError(
                f"{prompt} prompt and {setting.output_tokens} output tokens take {gigabytes(needed)} of keys and "
                f"values, and beside the weights of {target.model} {gigabytes(left)} are left on {target.device}: "
                f"at the {setting.grid_label} grid {right}."
            )
