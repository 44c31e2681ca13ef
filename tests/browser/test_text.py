"""Text that looks like Markdown is shown letter by letter, as Chromium and Streamlit draw it."""

import contextlib
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.support import ROOT, seconds, until

TEXTS = [
    *("![x](http://127.0.0.1:9/p.png)", "<img src=http://127.0.0.1:9/p.png>", "[a](http://127.0.0.1:9/)"),
    *("http://127.0.0.1:9/p", "see www.evil.example now", "a@b.org", "<https://a.b/>", "mailto:a@b.c", "xmpp:a@b.c"),
    *("# head", "- item", "+ item", "1. item", "3) item", "> quote", "= x", "---", "***", "```x", "~~~", "    in"),
    *(":material/home: :red[x] :smile: :blue-badge[b] :name :streamlit: :+1: :100:", "$x^2$ and $$y$$", "`code`"),
    *("**b** _i_ ~~s~~", "a -> b <- c -- d >= e ~= f => g", "&lt;b&gt; &amp; &#47;", "a\n\n# b\n![x](http://a/q.png)"),
    *(
        "| a | b |\n|---|---|\n| c | d |",
        "\\![x](http://127.0.0.1:9/p.png)",
        "[x]: http://a/",
        "[^1] [^1]: note",
        "{x}",
    ),
    *("molmoe-1b, compiled, random weights on NVIDIA H100 80GB HBM3", "cuda:0 10:30:22 a:b:c", "a_b_c d*e*f"),
]
PAGE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import streamlit as st
from pages.parts.text import plain
for text in {TEXTS!r}:
    shown = plain(text)
    st.markdown(shown)
    st.error(shown)
    st.caption(f":material/info: {{shown}}")
    st.markdown(f"**{{shown}}**: x")
    st.progress(0.5, shown)
    st.expander(shown).text("inside")
st.text("all is drawn")
"""


@pytest.mark.long
def test_text_that_looks_like_markdown_is_shown_letter_by_letter(new_page, tmp_path):
    (tmp_path / "page.py").write_text(PAGE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", "page.py", "--browser.gatherUsageStats=false", *options]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers():
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health"):
            return True
        return server.poll() is not None

    try:
        until(answers)
        page, asked = new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        drawn = page.locator("[data-testid=stMarkdownContainer]")
        page.get_by_text("all is drawn").wait_for()
        shown = [" ".join(text.replace("\N{WORD JOINER}", "").split()) for text in drawn.all_inner_texts()]
        for text in TEXTS:
            # By itself thrice or more, after an icon, and in bold.
            assert shown.count(" ".join(text.split())) >= 3, text
        # Nothing but the page's own parts was drawn, and nothing fetched.
        marked = "a, img, h1, h2, h3, li, code, em, del, blockquote, table, hr, pre"
        assert page.locator(f"[data-testid=stMarkdownContainer] :is({marked})").count() == 0
        assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []
    finally:
        server.terminate()
        server.wait(seconds(60))
