// One machine: its findings, the evidence behind them, and the next step.

const dialog = document.getElementById("detail");
let open = null;

const drawDetail = () => {
  const machine = state.machine ? machines.find((candidate) => candidate.id === state.machine) : null;
  if (machine === open) return;
  open = machine;
  if (!machine) {
    dialog.close();
    return;
  }
  dialog.replaceChildren(barOf(machine), articleOf(machine));
  dialog.scrollTop = 0;
  if (!dialog.open) dialog.showModal();
};

const step = (by) => {
  const at = view.indexOf(open) + by;
  if (at >= 0 && at < view.length) go({ machine: view[at].id });
};

const barOf = (machine) => {
  const at = view.indexOf(machine);
  const button = (label, title, action, disabled) => {
    const made = h("button", { type: "button", title, disabled, "data-action": label.toLowerCase() }, label);
    made.addEventListener("click", action);
    return made;
  };
  return h("div", { class: "detail-bar" },
    h("span", {}, at < 0 ? "" : `${(at + 1).toLocaleString()} of ${view.length.toLocaleString()}`),
    button("Previous", "Previous machine (←)", () => step(-1), at <= 0),
    button("Next", "Next machine (→)", () => step(1), at < 0 || at >= view.length - 1),
    button("Close", "Close (Esc)", () => go({ machine: "" }), false));
};

const articleOf = (machine) => {
  const found = machine.findings.map(finding)
    .sort((a, b) => ORDER[a.status] - ORDER[b.status] || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  const loud = found.filter((one) => ORDER[one.status] < 3);
  const rest = found.filter((one) => ORDER[one.status] >= 3);
  return h("article", { class: "detail" },
    badge(machine.verdict),
    h("h2", { id: "detail-title", dir: "auto", tabindex: "-1", autofocus: true }, machine.name),
    knownOf(machine),
    ...loud.map((one) => findingOf(machine, one, true)),
    rest.length ? h("p", { class: "rest" }, loud.length ? "The other checks" : "All checks") : null,
    ...rest.map((one) => findingOf(machine, one, false)));
};

const knownOf = (machine) => {
  const pair = (name, value, wide) => h("div", { class: wide ? "wide" : null }, h("dt", {}, name), h("dd", {}, ...[value].flat()));
  const tags = tagsOf(machine);
  return h("dl", { class: "known" },
    pair("Platform", machine.platform),
    pair("Location", quiet(machine.location)),
    pair("Power state", machine.power === null ? "not seen" : machine.power),
    pair("Source", machine.source),
    pair("Id", [h("code", {}, machine.id), copyButton(machine.id)], true),
    tags.length ? pair("Tags", tags.map(([key, value]) => h("span", { class: "chip" }, h("b", {}, key), " ", value)), true) : null);
};

const copyButton = (text) => {
  if (!navigator.clipboard) return null;
  const button = h("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => navigator.clipboard.writeText(text).then(() => {
    button.textContent = "Copied";
  }, () => {
    button.textContent = "Refused";
  }));
  return button;
};

const findingOf = (machine, found, isOpen) =>
  h("details", { class: `finding ${found.status}`, open: isOpen },
    h("summary", {},
      icon(found.status),
      h("h3", {}, found.title, h("span", { class: "sr" }, `: ${found.status}`)),
      h("span", { class: `severity ${found.severity}` }, found.severity),
      h("span", { class: "said" }, found.reason ? `${found.summary}: ${found.reason}` : found.summary)),
    h("div", { class: "body" },
      found.remediation ? h("p", { class: "next" }, h("b", {}, "Next step"), ...prose(found.remediation)) : null,
      evidenceTable(evidenceOf(machine, found)),
      h("p", { class: "quiet explained" }, "Explained by ", h("code", {}, `auditor checks show ${found.check}`))));

const evidenceTable = (list) => {
  if (!list.length) return null;
  const heading = (text) => h("th", { scope: "col" }, text);
  return h("table", { class: "evidence" },
    h("caption", {}, "Evidence"),
    h("thead", {}, h("tr", {}, heading("Read from"), heading("What stood there"))),
    h("tbody", {}, ...list.map((one) => h("tr", {},
      h("td", {}, h("span", { class: "plane" }, one.plane), " ", one.source,
        h("small", {}, one.at === null ? "time not known" : moment(new Date(one.at * 1000)))),
      h("td", { class: "value" }, h("div", {}, one.value))))));
};

const wireDetail = () => {
  dialog.addEventListener("close", () => {
    if (open) go({ machine: "" });
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) go({ machine: "" });
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
};
