"""known_hosts files as OpenSSH writes them, and the verdict on a shown key."""

import base64
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.hosts.known_hosts import HostKey, KnownHosts, verify

RIGHT = HostKey("ssh-ed25519", b"right")
WRONG = HostKey("ssh-ed25519", b"wrong")
OTHER_TYPE = HostKey("ecdsa-sha2-nistp256", b"right")


def line(names: str, key: HostKey = RIGHT, marker: str = "") -> str:
    return f"{marker} {names} {key.type} {base64.b64encode(key.blob).decode()} a comment\n".lstrip()


def known(tmp_path: Path, *lines: str) -> KnownHosts:
    path = tmp_path / "known_hosts"
    path.write_text("".join(lines))
    return KnownHosts([path])


@pytest.mark.parametrize(
    ("names", "address", "port", "found"),
    [
        ("web.example", "web.example", 22, True),
        ("web.example", "WEB.example", 22, True),
        ("WEB.example", "web.example", 22, True),
        ("web.example", "web.example", 2222, False),
        ("[web.example]:2222", "web.example", 2222, True),
        ("[web.example]:2222", "web.example", 22, False),
        ("a,web.example,b", "web.example", 22, True),
        ("*.example", "web.example", 22, True),
        ("*.example,!web.example", "web.example", 22, False),
        ("[*.example]:2222", "web.example", 2222, True),
        ("web?.example", "web1.example", 22, True),
        ("fe80::1", "fe80::1", 22, True),
        ("other.example", "web.example", 22, False),
    ],
)
def test_names(tmp_path: Path, names: str, address: str, port: int, found: bool) -> None:
    assert known(tmp_path, line(names)).keys(address, port) == ((RIGHT,) if found else ())


def test_hashed_names_as_ssh_keygen_makes_them(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line("[web.example]:2222") + line("db.example", WRONG))
    subprocess.run(["ssh-keygen", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "web.example" not in path.read_text()
    hosts = KnownHosts([path])
    assert hosts.keys("web.example", 2222) == (RIGHT,)
    assert hosts.keys("db.example", 22) == (WRONG,)
    assert hosts.keys("web.example", 22) == ()


def test_a_missing_file_and_lines_that_are_none(tmp_path: Path) -> None:
    hosts = known(tmp_path, "# comment\n", "\n", "short\n", "web ssh-ed25519 !!!\n", "|1|x|y ssh-rsa QQ==\n")
    assert hosts.keys("web", 22) == ()
    assert KnownHosts([tmp_path / "absent"]).keys("web", 22) == ()


def test_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    text = (tmp_path / "key.pub").read_text().split()
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True
    )
    assert HostKey(text[0], base64.b64decode(text[1])).fingerprint == shown.stdout.split()[1]


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line("web", WRONG)], "host key changed: expected SHA256:"),
        ([line("web", OTHER_TYPE)], "host key changed: expected SHA256:"),
        ([line("web"), line("*", marker="@revoked")], "is revoked"),
    ],
)
def test_no_policy_takes_a_changed_or_revoked_key(
    tmp_path: Path, policy: str, lines: list[str], said: str
) -> None:
    hosts = known(tmp_path, *lines)
    before = (tmp_path / "known_hosts").read_bytes()
    with pytest.raises(HostError, match=said):
        verify(hosts, "web", 22, RIGHT, policy)
    assert (tmp_path / "known_hosts").read_bytes() == before


def test_a_second_known_key_is_as_good_and_a_third_is_not(tmp_path: Path) -> None:
    verify(known(tmp_path, line("web", WRONG), line("web")), "web", 22, RIGHT, "strict")
    with pytest.raises(HostError, match="host key changed"):
        verify(known(tmp_path, line("web", WRONG), line("web", WRONG)), "web", 22, RIGHT, "strict")


def test_an_unknown_host_is_refused_or_written_down(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "known_hosts"
    hosts = KnownHosts([path])
    with pytest.raises(HostError, match=r"host key of web:2222 is not in known_hosts \(SHA256:"):
        verify(hosts, "web", 2222, RIGHT, "strict")
    assert not path.exists()
    verify(hosts, "web", 2222, RIGHT, "accept-new")
    verify(hosts, "web", 2222, RIGHT, "strict")
    verify(KnownHosts([path]), "web", 2222, RIGHT, "strict")
    with pytest.raises(HostError, match="host key changed"):
        verify(hosts, "web", 2222, WRONG, "accept-new")


@pytest.mark.parametrize("before", ["", line("old.example"), line("old.example").rstrip()])
def test_what_another_program_learnt_meanwhile_counts(tmp_path: Path, before: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(before)
    first, second = KnownHosts([path]), KnownHosts([path])
    verify(first, "web", 22, RIGHT, "accept-new")
    with pytest.raises(HostError, match="host key changed"):
        verify(second, "web", 22, WRONG, "accept-new")
    verify(second, "db", 22, WRONG, "accept-new")
    verify(first, "db", 22, WRONG, "accept-new")
    path.write_text(path.read_text() + line("*", WRONG, "@revoked "))
    with pytest.raises(HostError, match="is revoked"):
        verify(first, "new", 22, WRONG, "accept-new")
    names = [row.split()[0] for row in path.read_text().splitlines()]
    assert names == [*(["old.example"] if before else []), "web", "db", "@revoked"]


def test_many_threads_meet_a_new_host_and_one_writes_it_down(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    hosts = [KnownHosts([path]) for _ in range(4)] * 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: verify(one, "web", 22, RIGHT, "accept-new"), hosts))
    assert path.read_text().split() == line("web").split()[:3]


def test_a_new_key_does_not_run_into_a_last_line_without_an_end(tmp_path: Path) -> None:
    hosts = known(tmp_path, line("old.example").rstrip("\n").removesuffix(" a comment"))
    for name in ("new.example", "newer.example"):
        verify(hosts, name, 22, OTHER_TYPE, "accept-new")
    again = KnownHosts([tmp_path / "known_hosts"])
    assert [again.keys(f"{name}.example", 22) for name in ("old", "new", "newer")] == [
        (RIGHT,),
        (OTHER_TYPE,),
        (OTHER_TYPE,),
    ]
    with pytest.raises(HostError, match="host key changed"):
        verify(again, "old.example", 22, WRONG, "accept-new")
    assert (tmp_path / "known_hosts").read_bytes().count(b"\n") == 3


def test_a_key_that_cannot_be_written_down_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written down"):
        verify(KnownHosts([tmp_path / "file" / "known_hosts"]), "web", 22, RIGHT, "accept-new")


def test_certificate_authorities_do_not_vouch_for_a_plain_key(tmp_path: Path) -> None:
    assert known(tmp_path, line("*", marker="@cert-authority")).keys("web", 22) == ()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "known_hosts"
    path.write_bytes(content)
    assert isinstance(KnownHosts([path]).keys("web", 22), tuple)
