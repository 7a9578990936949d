"""A machine seen now: facts, findings, Azure's view and the backups, read for this moment."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from auditor.engine import Audit
from auditor.errors import SourceError
from auditor.facts import Unseen
from auditor.judge import judge
from auditor.model import Finding, Machine
from auditor.remedy import Standing
from auditor.repair.gates import Present
from auditor.repair.seams import AzureRepairs, BackupsNow, VmNow

NO_AZURE = Unseen("Azure was not asked in this run")


class Looker(Protocol):
    """Sees a machine as it is now."""

    async def present(self, machine: Machine) -> Present:
        """Everything that checks and gates need but the backups, nothing of it remembered."""

    async def backups(self, machine: Machine) -> BackupsNow | Unseen | None:
        """The backups of a machine now; None outside Azure."""


@dataclass(frozen=True, slots=True)
class AuditLooker:
    """Looks with the planes of an audit; the vaults' items are those of `Audit.read_vaults`."""

    audit: Audit
    azure: AzureRepairs | None

    async def present(self, machine: Machine) -> Present:
        """Azure's view first, then the guest and the judgement."""
        vm = await self._now(machine)
        model = vm.model if isinstance(vm, VmNow) else None
        facts = await self.audit.collect(machine, model)
        result = await asyncio.to_thread(judge, facts, self.audit.checks, self.audit.rules)
        findings = {finding.check: finding for finding in result.findings}
        return Present(facts, findings, vm)

    async def backups(self, machine: Machine) -> BackupsNow | Unseen | None:
        """The backups of a machine now; None outside Azure."""
        if not machine.in_azure:
            return None
        if self.azure is None:
            return NO_AZURE
        try:
            return await self.azure.backups(machine)
        except SourceError as error:
            return Unseen(str(error))

    async def _now(self, machine: Machine) -> VmNow | Unseen | None:
        if not machine.in_azure:
            return None
        if self.azure is None:
            return NO_AZURE
        try:
            return await self.azure.now(machine)
        except SourceError as error:
            return Unseen(str(error))


def standings(findings: Mapping[str, Finding]) -> dict[str, Standing]:
    """How every check stands, for the journal."""
    return {check: Standing.of(finding) for check, finding in findings.items()}
