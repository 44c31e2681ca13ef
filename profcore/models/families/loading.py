"""From a family's shape to a model: random weights made on the device, or those of a checkpoint's safetensors."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.initialization import no_init_weights
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from profcore.errors import ModelError, UserError
from profcore.models.families.adapter import VisionLanguageModel
from profcore.models.families.checks import check_image_token, check_widths
from profcore.models.families.unknown import check_nested_types
from profcore.models.families.versions import check_version
from profcore.models.memory import free_bytes
from profcore.models.shards import find_tensors
from profcore.spec.text import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profcore.models.families.shape import FamilyShape

_NAMED = 6
_LONGEST = 300
"""Letters of another's sentence that are shown: some list every type there is."""
_INTERNAL = (RuntimeError, AttributeError, TypeError, IndexError, ZeroDivisionError, AssertionError)
"""What code raises that was given numbers that do not go together, in words of its own inside."""
_OF_THE_MACHINE = ("CUDA", "CUBLAS", "NVRTC", "allocate memory", "out of memory", "No module named")
"""Words of errors that are none of a configuration."""
_PARTS = {"vision encoder": "vision_config", "language model": "text_config"}
_OURS = ("image_processor", "transformers_version", "torch_dtype", "dtype", "architectures", "auto_map")
"""Fields that are none of the model's: this project's own, or of the file that they were read from."""


def hf_config(shape: FamilyShape) -> Any:
    """Transformers' configuration of a shape.

    Raises:
        ModelError: This version of transformers has no such type, or does not take its fields.
    """
    version = transformers.__version__
    check_version(shape)
    # Of a bare type too, which is what its class makes of it.
    check_image_token(shape.name, shape.image_token_id, shape.input_size)
    if shape.model_type not in CONFIG_MAPPING:
        raise ModelError(f"transformers {version} has no model type {shape.model_type!r}.")
    check_nested_types(shape.name, shape.config)
    fields = {name: value for name, value in shape.config.items() if name not in (*_OURS, "model_type")}
    try:
        # Some classes of older versions take the parts' configurations as objects alone.
        for name, kind in CONFIG_MAPPING[shape.model_type].sub_configs.items():
            part = dict(fields.get(name) or {})
            if "model_type" in part:
                fields[name] = AutoConfig.for_model(part.pop("model_type"), **part)
            elif part and kind is not AutoConfig:
                fields[name] = kind(**part)
        made: Any = AutoConfig.for_model(shape.model_type, **fields)
    except Exception as error:
        raise ModelError(f"transformers {version} makes no configuration of {shape.name}: {_line(error)}") from None
    # Of what a file leaves out the class's own widths count.
    where, field = shape.kind.projects_to
    takes = getattr(made.get_text_config(decoder=True), "hidden_size", None)
    check_widths(shape.name, shape.kind.projects_to, getattr(getattr(made, where, None), field, None), takes)
    return made


def _line(error: Exception) -> str:
    """The first line of an exception's words; with the next where it only announces that."""
    if isinstance(error, KeyError):
        # Its words are the key alone.
        return f"it knows no {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    words = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    # What torch adds where it has nothing to say.
    words = re.sub(r"\s*\(Could this error message be improved\?.*", "", words)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _said(error: Exception, what: str, where: str) -> str:
    """An exception's words; of an internal one with what they come from, a configuration whose fields do not agree."""
    line = _line(error)
    # Files that are loaded have faults of their own.
    if what == "load" or not isinstance(error, _INTERNAL) or isinstance(error, NotImplementedError):
        return line
    if any(word in str(error) for word in _OF_THE_MACHINE):
        return line
    fields = next((field for part, field in _PARTS.items() if where.startswith("in ") and part in where), "")
    return f"its parts do not fit each other{f', see {fields}' if fields else ''} ({line.rstrip('.')})"


@contextmanager
def sentences(shape: FamilyShape, what: str = "build", where: Sequence[str] = ()) -> Iterator[None]:
    """Whatever a model's own code says against a configuration, as one sentence.

    Args:
        shape: The model's.
        what: What is done inside.
        where: Filled inside; its last says how far that came.
    """
    try:
        yield
    except (UserError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"transformers {transformers.__version__} cannot {what} {shape.name}"
            f"{', ' + where[-1] if where else ''}: {_said(error, what, where[-1] if where else '')}"
        ) from error


