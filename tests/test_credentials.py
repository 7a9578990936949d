"""Secrets by reference: where they may stand, how a failure is named, and that they show nowhere."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from auditor.credentials import HIDDEN, Secret, Secrets, check_reference, forgetting, hide
from auditor.errors import SecretError

CANARY = "canary-\"7\\<b>&é'"
POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes and terminals as POSIX has them")


@pytest.mark.parametrize(
    "reference", ["env:A", "file:~/x", "prompt:admin", "keyring:a/b", "keyvault:v/s", "file:C:\\x"]
)
def test_a_reference_is_one(reference: str) -> None:
    assert check_reference(reference) == reference


@pytest.mark.parametrize("text", ["hunter2", "", "env:", "env: ", "ENV:A", "http://x", "pass:word"])
def test_a_written_out_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SecretError) as caught:
        check_reference(text)
    assert str(caught.value) == (
        "a secret is given by reference (env:NAME, file:PATH, prompt:NAME, keyring:SERVICE/USER, "
        "keyvault:VAULT/SECRET), never written out"
    )


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r}"
    assert secret.reveal() == CANARY
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    "text", [CANARY, repr(CANARY), json.dumps(CANARY), "x=canary-%227%5C%3Cb%3E%26%C3%A9%27"], ids=repr
)
def test_a_resolved_secret_is_taken_out_however_it_is_spelled(text: str) -> None:
    Secret(CANARY)
    assert "canary" not in hide(f"before {text} after")
    assert HIDDEN in hide(text)


@given(st.text(min_size=4, max_size=20).filter(lambda text: text not in HIDDEN), st.text(max_size=20))
def test_no_text_keeps_a_secret(secret: str, around: str) -> None:
    Secret(secret)
    assert secret not in hide(f"{around}{secret}{around}")


def test_what_was_resolved_for_one_work_does_not_hide_words_of_the_next() -> None:
    kept = Secret("kept-for-all")
    with forgetting():
        passing = Secret("passing")
        assert hide(f"{kept.reveal()} {passing.reveal()}") == f"{HIDDEN} {HIDDEN}"
    assert hide("kept-for-all passing") == f"{HIDDEN} passing"


# ---- env, file ---------------------------------------------------------------------------------------


def test_the_environment_gives_a_secret_once() -> None:
    environment = {"WIN_PASSWORD": CANARY}
    secrets = Secrets(environment=environment)
    assert secrets.resolve("env:WIN_PASSWORD").reveal() == CANARY
    environment.clear()
    assert secrets.resolve("env:WIN_PASSWORD").reveal() == CANARY
    with pytest.raises(SecretError, match="the environment variable OTHER is not set"):
        secrets.resolve("env:OTHER")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_line_end_is_no_part_of_a_secret(end: str) -> None:
    secrets = Secrets(environment={"A": CANARY + end, "B": end})
    assert secrets.resolve("env:A").reveal() == CANARY
    with pytest.raises(SecretError, match="is empty"):
        secrets.resolve("env:B")


@POSIX
def test_a_file_gives_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\r\nmore\n", encoding="utf-8")
    path.chmod(0o600)
    assert Secrets().resolve(f"file:{path}").reveal() == CANARY


@POSIX
@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"secret\n", 0o640, "is open to others; chmod 600 it"),
        (b"\n", 0o600, "is empty"),
        (b"\xff\xfe", 0o600, "cannot be read (UnicodeDecodeError)"),
    ],
)
def test_a_file_that_will_not_do(tmp_path: Path, content: bytes, mode: int, said: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(SecretError) as caught:
        Secrets().resolve(f"file:{path}")
    assert said in str(caught.value)
    with pytest.raises(SecretError, match="cannot be read"):
        Secrets().resolve(f"file:{tmp_path / 'nowhere'}")


@POSIX
def test_only_a_plain_file_holds_a_secret(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(SecretError, match="is no plain file"):
            Secrets().resolve(f"file:{path}")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(CANARY, encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(SecretError, match="belongs to another user"):
        Secrets().resolve(f"file:{path}")


# ---- resolving ahead ---------------------------------------------------------------------------------


def test_each_reference_is_fetched_once_and_failures_are_kept() -> None:
    asked: list[str] = []

    def source(name: str) -> str:
        asked.append(name)
        if name == "gone":
            raise SecretError("there is none")
        return CANARY

    secrets = Secrets({"keyvault": source, "prompt": source})
    wanted = ["prompt:a", "keyvault:gone", "prompt:a", "keyvault:gone", "env:NO_SUCH_NAME"]
    failed = secrets.resolve_all(wanted)
    assert {name: str(error) for name, error in failed.items()} == {
        "keyvault:gone": "there is none",
        "env:NO_SUCH_NAME": "the environment variable NO_SUCH_NAME is not set",
    }
    assert asked == ["a", "gone"]
    assert secrets.resolve("prompt:a").reveal() == CANARY
    with pytest.raises(SecretError, match="there is none"):
        secrets.resolve("keyvault:gone")
    assert asked == ["a", "gone"]


def test_a_kind_without_a_source_is_named() -> None:
    with pytest.raises(SecretError, match="no secrets of the kind 'keyvault' can be had here"):
        Secrets().resolve("keyvault:v/s")


# ---- prompt ------------------------------------------------------------------------------------------

PROMPTING = """
import asyncio, sys
from auditor.credentials import Secrets

