// The page as a whole: theme, keys, printing, and the first picture.

const THEMES = ["auto", "light", "dark"];
const stored = (name, value) => {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return null; // a browser may forbid storage to files
  }
};

const setTheme = (theme) => {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
};

const wireTheme = () => {
  let theme = THEMES.includes(stored("auditor-theme")) ? stored("auditor-theme") : "auto";
  setTheme(theme);
  $("theme").hidden = false;
  $("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    stored("auditor-theme", theme);
    setTheme(theme);
  });
};

const wireKeys = () => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !dialog.open) {
      event.preventDefault();
      $("q").focus();
      $("q").select();
    } else if (event.key === "Escape" && event.target === $("q") && state.q) {
      event.preventDefault();
      filterBy({ q: "" });
    } else if ((event.key === "ArrowDown" || event.key === "Enter") && event.target === $("q")) {
      event.preventDefault();
      body.querySelector("a.name")?.focus();
    }
  });
};

// ---- printing: every machine that is not ready, with what is wrong and what to do ----

const printedOf = (machine) =>
  h("article", {},
    h("h3", {}, badge(machine.verdict), " ", machine.name),
    h("p", { class: "where" }, [machine.id, machine.platform, machine.location, machine.power].filter(Boolean).join(" · ")),
    ...machine.findings.map(finding)
      .filter((found) => ORDER[found.status] < 3)
      .sort((a, b) => ORDER[a.status] - ORDER[b.status])
      .map((found) => h("div", { class: `printed-finding ${found.status}` },
        h("p", {}, icon(found.status), " ", h("b", {}, found.title), ": ", reasonOr(found)),
        ...evidenceOf(machine, found).map((one) => h("small", {}, `${one.plane}, ${one.source}: ${one.value}`)),
        found.remediation ? h("p", { class: "next" }, h("b", {}, "Next step"), ...prose(found.remediation)) : null)));

const fillPrinted = () => {
  const bad = machines.filter((machine) => machine.verdict === "not-ready").sort(byName);
  $("printed").replaceChildren(h("h2", {}, bad.length ? `Not ready (${bad.length.toLocaleString()})` : "No machine is known to be not ready"),
    ...bad.map(printedOf));
};

const wirePrint = () => {
  $("print").hidden = false;
  $("print").addEventListener("click", () => print());
  addEventListener("beforeprint", fillPrinted);
  addEventListener("afterprint", () => $("printed").replaceChildren());
};

const show = () => {
  draw();
  drawDetail();
};

const follow = () => {
  const hash = location.hash.slice(1);
  if (!isView(hash)) return;
  const before = drawn;
  readHash();
  show();
  if (before !== null && before !== drawn && !state.machine) $("machines").scrollIntoView();
};

const localiseTimes = () => {
  for (const element of document.querySelectorAll("time")) {
    element.title = element.dateTime;
    element.textContent = moments.format(new Date(element.dateTime));
  }
};

localiseTimes();
wireTable();
wireDetail();
wireTheme();
wireKeys();
wirePrint();
$("tool").hidden = false;
if (isView(location.hash.slice(1))) readHash();
show();
addEventListener("hashchange", follow);
performance.mark("usable");
document.documentElement.dataset.usable = "true";
