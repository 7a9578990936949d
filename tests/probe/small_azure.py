"""Azure's addresses, an internet and a proxy, small enough for one network namespace.

Arguments: a file to touch when all listens, then `kind,address,port[,option]`. Kinds: `wire` (option:
status), `imds` (option: body), `mute` (accepts, never speaks), `tls` (option: certificate file), `proxy`
(CONNECT for anybody; option: file that logs the hosts).
"""

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LISTENING: list[socket.socket] = []


def serve(address: str, port: int, answer: Callable[[BaseHTTPRequestHandler], tuple[int, str]]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def wire(address: str, port: int, option: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        return (int(option or 200), "<Versions/>") if request.path == "/?comp=versions" else (404, "")

    serve(address, port, answer)


def imds(address: str, port: int, option: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        known = request.path.startswith("/metadata/instance/compute?api-version=")
        return (200, option) if known and request.headers["Metadata"] == "true" else (400, "")

    serve(address, port, answer)


def mute(address: str, port: int, _: str) -> None:
    LISTENING.append(socket.create_server((address, port)))


def tls(address: str, port: int, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listen(address, port, lambda link: speak_tls(context, link))


def speak_tls(context: ssl.SSLContext, link: socket.socket) -> None:
    with context.wrap_socket(link, server_side=True) as wrapped:
        wrapped.recv(4096)
        wrapped.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def proxy(address: str, port: int, log: str) -> None:
    listen(address, port, lambda link: tunnel(link, Path(log)))


def tunnel(link: socket.socket, log: Path) -> None:
    head = link.recv(4096).decode()
    with log.open("a") as file:
        file.write(head.split("\r\n")[0] + "\n")
    if not head.startswith("CONNECT localhost:"):
        link.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    port = int(head.split()[1].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as inner:
        link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(inner, link))
        back.start()
        pump(link, inner)
        back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def listen(address: str, port: int, handle: Callable[[socket.socket], None]) -> None:
    server = socket.create_server((address, port))

    def one(link: socket.socket) -> None:
        try:
            with link:
                handle(link)
        except OSError:
            pass

    def loop() -> None:
        while True:
            link, _ = server.accept()
            threading.Thread(target=one, args=(link,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def main() -> None:
    kinds = {"wire": wire, "imds": imds, "mute": mute, "tls": tls, "proxy": proxy}
    for argument in sys.argv[2:]:
        kind, address, port, option = [*argument.split(",", 3), ""][:4]
        kinds[kind](address, int(port), option)
    Path(sys.argv[1]).touch()
    threading.Event().wait()


main()
