"""Threads over pywinrm as it comes: `python -m benchmarks.guests.winrm_bare < SPEC`."""

import os
import sys

import orjson
import requests
import winrm
import winrm.exceptions

from benchmarks.guests.question import ask_all, is_answer


def main() -> None:
    """Ask every host, and print how many answered and how long one took."""
    os.environ["NO_PROXY"] = "*"  # requests would change it for every call, which threads do not survive
    spec = orjson.loads(sys.stdin.buffer.read())

    def ask(host: tuple[str, int]) -> bool:
        session = winrm.Session(
            f"https://{host[0]}:{host[1]}/wsman",
            auth=(spec["user"], spec["secret"]),
            transport="ntlm",
            ca_trust_path=spec["ca"],
            operation_timeout_sec=int(spec["timeout"]),
            read_timeout_sec=int(spec["timeout"]) + 1,
        )
        try:
            return is_answer(session.run_cmd("ver").std_out)
        except (requests.RequestException, winrm.exceptions.WinRMError):
            return False

    print(orjson.dumps(ask_all(ask, spec)).decode())


if __name__ == "__main__":
    main()
