"""A key vault's secrets, at the estate's own address, after the challenge that SDKs await."""

from collections.abc import Mapping

from auditor.simulator.replies import ArmError, Reply, answer

PREFIX = "/secrets/"


def secret(path: str, base: str, tenant: str, secrets: Mapping[str, str], refused: Reply | None) -> Reply:
    """A secret for who has a token; the challenge names the authority for who has none."""
    if refused is not None:
        challenge = f'Bearer authorization="{base}/{tenant}", resource="https://vault.azure.net"'
        refused.headers["WWW-Authenticate"] = challenge
        return refused
    name = path.removeprefix(PREFIX).strip("/").partition("/")[0]
    if name not in secrets:
        message = f"A secret with (name/id) {name} was not found in this key vault."
        return ArmError(404, "SecretNotFound", message).reply
    return answer({"value": secrets[name], "id": f"{base}{PREFIX}{name}/1", "attributes": {"enabled": True}})
