"""The state of one simulated Windows guest, and the small changes that make a fault of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

MACHINE = "HKEY_LOCAL_MACHINE"
SERVICES = rf"{MACHINE}\SYSTEM\CurrentControlSet\Services"
MICROSOFT = rf"{MACHINE}\SOFTWARE\Microsoft"
VERSIONS = rf"{MICROSOFT}\Windows\CurrentVersion"
SESSION = rf"{MACHINE}\SYSTEM\CurrentControlSet\Control\Session Manager"
NAMES = rf"{MACHINE}\SYSTEM\CurrentControlSet\Control\ComputerName"
AGENT_FOLDER = r"C:\WindowsAzure\Packages"
GUEST_AGENT = rf"{AGENT_FOLDER}\GuestAgent\WindowsAzureGuestAgent.exe"
EXTENSION = r"C:\Packages\Plugins\Microsoft.Azure.RecoveryServices.VMSnapshot"
AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
GIGABYTE = 1_073_741_824

AUTOMATIC, MANUAL, DISABLED = 2, 3, 4
STOPPED, RUNNING = 1, 4

Value = tuple[str, str]
"""A registry value: its type and its data as reg.exe prints it."""
Registry = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class WindowsService:
    """A service: start type and state by Windows' numbers, and the command line of its program."""

    start: int = AUTOMATIC
    state: int = RUNNING
    image: str = r"%SystemRoot%\System32\svchost.exe -k netsvcs"


@dataclass(frozen=True, slots=True)
class WindowsState:
    """Everything that the scripts can see of one guest.

    `files` maps paths to product versions, None for a file without one. `writers` maps names to state and
    last error. `certificate` holds the days until TenantEncryptionCert begins and ends. `wire` and `internet`
    are the stages at which connections end. `language` is "en" or "de".
    """

    hostname: str
    vm_id: str
    services: Mapping[str, WindowsService]
    registry: Registry
    files: Mapping[str, str | None]
    writers: Mapping[str, tuple[int, str]]
    version: str = "10.0.20348.2700"
    language: str = "en"
    elevated: bool = True
    free: int = 61 * GIGABYTE
    total: int = 126 * GIGABYTE
    dhcp: bool = True
    addresses: tuple[str, ...] = ("10.0.0.4",)
    asset_tag: str = AZURE_ASSET_TAG
    std_reg_prov: bool = True
    certificate: tuple[int, int] | None = (-30, 335)
    wire: str = "ok"
    imds: str = "ok"
    internet: str = "ok"
    clock_skew: float = 0.0
    log: Mapping[str, Any] | None = None

    def with_service(self, name: str, service: WindowsService | None) -> "WindowsState":
        """The same guest with another service of that name, or without it."""
        services = {key: value for key, value in self.services.items() if key != name}
        return replace(self, services={**services, **({name: service} if service else {})})

    def with_value(self, key: str, name: str, value: Value | None) -> "WindowsState":
        """The same guest with one more registry value, or without it."""
        values = {other: found for other, found in self.registry.get(key, {}).items() if other != name}
        changed = {**values, **({name: value} if value else {})}
        registry = {other: found for other, found in self.registry.items() if other != key}
        return replace(self, registry={**registry, **({key: changed} if changed else {})})

    def with_file(self, path: str, version: str | None) -> "WindowsState":
        """The same guest with one more file."""
        return replace(self, files={**self.files, path: version})

    def without_files(self, start: str) -> "WindowsState":
        """The same guest without the files whose paths begin so."""
        return replace(
            self, files={path: found for path, found in self.files.items() if not path.startswith(start)}
        )

    @property
    def whole_registry(self) -> Registry:
        """The registry with the keys of the services in it."""
        return {**self.registry, **{rf"{SERVICES}\{name}": _key(one) for name, one in self.services.items()}}


def _key(service: WindowsService) -> dict[str, Value]:
    return {
        "Type": ("REG_DWORD", "0x10"),
        "Start": ("REG_DWORD", f"{service.start:#x}"),
        "ErrorControl": ("REG_DWORD", "0x1"),
        "ImagePath": ("REG_EXPAND_SZ", service.image),
        "ObjectName": ("REG_SZ", "LocalSystem"),
    }


def text(value: str) -> Value:
    """A REG_SZ."""
    return "REG_SZ", value


def number(value: int) -> Value:
    """A REG_DWORD."""
    return "REG_DWORD", f"{value:#x}"


