"""What the guests find in their network: Azure's own addresses, a package repository, names, an internet.

Everything runs in threads of the tests; only its sockets live in the lab's namespace.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from tests.lab.network import IMDS, OPERATOR, WIRE, Network
from tests.lab.system import network_namespace

Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """What a guest asked."""

    client: str
    method: str
    path: str
    metadata: bool
    body: bytes


VERSIONS = (
    "<Versions><Preferred><Version>2015-04-05</Version></Preferred><Supported>"
    "<Version>2015-04-05</Version><Version>2012-11-30</Version></Supported></Versions>"
)
GOAL_STATE = f"""<GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>
<Machine><ExpectedState>Started</ExpectedState><LBProbePorts><Port>16001</Port></LBProbePorts></Machine>
<Container><ContainerId>lab-container</ContainerId><RoleInstanceList><RoleInstance>
<InstanceId>lab-instance</InstanceId><State>Started</State><Configuration>
<HostingEnvironmentConfig>http://{WIRE}/part/hosting</HostingEnvironmentConfig>
<SharedConfig>http://{WIRE}/part/shared</SharedConfig>
<ExtensionsConfig>http://{WIRE}/part/extensions</ExtensionsConfig>
<ConfigName>lab.xml</ConfigName></Configuration></RoleInstance></RoleInstanceList></Container></GoalState>"""
PARTS = {
    "/part/hosting": '<HostingEnvironmentConfig><Deployment name="lab"/><Incarnation number="1"/>'
    '<Role name="lab"/></HostingEnvironmentConfig>',
    "/part/shared": '<SharedConfig><Deployment name="lab"/><Incarnation number="1"/></SharedConfig>',
    "/part/extensions": "<Extensions><GuestAgentExtension><GAFamilies/></GuestAgentExtension><Plugins/>"
    f'<PluginSettings/><StatusUploadBlob statusBlobType="BlockBlob">http://{WIRE}/status'
    "</StatusUploadBlob></Extensions>",
}


@dataclass
class Services:
    """All of it; `identities` says what the metadata service tells each address of itself.

    `packages` is a folder by suite. `reports` holds the last status that the agent of each address sent.
    """

    network: Network
    packages: dict[str, Path] = field(default_factory=dict)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    authority: trustme.CA = field(default_factory=trustme.CA)
    _open: ExitStack = field(default_factory=ExitStack)

    def start(self, *names: str) -> None:
        """Listen; `names` are those of the internet, all of them here."""
        certificate = self.authority.issue_cert(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        with network_namespace(self.network.operator):
            self._serve(OPERATOR, 80, self._package)
            self._serve(OPERATOR, 443, lambda request: (404, b""), context)
            self._serve(WIRE, 80, self._wire)
            self._serve(WIRE, 32526, lambda request: (404, b""))
            self._serve(IMDS, 80, self._metadata)
            self._answer_names()

    def stop(self) -> None:
        """Listen no more."""
        self._open.close()

    def wait_for_report(self, address: str, version: str, timeout: float = 60) -> None:
        """Return once the agent at an address says it is ready, and of this version.

        A report is the last one sent: it may still be that of an agent which was replaced a moment ago.
        """
        end = time.monotonic() + timeout
        while (told := self.reports.get(address, {})).get("status") != "Ready" or told["version"] != version:
            assert time.monotonic() < end, f"no agent {version} reported from {address}: {told}"
            time.sleep(0.1)

    # ---- answers --------------------------------------------------------------------------------

    def _package(self, request: Request) -> Answer:
        suite, *names = [name for name in request.path.split("/") if name not in ("", ".", "..")] or [""]
        file = self.packages.get(suite, Path("/nowhere")).joinpath(*names)
        return (200, file.read_bytes()) if file.is_file() else (404, b"")

    def _wire(self, request: Request) -> Answer:
        if request.method == "PUT":
            with suppress(ValueError, KeyError):
                self.reports[request.client] = json.loads(request.body)["aggregateStatus"]["guestAgentStatus"]
            return 201, b""
        query = request.path.lower()
        if "comp=versions" in query:
            return 200, VERSIONS.encode()
        if "comp=goalstate" in query:
            return 200, GOAL_STATE.encode()
        part = PARTS.get(request.path)
        return (200, part.encode()) if part else (404, b"")

    def _metadata(self, request: Request) -> Answer:
        known = self.identities.get(request.client)
        if not request.metadata or known is None:
            return 400, b""
        compute = request.path.partition("?")[0] == "/metadata/instance/compute"
        return 200, json.dumps(known if compute else {"compute": known}).encode()

    # ---- sockets --------------------------------------------------------------------------------

    def _serve(
        self,
        address: str,
        port: int,
        answer: Callable[[Request], Answer],
        context: ssl.SSLContext | None = None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                metadata = self.headers["Metadata"] == "true"
                status, body = answer(
                    Request(self.client_address[0], self.command, self.path, metadata, sent)
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        server = Server((address, port), Handler)
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        self._open.callback(server.server_close)
        self._open.callback(server.shutdown)

    def _answer_names(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((OPERATOR, 53))
        threading.Thread(target=_names, args=(sock,), daemon=True).start()
        # closing alone does not wake a reader
        self._open.callback(sock.close)
        self._open.callback(_wake, sock)


class Server(ThreadingHTTPServer):
    """A server whose guests may go away in the middle of an answer."""

    daemon_threads = True
    # forty guests may come at once, while the tests' own process is busy
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a guest that is killed, frozen or distrustful hangs up as it likes."""


def _wake(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _names(sock: socket.socket) -> None:
    """Every name leads to the operator's address; there is no other type of record."""
    while True:
        try:
            query, client = sock.recvfrom(512)
        except OSError:
            return
        if not client:
            return
        end = query.index(b"\0", 12) + 5
        wanted = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if wanted else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(OPERATOR) if wanted else b""
        with suppress(OSError):
            sock.sendto(head + query[12:end] + record, client)
