"""`inspect tokens`: how a picture with its prompt becomes the sequence that the model reads."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from profcore.images.processing import image_tokens, padding_masks, select_tiling
from profcore.images.tiling import tile
from profcore.models.prompt import build_prompt

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection


def inspect(asked: Inspection) -> dict[str, Any]:
    """Tiling, crops, counts by kind, and the sequence in runs of one kind.

    Raises:
        UserError: The picture cannot be read.
    """
    loaded, config = asked.loaded, asked.loaded.model.config
    image = asked.image()
    grid = select_tiling(image.height, image.width, config.max_crops)
    tokens = image_tokens(*grid, config.image_token_ids)
    input_ids, sources, _ = build_prompt(tokens, asked.prompt, loaded.tokenizer, config)
    kinds = {number: name for name, number in config.image_token_ids.items()}
    named = ["BOS"] + [kinds.get(int(number), "text") for number in input_ids[1:]]
    runs, place = [], 0
    for kind, group in groupby(named):
        length = len(list(group))
        runs.append({"kind": kind, "start": place, "length": length, "id": int(input_ids[place])})
        place += length
    tiles = tile(*image.size, config.max_crops)
    crop_masks = padding_masks(image.height, image.width, *grid)[:-1]
    text = [int(number) for number in input_ids[1 + tokens.num_image_tokens :]]
    return {
        "picture": asked.picture.to_dict(),
        "prompt": asked.prompt,
        "width": image.width,
        "height": image.height,
        "grid": list(tiles.grid),
        "num_crops": tiles.num_crops,
        "crops": tiles.crops.to_dict("records"),
        "num_vision_tokens": int(sources.size),
        "num_image_tokens": tokens.num_image_tokens,
        "num_text_tokens": len(text),
        "num_input_tokens": int(input_ids.size),
        "context": config.max_positions,
        "counts": {kind: named.count(kind) for kind in dict.fromkeys(named)},
        "runs": runs,
        "text": [{"id": number, "piece": loaded.tokenizer.piece(number)} for number in text],
        "patches": tiles.patches,
        "redundant_patches": tiles.redundant,
        "padded_patches": int((crop_masks == 0).sum()),
        "partly_padded_patches": int(((crop_masks > 0) & (crop_masks < 1)).sum()),
    }
