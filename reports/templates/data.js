// The embedded run, made ready for use. Texts reach the page as text nodes only.

const VERDICTS = ["ready", "at-risk", "unknown", "not-ready"];
const VERDICT_LABELS = { "ready": "Ready", "at-risk": "At risk", "unknown": "Unknown", "not-ready": "Not ready" };
const STATUSES = ["pass", "warn", "fail", "skip", "unknown"];
const SEVERITIES = ["blocker", "degraded", "info"];
const ORDER = { "fail": 0, "unknown": 1, "warn": 2, "pass": 3, "skip": 4 };

const run = JSON.parse(document.getElementById("data").textContent);
const strings = run.strings;

const machines = run.machines.map((row, index) => {
  const [name, prefix, rest, platform, location, power, source, verdict, decisive, , findings] = row;
  return {
    index,
    name,
    id: strings[prefix] + rest,
    platform: strings[platform],
    location: strings[location],
    power: strings[power],
    source: strings[source],
    verdict: VERDICTS[verdict],
    decisive: decisive < 0 ? null : findings[decisive],
    findings,
    row,
  };
});

const finding = (index) => {
  const [check, title, status, severity, summary, reason, remediation, evidence] = run.findings[index];
  return {
    check: strings[check],
    title: strings[title],
    status: STATUSES[status],
    severity: SEVERITIES[severity],
    summary: strings[summary],
    reason: strings[reason],
    remediation: strings[remediation],
    evidence,
  };
};

const tagsOf = (machine) => {
  const flat = machine.row[9];
  const tags = [];
  for (let at = 0; at < flat.length; at += 2) tags.push([strings[flat[at]], strings[flat[at + 1]]]);
  return tags;
};

const evidenceOf = (machine, found) => {
  const times = machine.row[11];
  const list = [];
  for (let at = 0; at < found.evidence.length; at += 4) {
    const [plane, source, value, slot] = found.evidence.slice(at, at + 4);
    list.push({ plane: strings[plane], source: strings[source], value: strings[value], at: times[slot] });
  }
  return list;
};

const statusOf = (index) => STATUSES[run.findings[index][2]];
const because = (machine) => (machine.decisive === null ? "" : reasonOr(finding(machine.decisive)));
const reasonOr = (found) => (found.status === "unknown" && found.reason) || found.summary;

const troubleOf = (machine) => {
  const counts = { fail: 0, unknown: 0, warn: 0 };
  for (const index of machine.findings) {
    const status = statusOf(index);
    if (status in counts) counts[status] += 1;
  }
  return counts;
};

// An element with properties and children; strings become text nodes, so data can never be markup.
const h = (tag, properties, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
};

const SVG = "http://www.w3.org/2000/svg";
const icon = (name) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
};

const badge = (verdict) => h("span", { class: `badge ${verdict}` }, icon(verdict), VERDICT_LABELS[verdict]);

// Commands stand between backticks in what checks write.
const prose = (text) => text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? h("code", {}, part) : part));

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const moment = (date) =>
  h("time", { datetime: date.toISOString(), title: date.toISOString() }, moments.format(date));
