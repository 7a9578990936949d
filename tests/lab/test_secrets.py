"""A password that opens a real guest stands nowhere: in no process, no journal, and in nothing written."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab.bases import PASSWORD
from tests.lab.estate import audit, entry, write_known_hosts
from tests.lab.faults import SECRETS
from tests.lab.guests import Guest
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

# every process of the guest, its arguments and its environment, as long as the file is there
SPY = """touch /run/spy
end=$(($(date +%s) + 90))
while [ -e /run/spy ] && [ "$(date +%s)" -lt "$end" ]; do
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || true
done > /run/seen
"""


def test_a_password_is_seen_nowhere(lab: Lab, estate: Mapping[str, Guest], tmp_path: Path) -> None:
    guest = estate["healthy"]
    write_known_hosts(tmp_path, {guest.address: guest.host_key})
    secrets = {"password": "env:LAB_PASSWORD", "sudo_password": "env:LAB_PASSWORD"}
    way = entry(lab, guest, key=None, user="asks", **secrets)
    with guest.spawn(SPY) as spy:
        report = audit(lab, tmp_path, [way], "--log-file", "log", "--format", "html", **SECRETS)
        guest.sh("rm /run/spy")
        assert spy.wait(20) == 0
    assert report.finding("healthy", "vm-agent-installed")["status"] == "pass"
    seen = guest.sh("tr '\\\\0' '\\\\n' < /run/seen")
    assert "sudo" in seen
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in written} >= {"log", "audit.json", "audit.html"}
    told = guest.sh("journalctl -q --no-pager")
    assert "session opened for user root" in told
    for text in (seen, told, report.output, *(raw.decode() for raw in written.values())):
        assert PASSWORD not in text
