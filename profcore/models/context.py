"""Whether prompts and answers fit a model's context, known before anything of it is loaded. Needs no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.images.processing import image_tokens
from profcore.models.config import PRESETS, MolmoConfig, checkpoint_path, find_config
from profcore.models.families.prompt import build_ids
from profcore.models.families.shape import FamilyShape
from profcore.models.hub import cached_file
from profcore.models.knobs import check_setting
from profcore.models.picture import grid_layout_of, picture_layout
from profcore.models.prompt import ByteTokenizer, FileTokenizer, Tokenizer, asked
from profcore.spec.queries import DEFAULT_PROMPT
from profcore.spec.runs import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.models.families.token_rules import Layout
    from profcore.models.shape import Shape
    from profcore.spec.settings import Setting

_TOKENIZER = "tokenizer.json"


def check_context(prompt_tokens: int, setting: Setting, longest: int, model: str = "the model") -> None:
    """Whether a prompt and what is generated after it fit a model's context.

    Args:
        prompt_tokens: Of the prompt, the picture's included.
        setting: The knobs.
        longest: Tokens that the context holds.
        model: What to call the model.

    Raises:
        UserError: They do not; the sentence names the longest answer that does.
    """
    fits = longest_answer(prompt_tokens, longest)
    if setting.output_tokens <= fits:
        return
    whose = f"{model}'s context of {longest}"
    if fits < 1:
        raise UserError(
            f"A prompt of {prompt_tokens} tokens at the {setting.grid_label} grid is more than {whose}: ask a shorter "
            "question, or choose fewer vision tokens."
        )
    raise UserError(
        f"{prompt_tokens} prompt and {setting.output_tokens} output tokens, of which the last is not fed back, "
        f"are more than {whose}: at the {setting.grid_label} grid ask for {fits} output tokens at most."
    )


def longest_answer(prompt_tokens: int, longest: int) -> int:
    """Output tokens that fit behind a prompt; less than one where the prompt itself does not fit."""
    # The last token that is generated is not fed back, and takes no position.
    return longest - prompt_tokens + 1


def check_sweep(sweep: Sweep, shape: Shape, model: str) -> None:
    """Whether a model can measure a sweep: every setting is one of its own, and prompts and answers fit its context.

    Of real pictures, each with a question of its own, those that do not fit are passed over as they are measured: here
    it is enough that one fits.

    Args:
        sweep: What is to be measured.
        shape: The model's.
        model: As `--model` gives it.

    Raises:
        UserError: It cannot, with what would fit.
    """
    for setting in sweep.settings:
        check_setting(setting, shape)
    too_long = []
    for setting, prompt in zip(sweep.settings, prompts_of(sweep, shape, model), strict=True):
        if setting.output_tokens > longest_answer(prompt, shape.max_positions):
            too_long.append((prompt, setting))
        elif sweep.plan:
            return
    if too_long:
        # Of the longest prompt, so that what is said to fit fits the others as well.
        prompt, setting = max(too_long, key=lambda each: each[0])
        check_context(prompt, setting, shape.max_positions, model)


def check_asked_of(setting: Setting, prompt: str | None, shape: Shape, model: str) -> None:
    """As `check_sweep`, of one setting and a question, the usual one unless given."""
    check_sweep(Sweep("output_tokens", (setting,), prompt=prompt or DEFAULT_PROMPT), shape, model)


def usually_fits(setting: Setting, shape: Shape) -> bool:
    """Whether a setting fits a model's context with the usual question, taken byte by byte: no tokenizer has more."""
    prompt = prompt_tokens(shape, grid_layout_of(shape, setting.grid), "", None) + len(asked(DEFAULT_PROMPT).encode())
    return setting.output_tokens <= longest_answer(prompt, shape.max_positions)


def prompts_of(sweep: Sweep, shape: Shape, model: str) -> Iterator[int]:
    """Tokens of each setting's prompt, in the sweep's order; at the least, where the model's tokenizer is not here.

    Raises:
        UserError: The model cannot be given a picture.
    """
    tokenizer = tokenizer_of(model, shape)
    known: dict[object, int] = {}
    for index, setting in enumerate(sweep.settings):
        query = sweep.plan.query(index) if sweep.plan else None
        # Fitted to a grid a picture is that grid; as it is, the model's own rule cuts it.
        by_rule = query is not None and sweep.plan is not None and not (sweep.plan.fitted or sweep.plan.tiers)
        key = (setting.grid, query)
        if key not in known:
            cut = (
                picture_layout(shape, query.width, query.height)
                if by_rule and query is not None
                else grid_layout_of(shape, setting.grid)
            )
            known[key] = prompt_tokens(shape, cut, query.question if query else sweep.prompt, tokenizer)
        yield known[key]


def prompt_tokens(shape: Shape, cut: Layout, question: str, tokenizer: Tokenizer | None) -> int:
    """Length of a prompt, the picture's tokens and what stands around them included.

    Args:
        shape: The model's.
        cut: How the picture is cut.
        question: What is asked.
        tokenizer: The model's; without one the question counts nothing.
    """
    if isinstance(shape, FamilyShape):
        return len(build_ids(shape, cut, tokenizer.encode(question) if tokenizer else []))
    assert isinstance(shape, MolmoConfig)
    text = tokenizer.encode(asked(question)) if tokenizer else []
    return 1 + len(image_tokens(cut.rows, cut.columns, shape.image_token_ids).tokens) + len(text)


def tokenizer_of(model: str, shape: Shape) -> Tokenizer | None:
    """The tokenizer that a model is going to have; None of a hub name of which nothing was fetched yet.

    Raises:
        ModelError: There is none that can be read.
    """
    assert isinstance(shape, MolmoConfig | FamilyShape)
    if model in PRESETS:
        return ByteTokenizer(shape)
    if find_config(model) is None:
        file = cached_file(model, _TOKENIZER)
        return _read(file, file.stat().st_mtime_ns) if file else None
    file = Path(checkpoint_path(model)).expanduser() / _TOKENIZER
    return _read(file, file.stat().st_mtime_ns) if file.is_file() else ByteTokenizer(shape)


@lru_cache(maxsize=4)
def _read(file: Path, changed_ns: int) -> Tokenizer:
    """A tokenizer's file, which a page needs at each of its runs; read anew once it has changed."""
    return FileTokenizer(file)