def winhttp_proxy(server: str, bypass: str) -> Value:
    """WinHttpSettings with a proxy, as `netsh winhttp set proxy` writes it."""
    counted = b"".join(len(part).to_bytes(4, "little") + part.encode("ascii") for part in (server, bypass))
    head = b"".join(part.to_bytes(4, "little") for part in (0x28, 1, 3))
    return "REG_BINARY", (head + counted).hex().upper()


_SERVICES = MappingProxyType(
    {
        "RdAgent": WindowsService(image=rf"{AGENT_FOLDER}\WaAppAgent.exe"),
        "WindowsAzureGuestAgent": WindowsService(image=GUEST_AGENT),
        "VSS": WindowsService(MANUAL, STOPPED, r"%systemroot%\system32\vssvc.exe"),
        "swprv": WindowsService(MANUAL, STOPPED, r"%SystemRoot%\System32\svchost.exe -k swprv"),
        "COMSysApp": WindowsService(MANUAL, RUNNING, r"%SystemRoot%\system32\dllhost.exe /Processid:{02D4}"),
        "EventSystem": WindowsService(),
        "MSDTC": WindowsService(AUTOMATIC, RUNNING, r"%SystemRoot%\System32\msdtc.exe"),
        "msiserver": WindowsService(MANUAL, STOPPED, r"%systemroot%\system32\msiexec.exe /V"),
        "Winmgmt": WindowsService(),
        "KeyIso": WindowsService(MANUAL, RUNNING, r"%SystemRoot%\system32\lsass.exe"),
    }
)  # fmt: skip
_FILES: Mapping[str, str | None] = MappingProxyType(
    {
        rf"{AGENT_FOLDER}\WaAppAgent.exe": "2.7.41491.1183",
        GUEST_AGENT: "2.7.41491.1183",
        rf"{EXTENSION}\1.0.57.0\IaaSBcdrExtension.exe": "1.0.57.0",
        r"C:\Windows\System32\vssvc.exe": "10.0.20348.1",
        r"C:\Windows\System32\msdtc.exe": "2001.12.10941.16384",
        r"C:\Windows\System32\msiexec.exe": "5.0.20348.1",
    }
)
_WRITERS = (
    "Task Scheduler Writer", "VSS Metadata Store Writer", "Performance Counters Writer", "System Writer",
    "ASR Writer", "COM+ REGDB Writer", "Registry Writer", "WMI Writer", "Shadow Copy Optimization Writer",
)  # fmt: skip


def healthy(hostname: str, vm_id: str, language: str = "en") -> WindowsState:
    """A Windows Server 2022 on Azure that lacks nothing."""
    registry: dict[str, dict[str, Value]] = {
        MICROSOFT: {},
        rf"{MICROSOFT}\Windows NT\CurrentVersion": {"ProductName": text("Windows Server 2022 Datacenter")},
        rf"{SESSION}\Environment": {"PROCESSOR_ARCHITECTURE": text("AMD64")},
        rf"{SERVICES}\Tcpip\Parameters": {"Hostname": text(hostname)},
        rf"{MACHINE}\HARDWARE\DESCRIPTION\System\BIOS": {"SystemManufacturer": text("Microsoft Corporation")},
        rf"{MICROSOFT}\Virtual Machine\Guest": {
            "GuestAgentVersion": text("2.7.41491.1183"),
            "OsVersion": text("Windows Server 2022 Datacenter"),
        },
        rf"{MICROSOFT}\Windows Azure": {"VmId": text(vm_id)},
        rf"{MICROSOFT}\NET Framework Setup\NDP\v4\Full": {"Release": number(528449)},
        rf"{NAMES}\ActiveComputerName": {"ComputerName": text(hostname.upper())},
        rf"{NAMES}\ComputerName": {"ComputerName": text(hostname.upper())},
        rf"{VERSIONS}\Internet Settings": {"EnablePunycode": number(1)},
        **{
            rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy\{profile}": {"EnableFirewall": number(1)}
            for profile in ("DomainProfile", "StandardProfile", "PublicProfile")
        },
        rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy\FirewallRules": {
            "CoreNet-DNS-Out-UDP": text(
                "v2.31|Action=Allow|Active=TRUE|Dir=Out|Protocol=17|RPort=53|Name=DNS|"
            )
        },
    }
    fine = "Kein Fehler" if language == "de" else "No error"
    return WindowsState(
        hostname=hostname,
        vm_id=vm_id,
        services=_SERVICES,
        registry=registry,
        files=_FILES,
        writers=dict.fromkeys(_WRITERS, (1, fine)),
        language=language,
    )
