"""*Open in Perfetto*: a trace handed to ui.perfetto.dev in a tab of its own, from one page of the browser to another.

The page fetches nothing from outside by itself: the viewer is loaded by a click, into its own tab, and is given the
trace there by `postMessage`, as https://perfetto.dev/docs/visualization/deep-linking-to-perfetto-ui says.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import fragment

if TYPE_CHECKING:
    from pathlib import Path

_HTML = """
<button type="button" title="Loads ui.perfetto.dev in a new tab. The trace stays in your browser: it goes from this tab
to that one, and to no server.">Open in Perfetto</button>
<span role="status"></span>
"""

_CSS = """
button {
    font: inherit; font-size: 0.875rem; width: 100%; min-height: 2.5rem; padding: 0.25rem 0.75rem; cursor: pointer;
    color: var(--st-text-color); background: transparent;
    border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.5rem);
}
button:hover, button:focus-visible { color: var(--st-primary-color); border-color: var(--st-primary-color); }
span { display: block; font-size: 0.875rem; padding-top: 0.25rem; color: var(--st-text-color); }
span:empty { display: none; }
"""

# The tab is opened within the click, since browsers block one that is opened later; the trace is asked for then, and
# posted once it is here and the viewer answers that it listens.
_JS = """
const VIEWER = "https://ui.perfetto.dev";
const ANSWERS_WITHIN_MS = 60000, ASKS_EVERY_MS = 100;

function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

function hand_over(viewer, trace, say) {
    const until = Date.now() + ANSWERS_WITHIN_MS;
    const end = (text) => {
        clearInterval(asking);
        window.removeEventListener("message", listen);
        say(text);
    };
    const listen = (message) => {
        if (message.source !== viewer || message.origin !== VIEWER || message.data !== "PONG") return;
        const perfetto = { buffer: bytes(trace.bytes), title: trace.title, fileName: trace.name };
        viewer.postMessage({ perfetto }, VIEWER);
        end("");
    };
    const asking = setInterval(() => {
        if (viewer.closed) end("");
        else if (Date.now() > until) end("ui.perfetto.dev does not answer: download the trace, and open it there.");
        else viewer.postMessage("PING", VIEWER);
    }, ASKS_EVERY_MS);
    window.addEventListener("message", listen);
}

export default function ({ data, parentElement, setTriggerValue }) {
    const status = parentElement.querySelector("[role=status]");
    const say = (text) => { status.textContent = text; };
    parentElement.querySelector("button").onclick = () => {
        const viewer = window.open(VIEWER);
        if (!viewer) {
            say("Your browser blocked the new tab: allow pop-ups of this page, or download the trace and open it at "
                + "ui.perfetto.dev.");
            return;
        }
        say("Handing the trace over…");
        parentElement.viewer = viewer;
        setTriggerValue("asked", true);
    };
    if (data && parentElement.viewer) {
        const viewer = parentElement.viewer;
        parentElement.viewer = null;
        hand_over(viewer, data, say);
    }
}
"""

_button = st.components.v2.component("profcore-perfetto", html=_HTML, css=_CSS, js=_JS)


@fragment()
def open_in_perfetto(trace: Path, title: str) -> None:
    """Draw the button; the trace is sent to the browser when it is pressed, and not before.

    Args:
        trace: The trace's file.
        title: What the viewer calls it.
    """
    key = f"perfetto-{trace.name}"
    asked = st.session_state.get(key)
    data = None
    if asked and asked.get("asked"):
        data = {"bytes": base64.b64encode(trace.read_bytes()).decode(), "title": title, "name": trace.name}
    _button(key=key, data=data, on_asked_change=lambda: None)
