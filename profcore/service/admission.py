"""Who may use a dashboard: whoever sits at its machine, and from elsewhere those whom its owner lets in.

Standard library only, and no streamlit: `pages.parts.door` asks, and shows what is answered.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

ALLOW_REMOTE = "PROFCORE_ALLOW_REMOTE"
PASSWORD = "PROFCORE_PASSWORD"
USERS = "PROFCORE_USERS"
SHORTEST_PASSWORD = 8
# Wrong passwords of one session, and how long its next one is made to wait after each.
_FREE_TRIES, _FIRST_WAIT_S, _LONGEST_WAIT_S = 3, 1.0, 60.0
# Wrong ones of all sessions together, beyond which each answer takes a moment.
_TRIES, _TRIES_WITHIN_S, _PAUSE_S = 60, 60.0, 1.0


@dataclass(frozen=True)
class Rules:
    """What the owner of a dashboard has set.

    Attributes:
        allow_remote: Whether it may be used from other machines.
        password: What a visitor must know; empty for none.
        login: Whether a visitor logs in by OpenID Connect.
        users: Who may then come in, as addresses or `@domain`; empty for all whom the provider knows.
    """

    allow_remote: bool = False
    password: str = ""
    login: bool = False
    users: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ, login: bool = False) -> Rules:
        """The rules that environment variables hold."""
        users = environment.get(USERS, "").replace(",", " ").lower().split()
        allowed = environment.get(ALLOW_REMOTE, "").strip() == "1"
        return cls(allowed, environment.get(PASSWORD, ""), login, tuple(users))

    def lets_in(self, address: str | None) -> bool:
        """Whether who logged in with this mail address may come in."""
        known = (address or "").strip().lower()
        return not self.users or any(
            known.endswith(user) if user.startswith("@") else known == user for user in self.users
        )


@dataclass(frozen=True)
class Visit:
    """How a page is reached.

    Attributes:
        address: What the server listens on; empty for every address.
        host: The request's Host; None where no request is known, as in a test.
        origin: The page that opened the connection, as a browser says it; None from other programs.
    """

    address: str
    host: str | None = None
    origin: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it may come from another machine: by the address, or by a name that a proxy hands on."""
        names = [_host_of(f"//{self.host}") if self.host is not None else None, _host_of(self.origin)]
        return not is_loopback(self.address) or any(not is_loopback(name) for name in names if name is not None)

    def refused(self, rules: Rules, trusted_origins: Collection[str] = ()) -> str | None:
        """One sentence that says why nothing is shown or started; None where the door is open or has a lock.

        Args:
            rules: What the owner has set.
            trusted_origins: Other pages that may open the dashboard, as `http://host:port`.
        """
        if self._is_neighbour() and self.origin not in trusted_origins:
            return (
                "This page was opened by another page of this machine, at another port: open the dashboard by its own "
                "address, or add that page to server.corsAllowedOrigins."
            )
        if not self.is_remote:
            return None
        lacking = []
        if not rules.allow_remote:
            lacking.append(f"{ALLOW_REMOTE}=1")
        if not rules.login and len(rules.password) < SHORTEST_PASSWORD:
            lacking.append(f"{PASSWORD} ({SHORTEST_PASSWORD} letters or more) or a login")
        if not lacking:
            return None
        return (
            "This dashboard can be reached from other machines, so it shows nothing and starts no work until whoever "
            f"started it sets {' and '.join(lacking)}, as docs/service.md says."
        )

    def _is_neighbour(self) -> bool:
        """Whether another page of this machine, at another port, opened the connection."""
        if self.origin is None or self.host is None:
            return False
        return is_loopback(_host_of(self.origin) or "") and urlsplit(self.origin).netloc.lower() != self.host.lower()


def is_loopback(name: str) -> bool:
    """Whether a host's name or number means this machine alone; an empty one means every address."""
    if name.rstrip(".") == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_of(address: str | None) -> str | None:
    """The host of an address, in small letters; empty where it names none that can be."""
    if address is None:
        return None
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


class Guesses:
    """The wrong passwords of one session, which wait longer and longer; they keep nobody else out."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Waits are counted by a clock in seconds."""
        self._now, self._wrong, self._next = now, 0, -math.inf

    def wait_s(self) -> float:
        """Seconds until the next is looked at; 0 where it is at once."""
        return max(self._next - self._now(), 0.0)

    def was_wrong(self) -> None:
        """Count one."""
        self._wrong += 1
        if self._wrong >= _FREE_TRIES:
            self._next = self._now() + min(_FIRST_WAIT_S * 2 ** min(self._wrong - _FREE_TRIES, 10), _LONGEST_WAIT_S)


class Lock:
    """A password, which is always compared, so that whoever knows it comes in however many guess.

    A session of its own costs a guesser nothing. So once there are many wrong words, each word waits a moment before it
    is looked at, the right one as well: nobody is kept out, and whoever guesses has to hold a connection for each.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> None:
        """Guesses are counted by a clock in seconds, and paused at by what waits so many."""
        self._now, self._pause = now, pause
        self._wrong, self._lock = deque[float](maxlen=_TRIES), threading.Lock()

    def opens(self, given: str, password: str, guesses: Guesses) -> bool | None:
        """Whether a word is the password; None where this session has to wait before it may give another."""
        if guesses.wait_s():
            return None
        if self._are_many():
            self._pause(_PAUSE_S)
        if hmac.compare_digest(given.encode("utf-8", "replace"), password.encode("utf-8", "replace")):
            return True
        guesses.was_wrong()
        with self._lock:
            self._wrong.append(self._now())
        return False

    def _are_many(self) -> bool:
        with self._lock:
            while self._wrong and self._now() - self._wrong[0] >= _TRIES_WITHIN_S:
                self._wrong.popleft()
            return len(self._wrong) >= _TRIES
