"""A guest over WinRM; the one room that imports pywinrm."""

from auditor.hosts.winrm.host import WinRmHost

__all__ = ["WinRmHost"]
