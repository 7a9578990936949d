"""The command line: options become objects, objects become output."""


def main() -> None:
    """Run the command line."""
    raise SystemExit("not built yet")
