"""Why a GPU's clocks are not higher, as NVML says it: which reasons mean that a sample was held back."""

from __future__ import annotations

HELD_BACK = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "held by a synchronised card",
    0x020: "thermal slowdown (driver)",
    0x040: "thermal slowdown (hardware)",
    0x080: "power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}
"""The reasons that keep clocks below those asked for, by NVML's bits.

Left out are those that say nothing of a limit met: idle (0x001), clocks set by the user (0x002) and by a display's mode
(0x100).

Source: NVML API Reference, nvmlClocksEventReasons; for the last two nvmlPerfPolicyType_t, by whose policies of these
names the board's limits "cause the GPU to be below application clocks".
"""

MASK = sum(HELD_BACK)
"""All bits of `HELD_BACK`."""


def reason_words(bits: int) -> list[str]:
    """The reasons in a sample's `throttle_reasons` that held it back, in words."""
    return [words for bit, words in HELD_BACK.items() if bits & bit]
