"""The door of the dashboard: drawn before anything else, so that a stranger sees nothing and starts no worker."""

from __future__ import annotations

import math
import secrets

import streamlit as st
from streamlit.runtime.secrets import secrets_singleton

from pages.parts import uploads
from pages.parts.text import say_error
from profcore.service.admission import Guesses, Lock, Rules, Visit

_KEY, _GUESSES = "door", "door-guesses"
# What a session that was let in holds: nobody outside of this process can know it.
_TOKEN = secrets.token_hex()
_LOCK = Lock()


def pass_through() -> None:
    """Go on if this session may; else say why not, or ask for what opens the door, and end the page."""
    if not _may_pass():
        uploads.refuse()
        st.stop()
    uploads.allow()


def _may_pass() -> bool:
    """Whether this session may go on; else its page says why not, or asks for what opens the door."""
    rules, visit = Rules.of(login=_has_login()), _visit()
    if reason := visit.refused(rules, st.config.get_option("server.corsAllowedOrigins")):
        st.error(reason)
        return False
    if rules.login:
        return _is_logged_in(rules)
    if rules.password and st.session_state.get(_KEY) != _TOKEN:
        _ask_password(rules.password)
        return False
    return True


def _visit() -> Visit:
    headers = st.context.headers
    # A request without a Host is none of a browser; where no request is known at all, the page runs in a test.
    host = headers.get("Host", "" if headers else None)
    return Visit(st.config.get_option("server.address") or "", host, headers.get("Origin"))


def _has_login() -> bool:
    return bool(secrets_singleton.load_if_toml_exists() and "auth" in secrets_singleton)


def _is_logged_in(rules: Rules) -> bool:
    if not st.user.is_logged_in:
        st.info("Log in to use this dashboard.")
        st.button("Log in", on_click=st.login, type="primary", key="log-in")
        return False
    # An address that the provider has not verified is what anybody may have written there.
    address = st.user.get("email") if st.user.get("email_verified", True) else None
    if not rules.lets_in(str(address or "")):
        st.error("Whoever started this dashboard has not let this account in.")
        st.button("Log out", on_click=st.logout, key="log-out")
        return False
    return True


def _ask_password(password: str) -> None:
    with st.form("door-form"):
        given = st.text_input("Password", type="password", key="door-password", max_chars=1000)
        asked = st.form_submit_button("Open")
    if asked:
        guesses = st.session_state.setdefault(_GUESSES, Guesses())
        opened = _LOCK.opens(given, password, guesses)
        if opened:
            st.session_state[_KEY] = _TOKEN
            st.rerun()
        wait = math.ceil(guesses.wait_s())
        said = "Too many wrong passwords here" if opened is None else "That is not the password"
        say_error(f"{said}: wait {wait} s." if wait else f"{said}.")