def _built(config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The modules with weights that are not yet anything, on a device in a dtype."""
    with torch.device(device), no_init_weights():
        hf = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
    hf.tie_weights()
    return hf


def count_parameters(config: Any) -> int:
    """How many parameters a configuration comes to, tied ones once; no memory is taken for any."""
    return sum(each.numel() for each in _built(config, torch.device("meta"), torch.bfloat16).parameters())


def check_fits(shape: FamilyShape, parameters: int, device: torch.device, dtype: torch.dtype) -> None:
    """Whether a model's weights fit the memory that is free.

    Raises:
        ModelError: They do not.
    """
    needed, free = parameters * dtype.itemsize, free_bytes(device)
    if free is not None and needed > free:
        raise ModelError(
            f"{shape.name} has {parameters / 1e9:,.1f} billion parameters, {needed / 2**30:,.1f} GiB in "
            f"{str(dtype).removeprefix('torch.')}, and {free / 2**30:,.1f} GiB of {device} are free: "
            "choose a smaller model."
        )


def random_family(
    shape: FamilyShape, device: torch.device, dtype: torch.dtype, experts: str, seed: int = 0
) -> VisionLanguageModel:
    """A model with random weights, drawn on the device in the target dtype.

    Matrices are normal with standard deviation 0.02; gains of norms are one and biases zero. Memory stays at the size
    of the weights: no float32 copy exists.

    Raises:
        ModelError: transformers cannot build it, or it does not fit the device.
    """
    config = hf_config(shape)
    with sentences(shape):
        check_fits(shape, count_parameters(config), device, dtype)
        hf = _built(config, device, dtype)
        generator = torch.Generator(device).manual_seed(seed)
        with torch.no_grad():
            for name, parameter in hf.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
                elif parameter.dim() == 1 and name.endswith("weight"):
                    parameter.fill_(1.0)
                else:
                    parameter.normal_(0.0, 0.02, generator=generator)
        return VisionLanguageModel(shape, hf, experts)


def load_family(
    directory: Path, shape: FamilyShape, device: torch.device, dtype: torch.dtype, experts: str
) -> VisionLanguageModel:
    """A model with the weights of a checkpoint directory, read from safetensors; none of its code is run.

    Whether they are whole, as many as the configuration needs, and fit the device is known before any is loaded.

    Raises:
        ModelError: They are not, transformers cannot build the model, or tensors do not fit it.
    """
    held = find_tensors(directory)
    numbers = sum(math.prod(size) for tensors in held.values() for size in tensors.values())
    config = hf_config(shape)
    with sentences(shape):
        needed = count_parameters(config)
    if numbers < needed:
        raise ModelError(
            f"{directory} has a config.json of {needed:,} parameters, but its files hold {numbers:,} in all."
        )
    check_fits(shape, needed, device, dtype)
    # What is being done is said by whoever asked, and warnings end up in a sentence.
    transformers.utils.logging.disable_progress_bar()
    with sentences(shape, "load"), _quiet():
        hf, found = AutoModelForImageTextToText.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            # So that they are named below, as the others are.
            ignore_mismatched_sizes=True,
        )
        _check_loaded(directory, hf, found)
        return VisionLanguageModel(shape, hf.to(device), experts)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, transformers writes no report of its own beside the sentence."""
    log = transformers.utils.logging
    before = log.get_verbosity()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(before)


def _check_loaded(directory: Path, hf: Any, found: dict[str, Any]) -> None:
    """Whether each tensor came from the files, and each of theirs went somewhere.

    Raises:
        ModelError: Not so, or one holds what is no finite number.
    """
    problems = []
    for word, key in (("missing", "missing_keys"), ("unexpected", "unexpected_keys"), ("misshapen", "mismatched_keys")):
        names = sorted(str(each[0] if isinstance(each, tuple) else each) for each in found.get(key) or ())
        if names:
            problems.append(f"{word} {some(names, _NAMED)}")
    if problems:
        raise ModelError(f"{directory} does not fit its config.json: {'; '.join(problems)}.")
    wrong = [name for name, parameter in hf.named_parameters() if not torch.isfinite(parameter).all()]
    if wrong:
        raise ModelError(f"{directory} holds {some(wrong, _NAMED)} with values that are no finite numbers.")
