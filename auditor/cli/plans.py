"""Plans and what became of them, as a person reads them in a terminal; plain text where nobody watches."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from auditor.cli.terminal import STATUS_STYLES, VERDICT_STYLES, tolerate
from auditor.remedy import (
    Command,
    MachinePlan,
    MachineRecord,
    Plan,
    RepairRun,
    Result,
    Risk,
    Standing,
    Step,
    Unrepaired,
)
from auditor.text import shorten, visible

LONGEST = 400
LISTED = 25
WIDE = 200

RISK_STYLES = {Risk.LOW: "green", Risk.MEDIUM: "yellow", Risk.HIGH: "bold red"}
RESULT_STYLES = {
    Result.VERIFIED: "green",
    Result.NOT_CONFIRMED: "yellow",
    Result.ROLLED_BACK: "yellow",
    Result.FAILED: "bold red",
    Result.REFUSED: "magenta",
    Result.SKIPPED: "dim",
}


def blast_radius(plan: Plan) -> str:
    """How much a plan touches, in one sentence."""
    if not plan.touched:
        return "Nothing is touched"
    risks = ", ".join(f"{count} {risk}" for risk, count in plan.risks().items() if count)
    reboots = sum(step.reboot for step in plan.steps)
    rest = _count(reboots, "reboot is", "reboots are") if reboots else "no reboot is"
    machines = _count(len(plan.touched), "machine", "machines")
    return f"{machines}, {_count(len(plan.steps), 'step', 'steps')} by risk: {risks}; {rest} possible"


def print_plan(
    plan: Plan, console: Console, *, commands: bool = False, name: str | None = None, most: int | None = None
) -> None:
    """Print a plan: every machine (or the one of this name or id, or at most so many), and what is left.

    `commands` prints every byte that would be sent.
    """
    tolerate(console)
    chosen = [one for one in plan.machines if name is None or _is(one, name)]
    chosen.sort(key=lambda one: not one.stages)
    _line(console, f"Plan {plan.id} of {plan.created_at:%Y-%m-%d %H:%M %Z}", "bold")
    _line(console, f"cloud {plan.cloud}, rules {plan.rule_set}, SHA-256 {plan.digest}", "dim")
    _line(console, f"{blast_radius(plan)}.", "bold")
    for one in chosen[:most]:
        console.print()
        _print_machine(one, console, commands=commands)
    if most is not None and len(chosen) > most:
        console.print()
        _line(
            console, f"and {len(chosen) - most:,} more machines; `auditor remediate show` prints all", "dim"
        )
    if commands and plan.reads:
        console.print()
        _line(console, "Sent before and after, and only looks:", "bold")
        for command in plan.reads:
            _print_command(command, console, 2)


def _is(machine: MachinePlan, name: str) -> bool:
    return name.lower() in (machine.machine.name.lower(), machine.machine.id)


def _print_machine(plan: MachinePlan, console: Console, *, commands: bool) -> None:
    machine = plan.machine
    heading = Text(_shown(machine.name), style="bold")
    heading.append("  ").append(plan.verdict.value, style=VERDICT_STYLES[plan.verdict])
    heading.append(f"  {_shown(machine.id)}", style="dim")
    console.print(heading, soft_wrap=True)
    for place, stage in enumerate(plan.stages, 1):
        _line(console, f"{place}. {stage.remediation}, for {', '.join(stage.repairs)}", "cyan", indent=2)
        for step in stage.steps:
            _print_step(step, console, commands=commands)
    for left in plan.unrepaired:
        _print_unrepaired(left, console)


def _print_step(step: Step, console: Console, *, commands: bool) -> None:
    about = Text(f"{_shown(step.what)} ")
    about.append("[").append(f"{step.risk} risk", style=RISK_STYLES[step.risk])
    about.append(f", {step.channel}, {_reversible(step)}{', may reboot' if step.reboot else ''}]")
    _put(console, about, 5)
    _line(console, f"why: {step.why}", indent=7)
    _line(console, f"then: {step.expect}", indent=7)
    if commands:
        _line(console, f"step {step.id} sends:", "dim", indent=7)
        for command in step.commands:
            _print_command(command, console, 9)
        for command in step.undo_commands:
            _line(console, "taken back by:", "dim", indent=7)
            _print_command(command, console, 9)


def _reversible(step: Step) -> str:
    return "can be taken back" if step.undo is not None else "cannot be taken back"


def _print_unrepaired(left: Unrepaired, console: Console) -> None:
    words = f"not repaired: {', '.join(left.checks)}: {left.reason}" if left.checks else left.reason
    _line(console, words, "magenta" if left.how else "dim", indent=2)
    if left.how:
        _line(console, f"by hand: {left.how}", indent=4)


def _print_command(command: Command, console: Console, indent: int) -> None:
    """Every byte: lines as they are, characters that would act spelled out, nothing folded."""
    for text in (command.text, command.data):
        for line in visible(text, keep="\n\t").split("\n") if text else ():
            # rich would turn tabs into spaces
            console.file.write(f"{' ' * indent}{line}\n")


def print_run(run: RepairRun, console: Console, *, most: int | None = None) -> None:
    """Print how the machines ended: the worst first, each check before and after where it changed."""
    tolerate(console)
    plans = {one.machine.id: one for one in run.plan.machines}
    console.print()
    _line(console, f"Repairs {run.id}, {_ended(run)}", "bold")
    console.print(_results(run))
    ranked = sorted(run.machines, key=lambda one: -_rank(one))
    table = Table("result", "machine", "because", "before → after", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for record in ranked[:most]:
        plan = plans.get(record.machine)
        name = plan.machine.name if plan else record.machine
        table.add_row(_result(record), Text(_shown(name, 60)), *_outcome(record, plan))
    if run.machines:
        console.print(table, width=None if console.is_terminal else WIDE)
    if most is not None and len(ranked) > most:
        _line(console, f"and {len(ranked) - most:,} more in the report", "dim")


def _ended(run: RepairRun) -> str:
    if run.finished_at is None:
        return "not finished: `auditor remediate resume` goes on with it"
    return f"finished {run.finished_at:%Y-%m-%d %H:%M:%S %Z}"


def _results(run: RepairRun) -> Text:
    counts = run.results()
    parts = [
        Text(f"{count:,} {result}", style=RESULT_STYLES[result] if count else "dim")
        for result, count in counts.items()
    ]
    open_ones = sum(record.result is None for record in run.machines)
    if open_ones:
        parts.append(Text(f"{open_ones:,} not settled", style="bold magenta"))
    return Text("  ").join(parts)


def _result(record: MachineRecord) -> Text:
    if record.result is None:
        return Text("not settled", style="bold magenta")
    return Text(record.result.value, style=RESULT_STYLES[record.result])


def _rank(record: MachineRecord) -> int:
    return len(Result) if record.result is None else list(Result).index(record.result)


def _outcome(record: MachineRecord, plan: MachinePlan | None) -> tuple[Text, Text]:
    because = record.reason + (f"; backup: {record.backup}" if record.backup else "")
    return Text(_shown(because, 200)), Text("\n").join((*_verdicts(record, plan), *_changes(record)))


def _verdicts(record: MachineRecord, plan: MachinePlan | None) -> Iterator[Text]:
    """The machine's verdict before and now, where it was looked at again."""
    if plan is not None and record.verdict is not None:
        line = Text("verdict: ")
        line.append(plan.verdict.value, style=VERDICT_STYLES[plan.verdict]).append(" → ")
        yield line.append(record.verdict.value, style=VERDICT_STYLES[record.verdict])


def _changes(record: MachineRecord) -> Iterator[Text]:
    """The checks that stand otherwise than before."""
    for check, after in record.after.items():
        before = record.before.get(check)
        if before is not None and before.status is after.status:
            continue
        line = Text(f"{_shown(check, 60)}: ")
        line.append(_status(before), style=_style(before)).append(" → ")
        yield line.append(_status(after), style=_style(after))


def _status(standing: Standing | None) -> str:
    return "-" if standing is None else standing.status.value


def _style(standing: Standing | None) -> str:
    return "dim" if standing is None else STATUS_STYLES[standing.status]


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _line(console: Console, text: str, style: str = "", indent: int = 0) -> None:
    _put(console, Text(_shown(text), style=style), indent)


def _put(console: Console, text: Text, indent: int) -> None:
    """A paragraph folded to a terminal's width, and a whole line everywhere else."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent), expand=False))
    else:
        console.print(Text(" " * indent).append_text(text), soft_wrap=True)


def _shown(text: str, length: int = LONGEST) -> str:
    return shorten(visible(text), length)
