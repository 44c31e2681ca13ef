"""When something stands on a page, noted in the page itself, frame by frame.

Asked from outside, again and again, it is noted up to a second late.
"""

from __future__ import annotations

import json

_NOTE = """(steps) => {
    const noted = window.noted = {};
    const stands = (selector, words) => [...document.querySelectorAll(selector)].some((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && box.height > 0 && new RegExp(words).test(element.textContent);
    });
    addEventListener('click', () => { noted.click ??= performance.now(); }, true);
    const look = () => {
        while (steps.length && stands(steps[0].selector, steps[0].words)) {
            noted[steps.shift().name] = performance.now();
        }
        if (steps.length) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def noting(*steps: tuple[str, str, str]) -> str:
    """A script that notes in `window.noted` when the first click came and when each step stood there, in their order.

    Args:
        steps: What it is called, a selector, and a regular expression of what it says; milliseconds of the page's own
            clock, which begins as it is opened.
    """
    given = [{"name": name, "selector": selector, "words": words} for name, selector, words in steps]
    return f"({_NOTE})({json.dumps(given)})"
