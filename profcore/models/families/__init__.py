"""Other vision-language models than MolmoE: one adapter of hooks, and a file of data for each family.

Nothing here needs torch but `adapter`, `inputs`, `loading` and `pixels`.
"""

from __future__ import annotations

from profcore.models.families import (
    aria,
    ernie_vl,
    gemma3,
    gemma4,
    glm_v,
    idefics,
    internvl,
    llama4,
    llava,
    llava_tiles,
    mistral3,
    molmo2,
    qwen_vl,
)

_FILES = (
    *(qwen_vl, glm_v, ernie_vl, aria, internvl, idefics, llava, llava_tiles, gemma3, gemma4, mistral3, molmo2),
    llama4,
)
FAMILIES = {family.model_type: family for file in _FILES for family in file.FAMILIES}
"""Every family by its model type; a file of one's own is named above."""
