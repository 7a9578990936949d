// The table of machines with its filters and pages.

const $ = (id) => document.getElementById(id);
const body = document.querySelector("#table tbody");

let view = [];
let drawn = null;

const draw = () => {
  const wanted = hashOf({ machine: "" });
  if (wanted !== drawn) {
    view = chosen();
    drawRows();
    drawControls();
    drawn = wanted;
  }
};

const lastPage = () => Math.max(1, Math.ceil(view.length / state.size));

const drawRows = () => {
  state.page = Math.min(state.page, lastPage());
  const first = (state.page - 1) * state.size;
  body.replaceChildren(...view.slice(first, first + state.size).map(rowOf));
  $("empty").hidden = view.length > 0;
  $("table").hidden = view.length === 0;
  const number = (count) => count.toLocaleString();
  $("count").textContent = view.length === machines.length
    ? `${number(machines.length)} machines`
    : `${number(view.length)} of ${number(machines.length)} machines`;
  $("page").textContent = `${number(state.page)} of ${number(lastPage())}`;
  $("previous").disabled = state.page <= 1;
  $("next").disabled = state.page >= lastPage();
};

const cell = (column, ...children) => h("td", { class: column }, ...children);
const quiet = (text) => text || h("span", { class: "quiet" }, "–");
const clip = (text) => (text.length > 300 ? text.slice(0, 300) + "…" : text);

const rowOf = (machine) => {
  const link = h("a", { class: "name", href: hashOf({ machine: machine.id }), title: clip(machine.name) }, clip(machine.name));
  return h("tr", {},
    cell("c-verdict", badge(machine.verdict)),
    cell("c-name", link, groupOf(machine)),
    cell("c-because", becauseOf(machine)),
    cell("c-trouble", troubleCell(machine)),
    cell("c-platform", machine.platform),
    cell("c-location", quiet(clip(machine.location))),
    cell("c-power", quiet(machine.power && clip(machine.power))),
    cell("c-source", clip(machine.source)));
};

// The same name may stand in two resource groups.
const groupOf = (machine) => {
  const group = /\/resourcegroups\/([^/]+)\//i.exec(machine.id);
  return group ? h("span", { class: "group" }, clip(group[1])) : "";
};

const becauseOf = (machine) => {
  if (machine.decisive === null) return quiet("");
  const found = finding(machine.decisive);
  const text = clip(reasonOr(found));
  return h("span", { class: "because", title: text }, h("code", {}, clip(found.check)), " ", text);
};

const troubleCell = (machine) => {
  const counts = Object.entries(troubleOf(machine)).filter(([, count]) => count);
  if (!counts.length) return quiet("");
  return h("span", { class: "trouble" }, ...counts.map(([status, count]) =>
    h("span", { title: `${count} ${status}` }, icon(status), String(count), h("span", { class: "sr" }, status))));
};

const drawControls = () => {
  if ($("q").value !== state.q) $("q").value = state.q;
  for (const field of ["check", "platform", "location", "source", "tag"]) select($(field), state[field]);
  $("size").value = String(state.size);
  for (const pill of document.querySelectorAll(".pill")) {
    pill.setAttribute("aria-pressed", String(state.verdict.has(pill.dataset.verdict)));
  }
  $("clear").hidden = view.length === machines.length && hashOf({ machine: "", sort: "verdict", page: 1, size: 50 }) === "#";
  const sorted = state.sort.replace(/^-/, "");
  for (const heading of document.querySelectorAll("#table th")) {
    if (heading.dataset.sort === sorted) {
      heading.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
    } else {
      heading.removeAttribute("aria-sort");
    }
  }
};

const select = (control, value) => {
  if (value && ![...control.options].some((option) => option.value === value)) {
    control.append(h("option", { value }, clip(value)));
  }
  control.value = value;
};

const MOST_OPTIONS = 300;
const fillOptions = (control, values) => {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) || 0) + 1);
  const common = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_OPTIONS);
  common.sort((a, b) => collator.compare(a[0], b[0]));
  control.append(...common.map(([value, count]) =>
    h("option", { value }, `${value.length > 60 ? value.slice(0, 60) + "…" : value} (${count.toLocaleString()})`)));
  if (!common.length) control.disabled = true;
};

const wireTable = () => {
  for (const field of ["platform", "location", "source"]) {
    fillOptions($(field), machines.map((machine) => machine[field]));
  }
  fillOptions($("tag"), machines.flatMap((machine) => tagsOf(machine).map(([key, value]) => `${key}=${value}`)));
  let waiting = 0;
  $("q").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => filterBy({ q: $("q").value }), machines.length > 2000 ? 150 : 0);
  });
  for (const field of ["check", "platform", "location", "source", "tag"]) {
    $(field).addEventListener("change", () => filterBy({ [field]: $(field).value }));
  }
  for (const pill of document.querySelectorAll(".pill")) {
    pill.addEventListener("click", () => {
      const verdict = new Set(state.verdict);
      if (!verdict.delete(pill.dataset.verdict)) verdict.add(pill.dataset.verdict);
      filterBy({ verdict });
    });
  }
  $("clear").addEventListener("click", () => {
    filterBy({ ...DEFAULTS, sort: state.sort, verdict: new Set() });
    $("q").focus();
  });
  for (const heading of document.querySelectorAll("#table th")) {
    heading.firstElementChild.addEventListener("click", () => {
      const key = heading.dataset.sort;
      filterBy({ sort: state.sort === key ? `-${key}` : key });
    });
  }
  $("size").addEventListener("change", () => filterBy({ size: Number($("size").value) }));
  $("previous").addEventListener("click", () => go({ page: state.page - 1 }));
  $("next").addEventListener("click", () => go({ page: state.page + 1 }));
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  body.addEventListener("click", openRow);
  body.addEventListener("keydown", moveInTable);
};

const openRow = (event) => {
  if (event.target.closest("a") || String(getSelection())) return;
  event.target.closest("tr")?.querySelector("a").click();
};

const moveInTable = (event) => {
  const links = [...body.querySelectorAll("a.name")];
  const at = links.indexOf(document.activeElement);
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 };
  if (event.key in steps) {
    event.preventDefault();
    links[Math.min(Math.max(steps[event.key], 0), links.length - 1)]?.focus();
  } else if (event.key === "PageDown" || event.key === "PageUp") {
    const page = state.page + (event.key === "PageDown" ? 1 : -1);
    if (page < 1 || page > lastPage()) return;
    event.preventDefault();
    go({ page });
    body.querySelector("a.name")?.focus();
  }
};
