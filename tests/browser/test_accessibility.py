"""Nothing that this project draws is hard to read or without a name, as axe-core looks at every page."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect

from tests.support import ROOT

# What is Streamlit's own, by rule: where it is, and why no page can mend it.
STREAMLITS_OWN = {
    "list": "[data-testid=stSidebarNav]",  # headings of the menu's groups stand between the items of its list
    "listitem": "[data-testid=stSidebarNav]",
}
LOOK = """async (own) => {
    const found = (await axe.run(document, {resultTypes: ["violations"], elementRef: true})).violations;
    return found.filter(rule => ["serious", "critical"].includes(rule.impact)).flatMap(rule => rule.nodes
        .filter(node => !(own[rule.id] && node.element.closest(own[rule.id])))
        .map(node => `${rule.id}: ${rule.help}: ${node.html.slice(0, 200)}`));
}"""
# Colours that are on their way to others are nobody's: a reader sees where they end.
AT_REST = """() => document.getAnimations().every(
    each => each.playState !== "running" || each.effect.getComputedTiming().iterations === Infinity
)"""
_LOOKS = 3
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_finding_outside_streamlits_own(url, new_page, scheme):
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page = new_page(color_scheme=scheme)
    found = {}
    for name in PAGES:
        page.goto(f"{url}/{'' if name == 'home' else name}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.evaluate(axe)
        found[name] = _what_stays(page)
        # Who does not see a chart is told what is on its axes.
        drawn = page.locator("[data-testid=stVegaLiteChart][role=graphics-document]")
        for place in range(drawn.count()):
            label = drawn.nth(place).get_attribute("aria-label") or ""
            if "_" in label or " " not in label:
                found[name].append(f"a chart is called {label!r}")
    assert {name: each for name, each in found.items() if each} == {}


def _what_stays(page):
    """What axe finds each time it looks; what a page shows for a moment while it draws itself is not found twice."""
    looks = []
    while len(looks) < _LOOKS and (not looks or looks[-1]):
        expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
        page.wait_for_function(AT_REST)
        looks.append(page.evaluate(LOOK, STREAMLITS_OWN))
    return [finding for finding in looks[-1] if all(finding in look for look in looks)]