async def work():
    failed = Secrets().resolve_all(["prompt:admin", "prompt:admin"])
    print("failed:", *failed.values() if failed else ["nothing"])
    print("length:", *(len(Secrets().resolve("env:X").reveal()) for _ in "1"))

asyncio.run(work())
"""


def at_a_terminal(typed: bytes) -> tuple[int, str]:
    """What a process with a terminal of its own says when `typed` is entered at its first prompt."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", PROMPTING], {**os.environ, "X": "four"})
    said = b""
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end:
            chunk = os.read(terminal, 4096)
            said += chunk
            if b"Secret 'admin': " in said and typed:
                os.write(terminal, typed)
                typed = b""
    except OSError:  # Linux: the other side is gone
        pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return status, said.decode()


@POSIX
def test_a_prompt_asks_once_and_shows_nothing() -> None:
    status, said = at_a_terminal(b"canary-typed\n")
    assert status == 0, said
    assert said.count("Secret 'admin':") == 1
    assert "failed: nothing" in said
    assert "canary" not in said


@POSIX
def test_nothing_entered_is_a_failure_of_that_reference() -> None:
    assert "failed: nothing was entered for the secret 'admin'" in at_a_terminal(b"\n")[1]
    assert "failed: nothing was entered for the secret 'admin'" in at_a_terminal(b"\x04")[1]


@POSIX
def test_an_interrupt_at_the_prompt_ends_the_program_at_once() -> None:
    status, said = at_a_terminal(b"\x03")
    assert os.WIFSIGNALED(status), said
    assert os.WTERMSIG(status) == signal.SIGINT
    assert "length:" not in said


@POSIX
def test_without_a_terminal_a_prompt_is_refused_and_standard_input_is_not_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROMPTING],
        env={**os.environ, "X": "four"},
        input="typed\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        start_new_session=True,
    )
    assert "failed: there is no terminal to ask for the secret 'admin' on; give it as env:NAME" in done.stdout
    assert "Secret" not in done.stdout + done.stderr


# ---- keyring -----------------------------------------------------------------------------------------


class FileKeyring(KeyringBackend):
    """A keyring in a JSON file."""

    priority = 1

    def __init__(self, path: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path

    def get_password(self, service: str, username: str) -> str | None:
        entries: dict[str, dict[str, str]] = json.loads(self.path.read_text())
        return entries.get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def _own_keyring(tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "keyring.json"
    path.write_text(json.dumps({"fleet": {"CORP\\admin": CANARY}, "https://a/b": {"u": "second"}}))
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring(path))
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("_own_keyring")
def test_a_keyring_gives_its_entries() -> None:
    assert Secrets().resolve("keyring:fleet/CORP\\admin").reveal() == CANARY
    assert Secrets().resolve("keyring:https://a/b/u").reveal() == "second"
    with pytest.raises(SecretError, match="the keyring holds nothing for fleet/bob"):
        Secrets().resolve("keyring:fleet/bob")
    with pytest.raises(SecretError, match="write keyring:SERVICE/USER"):
        Secrets().resolve("keyring:fleet")


@pytest.mark.usefixtures("_own_keyring")
@pytest.mark.parametrize(
    ("backend", "said"),
    [(null.Keyring, "holds nothing for"), (fail.Keyring, r"cannot be asked for fleet/x \(NoKeyringError\)")],
)
def test_a_machine_without_a_keyring_says_so(backend: type[KeyringBackend], said: str) -> None:
    keyring.set_keyring(backend())
    with pytest.raises(SecretError, match=said):
        Secrets().resolve("keyring:fleet/x")


def test_without_its_extra_the_keyring_names_it() -> None:
    code = (
        "import sys; sys.modules['keyring'] = None\n"
        "from auditor.credentials import Secrets\n"
        "print(*Secrets().resolve_all(['keyring:a/b']).values())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "reading a keyring needs: pip install 'fleet-auditor[keyring]'\n"
