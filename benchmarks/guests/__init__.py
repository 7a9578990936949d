"""Reaching guests: 200 over SSH against other engines, 200 over WinRM against plain pywinrm."""
