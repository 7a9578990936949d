"""os-supported."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Facts, Unseen
from auditor.model import Platform, Status
from tests.checks.estate import HOST, VM, agentless, finding, guested, linux, said, viewed, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
REFUSED = Unseen("the host key changed")


def system(
    name: str | None = "Ubuntu", version: str | None = "22.04", facts: Facts = HOST, **more: Any
) -> Facts:
    usual = {"kernel": "6.8.0-1017-azure", "architecture": "x86_64", "bits": 64}
    return guested(facts, os_name=name, os_version=version, **{**usual, **more})


def server(name: str, version: str | None, **more: Any) -> Facts:
    return windowed(os_name=name, os_version=version, **more)


def told(name: str | None, version: str | None, facts: Facts = VM) -> Facts:
    """What the agent told Azure, with no way into the guest."""
    return viewed(facts, os_name=name, os_version=version)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (windowed(), PASS, "Windows Server 2022 Datacenter 10.0.20348"),
        (server("Windows Server 2016 Standard", "10.0.14393.6614"), PASS, "2016"),
        (server("Windows 11 Pro", "10.0.22631", architecture="ARM64", bits=64), PASS, "Windows 11"),
        (server("Windows Server 2012 R2 Standard", "6.3.9600"), WARN, "is out of support"),
        (server("Windows Server 2008 R2 Enterprise", "6.1.7601"), WARN, "is out of support"),
        (server("Windows Server 2008 Standard", "6.0.6003"), FAIL, "2008 Standard 6.0.6003 is too old"),
        (server("Windows Server 2003", None), FAIL, "is not supported"),
        (
            server("Windows 10 Pro", "10.0.19045", architecture="X86", bits=32),
            FAIL,
            "32-bit is not supported",
        ),
        (server("Windows 10 Pro", "10.0.19045", architecture="x86"), FAIL, "x86 is not supported"),
        (server("Windows Server 2022", None), UNKNOWN, "the version of Windows was not seen"),
        (server("Windows Server 2012 R2 Standard", "six"), UNKNOWN, "version of Windows"),
        # Linux
        (system(), PASS, "Ubuntu 22.04"),
        (system("Debian GNU/Linux", "12"), PASS, "Debian"),
        (system("Red Hat Enterprise Linux", "9.4"), PASS, "Red Hat"),
        (system("Oracle Linux Server", "8.10"), PASS, "Oracle"),
        (system("SUSE Linux Enterprise Server", "15.6"), PASS, "SUSE"),
        (system("Common Base Linux Mariner", "2.0"), PASS, "Mariner"),
        (system("Flatcar Container Linux by Kinvolk", "3975"), PASS, "Flatcar"),
        (system(None, "12"), UNKNOWN, "the name of the distribution was not seen"),
        (system(None, "5", kernel="2.6.18"), FAIL, "kernel 2.6.18 is too old"),
        (system("Arch Linux", None), WARN, "Arch Linux is not a listed system"),
        (system("Demolinux", "1"), WARN, "not a listed system"),
        (system("Fedora CoreOS", "40"), FAIL, "Fedora CoreOS 40 is not supported"),
        (system("Container Linux by CoreOS", "2191"), FAIL, "not supported"),
        (system(architecture="i686", bits=32), FAIL, "32-bit is not supported"),
        (system(architecture="i686", bits=None), FAIL, "i686 is not supported"),
        (system(architecture="aarch64"), PASS, "Ubuntu"),
        (system(architecture="x86_64", bits=32), FAIL, "32-bit is not supported"),
        (system(architecture="armv7l", bits=None), FAIL, "armv7l"),
        # kernels
        (system("CentOS", "6.5", kernel="2.6.32-431.el6.x86_64"), WARN, "troubled on larger sizes"),
        (system("CentOS", "6.10", kernel="2.6.32-754.el6.x86_64"), PASS, "CentOS"),
        (system("CentOS", "5.11", kernel="2.6.18-398.el5"), FAIL, "kernel 2.6.18-398.el5 is too old"),
        (system("Debian GNU/Linux", "7", kernel="3.2.0-4-amd64"), PASS, "Debian"),
        (system(kernel="a riddle"), PASS, "Ubuntu"),
        (
            system("CentOS", "5", kernel="2.6.18", architecture="i686", bits=None),
            FAIL,
            "i686 is not supported; kernel",
        ),
        # by the instance view, which only an agent that speaks fills
        (told("Windows Server 2019 Datacenter", "10.0.17763.6293"), PASS, "2019"),
        (told("ubuntu", "22.04", linux()), PASS, "ubuntu 22.04"),
        (told("redhat", "9.4", linux()), PASS, "redhat"),
        (told("Windows Server 2012 R2", "6.3.9600"), WARN, "out of support"),
        (VM, UNKNOWN, "neither the guest nor the agent told"),
        (replace(VM, instance=Unseen("403")), UNKNOWN, "403"),
        (replace(told("ubuntu", "22.04", linux()), guest=REFUSED), PASS, "ubuntu"),
        (replace(VM, guest=REFUSED), UNKNOWN, "the host key changed"),
        (replace(HOST, guest=REFUSED), UNKNOWN, "the host key changed"),
        (system("Fedora CoreOS", "40", told("ubuntu", "22.04", linux())), FAIL, "CoreOS"),
        (system("Fedora CoreOS", "40", told("ubuntu", "22.04", linux()), vm_id="x"), PASS, "ubuntu"),
        (system(None, None), UNKNOWN, "neither the guest"),
        (
            told("mystery", "1", replace(VM, machine=replace(VM.machine, platform=Platform.UNKNOWN))),
            UNKNOWN,
            "the operating system is not known",
        ),
        (agentless(told("Windows Server 2003", None)), SKIP, "crash-consistent"),
    ],
)
def test_os_supported(facts: Facts, status: Status, text: str) -> None:
    got, words = said("os-supported", facts)
    assert (got, text in words) == (status, True), words


def test_the_evidence_is_what_the_guest_said() -> None:
    (row,) = finding("os-supported", system(bits=32)).evidence
    assert (row.plane, row.value) == ("guest", "Ubuntu 22.04 6.8.0-1017-azure x86_64 32-bit")
