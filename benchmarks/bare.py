"""The yardstick: aiohttp and orjson read the same addresses and keep nothing.

No retries, no throttling, no parsing beyond JSON: what a client of Azure costs at the very least.
"""

import asyncio
import os
import ssl
from typing import Any

import aiohttp
import orjson

from auditor.azure.traffic import API
from benchmarks.phases import AT_ONCE, LISTS, Phases, for_each, slices

COMPUTE = f"api-version={API['virtualMachines']}"


async def main() -> None:
    """Sign in, list every VM, read every instance view."""
    phases, cloud = Phases(), os.environ["AUDITOR_CLOUD"]
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=context)
    async with aiohttp.ClientSession(cloud, connector=connector) as session:
        session.headers["Authorization"] = f"Bearer {await _token(session)}"
        for _ in range(LISTS):
            async with phases.turn("list"):
                vms = await _every_vm(session)

        async def view(vm: dict[str, Any]) -> None:
            await _get(session, f"{vm['id']}?$expand=instanceView&{COMPUTE}")

        for part in slices(vms):
            async with phases.turn("views"):
                await for_each(part, view)
    phases.print()


async def _token(session: aiohttp.ClientSession) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": os.environ["AZURE_CLIENT_ID"],
        "client_secret": os.environ["AZURE_CLIENT_SECRET"],
    }
    async with session.post(f"/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form) as answer:
        return str(orjson.loads(await answer.read())["access_token"])


async def _every_vm(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    found = await _list(session, f"/subscriptions?api-version={API['subscriptions']}")
    urls = (f"{entry['id']}/providers/Microsoft.Compute/virtualMachines?{COMPUTE}" for entry in found)
    return [vm for vms in await asyncio.gather(*(_list(session, url) for url in urls)) for vm in vms]


async def _list(session: aiohttp.ClientSession, url: str | None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    while url:
        page = await _get(session, url)
        entries += page["value"]
        url = page.get("nextLink")
    return entries


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        answer.raise_for_status()
        return orjson.loads(await answer.read())


if __name__ == "__main__":
    asyncio.run(main())
