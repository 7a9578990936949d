// What is shown is a function of the part of the address behind "#": every view can be linked to.

const FIELDS = ["q", "check", "platform", "location", "source", "tag", "sort", "machine"];
const DEFAULTS = { q: "", check: "", platform: "", location: "", source: "", tag: "", sort: "verdict", machine: "" };

const state = { ...DEFAULTS, verdict: new Set(), page: 1, size: 50 };

const isView = (hash) => hash === "" || hash.includes("=");

const readHash = () => {
  const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  for (const field of FIELDS) state[field] = given.get(field) ?? DEFAULTS[field];
  state.verdict = new Set((given.get("verdict") || "").split(",").filter((name) => VERDICTS.includes(name)));
  state.page = Math.max(1, Math.trunc(Number(given.get("page"))) || 1);
  state.size = [25, 50, 100, 250].includes(Number(given.get("size"))) ? Number(given.get("size")) : 50;
};

const hashOf = (changes = {}) => {
  const wanted = { ...state, ...changes };
  const pairs = FIELDS.filter((field) => wanted[field] !== DEFAULTS[field]).map((field) => [field, wanted[field]]);
  if (wanted.verdict.size) pairs.push(["verdict", [...wanted.verdict].join(",")]);
  if (wanted.page > 1) pairs.push(["page", wanted.page]);
  if (wanted.size !== 50) pairs.push(["size", wanted.size]);
  const encode = (text) => encodeURIComponent(text).replace(/%(2F|2C|3A)/g, decodeURIComponent);
  return "#" + pairs.map(([field, value]) => `${field}=${encode(value)}`).join("&");
};

// Change the view; a new place in the history only where "back" should lead to the old one.
const go = (changes, { remember = false } = {}) => {
  Object.assign(state, changes);
  history[remember ? "pushState" : "replaceState"](null, "", hashOf());
  show();
};
const filterBy = (changes) => go({ page: 1, ...changes });

// ---- which machines, in which order ----

const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

let haystacks = null;
const buildHaystacks = () => {
  const join = (list) => list.filter(Boolean).join("\n").toLowerCase();
  const own = machines.map((machine) =>
    join([machine.name, machine.id, machine.platform, machine.location, machine.power, machine.source,
      ...tagsOf(machine).map(([key, value]) => `${key}=${value}`)]));
  const texts = strings.map((text) => (text || "").toLowerCase());
  return { own, texts };
};

// The findings that say a word, as flags by index; every text is searched once, not once per machine.
const findingsWith = (word) => {
  const hit = haystacks.texts.map((text) => text.includes(word));
  return run.findings.map(([check, title, , , summary, reason, remediation, evidence]) =>
    hit[check] || hit[title] || hit[summary] || hit[reason] || hit[remediation] ||
    evidence.some((index, place) => (place % 4 === 1 || place % 4 === 2) && hit[index]));
};

const searchFilter = (text) => {
  const words = wordsOf(text);
  if (!words.length) return null;
  haystacks = haystacks || buildHaystacks();
  const said = words.map(findingsWith);
  return (machine) => words.every((word, at) =>
    haystacks.own[machine.index].includes(word) || machine.findings.some((index) => said[at][index]));
};

const checkFilter = (wanted) => {
  const split = wanted.lastIndexOf(":");
  const [check, status] = split < 0 ? [wanted, ""] : [wanted.slice(0, split), wanted.slice(split + 1)];
  const flags = run.findings.map((row) => strings[row[0]] === check && (!status || STATUSES[row[2]] === status));
  return (machine) => machine.findings.some((index) => flags[index]);
};

const chosen = () => {
  const tests = [searchFilter(state.q)];
  if (state.verdict.size) tests.push((machine) => state.verdict.has(machine.verdict));
  if (state.check) tests.push(checkFilter(state.check));
  for (const field of ["platform", "location", "source"]) {
    if (state[field]) tests.push((machine) => machine[field] === state[field]);
  }
  if (state.tag) tests.push((machine) => tagsOf(machine).some(([key, value]) => `${key}=${value}` === state.tag));
  const needed = tests.filter(Boolean);
  return machines.filter((machine) => needed.every((test) => test(machine))).sort(comparison(state.sort));
};

const collator = new Intl.Collator(undefined, { numeric: true });
const byName = (() => {
  let ranks = null;
  return (a, b) => {
    if (!ranks) {
      ranks = new Array(machines.length);
      [...machines].sort((x, y) => collator.compare(x.name, y.name)).forEach((machine, rank) => {
        ranks[machine.index] = rank;
      });
    }
    return ranks[a.index] - ranks[b.index];
  };
})();

const WORST_FIRST = { "not-ready": 0, "unknown": 1, "at-risk": 2, "ready": 3 };
const troubleScore = (machine) => {
  const { fail, unknown, warn } = troubleOf(machine);
  return -(fail * 1e6 + unknown * 1e3 + warn);
};
const KEYS = {
  verdict: (machine) => WORST_FIRST[machine.verdict],
  name: null,
  because: (machine) => (machine.decisive === null ? "\uffff" : finding(machine.decisive).check + because(machine)),
  trouble: troubleScore,
  platform: (machine) => machine.platform,
  location: (machine) => machine.location,
  power: (machine) => machine.power || "\uffff",
  source: (machine) => machine.source,
};

const comparison = (sort) => {
  const down = sort.startsWith("-") ? -1 : 1;
  const key = KEYS[sort.replace(/^-/, "")];
  if (!key) return (a, b) => down * byName(a, b);
  const keys = machines.map(key);
  return (a, b) => {
    const [x, y] = [keys[a.index], keys[b.index]];
    return x < y ? -down : x > y ? down : byName(a, b);
  };
};
