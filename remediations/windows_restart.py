"""The part of agent-restart that concerns Windows guests."""

from auditor.remedy import Answer, Case, Nothing


def restart(case: Case) -> Answer:
    """What a restart of the agent's services can do for a Windows guest."""
    return Nothing(f"no restart is known for {case.facts.machine.platform}")
