"""The auditor's own reading of the same: `python -m benchmarks.ours FIRST_VM_ID`."""

import asyncio
import os
import sys

from auditor.azure.estate import open_azure
from auditor.facts import Unseen
from auditor.inventory.scope import Scope
from auditor.model import Machine
from benchmarks.phases import AT_ONCE, LISTS, Phases, for_each, slices


async def main(first: str) -> None:
    """Sign in over one VM, list every VM, read every instance view."""
    phases = Phases()
    async with open_azure(os.environ["AUDITOR_CLOUD"], concurrency=AT_ONCE) as azure:
        await azure.inventory(Scope(vms=(first,)))
        for _ in range(LISTS):
            async with phases.turn("list"):
                found = await azure.inventory(Scope())
        if found.limits or found.lost:
            raise RuntimeError(f"not everything was listed: {found.limits} {found.lost}")

        async def view(machine: Machine) -> None:
            answer = await azure.instance_view(machine)
            if isinstance(answer, Unseen):
                raise RuntimeError(f"{machine.id}: {answer.reason}")

        for part in slices(found.machines):
            async with phases.turn("views"):
                await for_each(part, view)
    phases.print()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
