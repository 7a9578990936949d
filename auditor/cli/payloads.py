"""What a user provides for repairs: installers and packages, checked before anything is planned."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from auditor.errors import SettingsError
from auditor.plugin import Remediation
from auditor.remedy import AgentInstaller, Payload

PUBLISHER = "Microsoft Corporation"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNC = re.compile(r"\\\\[A-Za-z0-9._-]+(?:\\[^\\/:*?\"<>|%&^'`$;\x00-\x1f]+){2,}")
_URL = re.compile(r"https://[A-Za-z0-9._~:/?#\[\]@!()*+,;=&%-]+")
_PACKAGES = (".deb", ".rpm")


def allowed(names: Iterable[str], remediations: Sequence[Remediation]) -> frozenset[str]:
    """The remediations of --allow; raises `SettingsError` for one that is unknown or needs no asking."""
    known = {one.id: one for one in remediations}
    for name in names:
        if name not in known:
            raise SettingsError(f"--allow: unknown remediation {name!r}; {_hint(name, known)}")
        if not known[name].opt_in:
            raise SettingsError(f"--allow: {name} needs no asking; it is always part of a plan")
    return frozenset(names)


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.lower(), list(known), n=3)
    return f"did you mean {', '.join(near)}?" if near else "see `auditor remediations`"


def windows_agent(source: str | None, sha256: str | None, publisher: str | None) -> AgentInstaller | None:
    """The installer of --windows-agent: an https URL, a share, or a file of this machine.

    Raises `SettingsError` naming the option.
    """
    if source is None:
        for option, value in (("--windows-agent-sha256", sha256), ("--windows-agent-publisher", publisher)):
            if value is not None:
                raise SettingsError(f"{option} says nothing without --windows-agent")
        return None
    wanted = digest("--windows-agent-sha256", sha256)
    signer = _publisher(publisher)
    if "://" in source or source.startswith("\\\\"):
        _refuse_bad_place(source)
        if wanted is None:
            raise SettingsError(f"--windows-agent {source} needs --windows-agent-sha256: the guest checks it")
        return AgentInstaller(source, wanted, publisher=signer)
    file = payload("--windows-agent", Path(source), wanted)
    if not file.path.lower().endswith(".msi"):
        raise SettingsError(f"--windows-agent: {source} is no .msi file")
    return AgentInstaller(file.path, file.sha256, file, signer)


def _refuse_bad_place(source: str) -> None:
    if source.startswith("\\\\"):
        if not _UNC.fullmatch(source):
            raise SettingsError(
                f"--windows-agent: {source!r} is no file on a share (\\\\server\\share\\agent.msi)"
            )
    elif not _URL.fullmatch(source) or not urlsplit(source).hostname:
        raise SettingsError(f"--windows-agent: {source!r} is no https URL; plain http is not taken")
    elif "@" in urlsplit(source).netloc:
        raise SettingsError("--windows-agent: a URL with a password would stand in the plan; use another")


def _publisher(name: str | None) -> str:
    if name is None:
        return PUBLISHER
    if not name.strip() or not name.isprintable():
        raise SettingsError("--windows-agent-publisher must be the signer's common name")
    return name.strip()


def linux_package(path: Path | None, sha256: str | None) -> Payload | None:
    """The package of --linux-package; raises `SettingsError` naming the option."""
    if path is None:
        if sha256 is not None:
            raise SettingsError("--linux-package-sha256 says nothing without --linux-package")
        return None
    if path.suffix not in _PACKAGES:
        raise SettingsError(f"--linux-package: {path} is neither a .deb nor an .rpm file")
    return payload("--linux-package", path, digest("--linux-package-sha256", sha256))


def digest(option: str, value: str | None) -> str | None:
    """A SHA-256 in hex; raises `SettingsError` for anything else."""
    if value is None:
        return None
    found = value.strip().lower()
    if not _SHA256.fullmatch(found):
        raise SettingsError(f"{option} must be 64 hexadecimal digits; got {value!r}")
    return found


def payload(option: str, path: Path, wanted: str | None) -> Payload:
    """A file that steps push, with the digest that it has now; raises `SettingsError` where it is another."""
    try:
        place = path.expanduser().resolve(strict=True)
        with place.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        size = place.stat().st_size
    except (OSError, RuntimeError) as error:
        raise SettingsError(f"{option}: cannot read {path}: {getattr(error, 'strerror', error)}") from error
    if not size:
        raise SettingsError(f"{option}: {path} is empty")
    if wanted is not None and wanted != found:
        raise SettingsError(f"{option}: {path} has the SHA-256 {found}, and {wanted} was demanded")
    return Payload(str(place), found, size)
