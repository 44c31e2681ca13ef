"""What a stranger reaches of a real dashboard: forged names at the websocket, and pages from beyond this machine."""

import base64
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import urllib.request

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from tests.support import ROOT, seconds, until


@contextlib.contextmanager
def serving(folder, *options, **variables):
    """A dashboard on a free port; gives the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    environment = {**os.environ, "PROFCORE_DB": str(folder / "data.duckdb"), **variables}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([*command, *options], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: answers(port) or server.poll() is not None)
        assert server.poll() is None, (folder / "server.log").read_text()
        yield port
    finally:
        server.terminate()
        server.wait(seconds(60))


def answers(port):
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as answer:
        return answer.status == 200
    return False


def knock(port, host, origin=None):
    """The status that a request for the websocket gets, with these headers and no others of their kind."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds(30))
    asked.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in {
        "Host": host,
        **({"Origin": origin} if origin else {}),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }.items():
        asked.putheader(name, value)
    asked.endheaders()
    status = asked.getresponse().status
    asked.close()
    return status


def upload(port, host, place="/_stcore/upload_file/session/file"):
    """The status that an upload gets; to a session of one's own invention unless told another."""
    body = b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nhello\r\n--x--\r\n"
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds(30))
    headers = {"Host": host, "Content-Type": "multipart/form-data; boundary=x", **_xsrf(port)}
    asked.request("PUT", place, body, headers)
    status = asked.getresponse().status
    asked.close()
    return status


def _xsrf(port):
    """The headers by which an upload shows that it comes of the dashboard's own page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as answer:
        cookie = (answer.headers.get("Set-Cookie") or "=").split(";")[0]
    return {"Cookie": cookie, "X-Xsrftoken": cookie.split("=", 1)[1]}


def visit(port, origin=None):
    """What a page shows, as texts, to a browser that says it comes from there, and what an upload of its gets."""
    with connect(
        f"ws://127.0.0.1:{port}/_stcore/stream", origin=origin, max_size=None, subprotocols=["streamlit"]
    ) as to:
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        to.send(asked.SerializeToString())
        shown, ended = [], False
        while not ended:
            message = ForwardMsg.FromString(to.recv(timeout=seconds(120)))
            shown.append(str(message.delta))
            ended = message.WhichOneof("type") == "script_finished"
        asked = BackMsg()
        asked.file_urls_request.request_id = "1"
        asked.file_urls_request.file_names.append("a.json")
        to.send(asked.SerializeToString())
        while message.WhichOneof("type") != "file_urls_response":
            message = ForwardMsg.FromString(to.recv(timeout=seconds(120)))
        uploaded = upload(port, f"127.0.0.1:{port}", message.file_urls_response.file_urls[0].upload_url)
    return "\n".join(shown), uploaded


def test_names_that_point_here_from_elsewhere_are_refused(tmp_path):
    with serving(tmp_path) as port:
        own = f"127.0.0.1:{port}"
        for host in (own, f"localhost:{port}"):
            assert knock(port, host) == knock(port, host, f"http://{host}") == 101
        for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", f"0.0.0.0:{port}"):
            assert knock(port, host) == knock(port, host, f"http://{host}") == 403
        assert knock(port, own, "http://evil.example") == 403
        assert upload(port, f"evil.example:{port}") in (400, 403)
        shown, uploaded = visit(port, f"http://localhost:{port + 1}")
        assert "at another port" in shown
        assert uploaded == 400
    # No session but the refused one ran a page, so nothing was opened and no worker started.
    assert not (tmp_path / "data.duckdb").exists()


def test_beyond_this_machine_a_page_says_one_sentence_and_nothing_is_started(tmp_path):
    hosts = {"STREAMLIT_SERVER_ALLOWED_HOSTS": "127.0.0.1 profcore.example.org"}
    with serving(tmp_path, "--server.address=0.0.0.0", **hosts) as port:
        assert knock(port, "profcore.example.org", "https://profcore.example.org") == 101
        assert knock(port, "evil.example") == 403
        shown, uploaded = visit(port)
    assert uploaded == 400
    assert "PROFCORE_ALLOW_REMOTE=1" in shown
    assert "PROFCORE_PASSWORD" in shown
    assert "Measured on" not in shown
    assert not (tmp_path / "data.duckdb").exists()


@pytest.fixture
def remote(monkeypatch, tmp_path):
    """A visit of the pages of a dashboard that listens on every address, in this process."""
    from streamlit import config
    from streamlit.testing.v1 import AppTest

    before = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data.duckdb"))
    yield AppTest.from_string(
        "from pages.parts import door\ndoor.pass_through()\nimport streamlit as st\nst.text('in')"
    )
    config.set_option("server.address", before)


def test_a_password_opens_the_door_once_for_a_session(remote, monkeypatch):
    monkeypatch.setenv("PROFCORE_ALLOW_REMOTE", "1")
    monkeypatch.setenv("PROFCORE_PASSWORD", "correct horse")
    remote.run(timeout=seconds(60))
    assert not remote.text
    remote.text_input(key="door-password").set_value("battery")
    remote.button[0].click().run()
    assert remote.error[0].value == "That is not the password."
    assert not remote.text
    remote.text_input(key="door-password").set_value("correct horse")
    remote.button[0].click().run()
    assert remote.text[0].value == "in"
    remote.run()
    assert remote.text[0].value == "in"
