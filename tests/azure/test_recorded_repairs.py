"""Recorded real traffic of what repairs rest on: schedules, jobs in flight, operations that are followed."""

import asyncio
import json
import re
import ssl
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.azure import traffic
from auditor.azure.client import Answer
from auditor.azure.jobs import is_running, parse_job
from auditor.azure.operations import Ended, follow
from auditor.azure.schedule import parse_schedule
from auditor.azure.sweep import same_vm
from auditor.model import Machine, Platform
from tests.azure.conftest import OpenArm
from tests.azure.replay import SUBSCRIPTION, Exchange, Replay, entries, exchanges, path_of, serving

pytestmark = pytest.mark.recordings

OPERATION = re.compile(r"/(operationsstatus|backupoperations|operations|operationresults)/[^/]+$")
ITEM = re.compile(r"protectioncontainers/([^/]+)/protecteditems/[^/]+/backup$")


def polls(folder: Path) -> dict[str, list[Exchange]]:
    """The answers of every recorded operation, in order, by its path."""
    found: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges(folder):
        if exchange["method"] == "GET" and OPERATION.search(path_of(exchange)):
            found[path_of(exchange)].append(exchange)
    return found


def test_every_recorded_schedule_has_a_next_run(recordings: Path) -> None:
    now = datetime.now(UTC)
    read = 0
    for exchange in exchanges(recordings):
        listed = entries(exchange) if path_of(exchange).endswith("/backuppolicies") else []
        for policy in listed:
            if policy["properties"]["backupManagementType"] == "AzureIaasVM":
                identifier, schedule = parse_schedule(policy)
                assert identifier == policy["id"].lower()
                assert now <= schedule.next_run(now) <= now + timedelta(days=7, hours=1)
                read += 1
    assert read >= 4


def test_every_recorded_operation_is_followed_to_its_end(
    recordings: Path, open_arm: OpenArm, server_tls: ssl.SSLContext, ca_pem: Path
) -> None:
    async def run() -> dict[str, Ended]:
        replay, recorded = Replay(), polls(recordings)
        for path, answers in recorded.items():
            for exchange in answers:
                replay.add(path, exchange["response_body"], exchange["status"])
        ended = {}
        async with serving(replay, server_tls), open_arm(replay.url, ca_pem) as arm:
            for path, answers in recorded.items():
                by_status = any("status" in (e["response_body"] or {}) for e in answers)
                begun = Answer(202, None, path if by_status else None, path, None, "202")
                ended[path] = await follow(
                    arm, begun, lambda link: traffic.operation(link, SUBSCRIPTION), limit=20, pause=0.001
                )
        return ended

    ended = asyncio.run(run())
    assert len(ended) >= 10
    assert all(one.well for one in ended.values())


def test_a_recorded_backup_that_was_started_names_its_job(recordings: Path) -> None:
    """What is sent to start a backup, and what the end of its operation holds, are as they were recorded."""
    started = [
        exchange
        for exchange in exchanges(recordings)
        if exchange["method"] == "POST" and ITEM.search(path_of(exchange))
    ]
    assert started
    for exchange in started:
        body = exchange["request_body"]
        sent = json.loads(body) if isinstance(body, str) else body
        assert sent["properties"]["objectType"] == "IaasVMBackupRequest"
        assert "recoveryPointExpiryTimeInUTC" in sent["properties"]
        headers = {name.lower(): value for name, value in exchange["response_headers"].items()}
        assert "/operationsstatus/" in str(headers["azure-asyncoperation"]).lower()


def test_recorded_jobs_in_flight_are_those_of_their_vm(recordings: Path) -> None:
    running = [
        parse_job(job)
        for exchange in exchanges(recordings)
        if "/backupjobs" in path_of(exchange) and exchange["status"] == 200
        for job in (entries(exchange) or [exchange["response_body"]])
        if "properties" in job
    ]
    running = [entry for entry in running if is_running(entry.job)]
    assert running
    for entry in running:
        _, group, name = entry.container.split(";")
        place = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{group}/providers/microsoft.compute"
        assert same_vm(entry.container, machine(f"{place}/virtualmachines/{name}"))
        assert not same_vm(entry.container, machine(f"{place}/virtualmachines/{name}x"))


def machine(identifier: str) -> Machine:
    return Machine(identifier, "vm", Platform.LINUX, "azure", subscription=SUBSCRIPTION)
