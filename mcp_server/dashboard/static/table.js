// The table: search, filter, sort, a page at a time, so that ten thousand stay quick and readable by a reader.

import { byId, day, el, number, outcome } from "./dom.js";

const PAGE = 25;
const COLUMNS = [
  { key: "experiment", words: "#", number: true },
  { key: "status", words: "outcome" },
  { key: "score", words: "score", number: true },
  { key: "change", words: "gain", number: true },
  { key: "noise_widths", words: "noise widths", number: true, rare: true },
  { key: "description", words: "what it changed" },
  { key: "opened_at", words: "begun", rare: true },
];
const view = { key: "experiment", down: true, page: 0, words: "", outcome: "" };

export function openTable(state, show) {
  const again = () => drawTable(state, show);
  byId("search").addEventListener("input", (event) => { view.words = event.target.value; view.page = 0; again(); });
  byId("outcome").addEventListener("change", (event) => { view.outcome = event.target.value; view.page = 0; again(); });
  byId("back").addEventListener("click", () => { view.page -= 1; again(); });
  byId("forth").addEventListener("click", () => { view.page += 1; again(); });
  byId("table").tHead.rows[0].append(...COLUMNS.map((column) => el(
    "th", { scope: "col", class: column.number ? "number" : "", "data-key": column.key },
    el("button", { type: "button", onclick: () => {
      view.down = view.key === column.key ? !view.down : column.number || column.key === "opened_at";
      view.key = column.key;
      view.page = 0;
      again();
    } }, column.words),
  )));
  byId("table").tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a") && !getSelection().toString()) show(Number(row.dataset.experiment));
  });
}

function chosen(state) {
  const words = view.words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...state.rows.values()].filter((row) => {
    if (view.outcome && row.status !== view.outcome && row.label !== view.outcome) return false;
    if (!words.length) return true;
    const text = `#${row.experiment} ${row.description || ""} ${row.knobs || ""} ${row.theme || ""} ${row.status} ${row.label || ""} ${row.reason || ""}`
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const { key, down } = view, way = down ? -1 : 1;
  return rows.sort((a, b) => {
    const [one, other] = [a[key], b[key]];
    // rows without a value stay last whichever way it is sorted
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined) || b.experiment - a.experiment;
    return (one < other ? -way : one > other ? way : 0) || b.experiment - a.experiment;
  });
}

export function drawTable(state, show) {
  fillOutcomes(state);
  const rows = chosen(state);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  view.page = Math.min(Math.max(view.page, 0), pages - 1);
  const from = view.page * PAGE, shown = rows.slice(from, from + PAGE);
  for (const head of byId("table").tHead.rows[0].cells) {
    const sorted = head.dataset.key === view.key;
    head.setAttribute("aria-sort", sorted ? (view.down ? "descending" : "ascending") : "none");
    const words = COLUMNS.find((column) => column.key === head.dataset.key).words;
    head.firstElementChild.textContent = sorted ? `${words} ${view.down ? "↓" : "↑"}` : words;
  }
  const body = byId("table").tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.experiment : null;
  body.replaceChildren(...shown.map(rowOf));
  if (focused) body.querySelector(`tr[data-experiment="${focused}"] a`)?.focus();
  const read = state.rows.size, all = Math.max(read, state.status.experiments?.all || 0); // the older ones are on their way
  byId("found").textContent = !(state.status.campaign || state.status.next) ? "" : all === 0 ? "No experiment yet."
    : rows.length === read ? `${all.toLocaleString("en")} experiments` : `${rows.length.toLocaleString("en")} of ${all.toLocaleString("en")} experiments`;
  byId("pager").hidden = pages < 2;
  byId("place").textContent = `${(from + 1).toLocaleString("en")} to ${(from + shown.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  byId("back").disabled = view.page === 0;
  byId("forth").disabled = view.page >= pages - 1;
}

function rowOf(row) {
  const about = [row.theme, row.knobs].filter(Boolean).join(" · ");
  const gain = row.change === undefined ? "" : row.change > 0 ? "gain" : row.change < 0 ? "loss" : "";
  return el("tr", { "data-experiment": row.experiment },
    el("td", { class: "number" }, el("a", { href: `#experiment-${row.experiment}` }, String(row.experiment))),
    el("td", {}, outcome(row)),
    el("td", { class: "number" }, row.score === undefined ? "" : number(row.score)),
    el("td", { class: `number change ${gain}` }, row.change === undefined ? "" : number(row.change, true)),
    el("td", { class: "number rare" }, row.noise_widths === undefined ? "" : number(Number(row.noise_widths.toFixed(1)), true)),
    el("td", { class: "words" }, row.description || "", about ? el("div", { class: "faint" }, about) : null),
    el("td", { class: "rare faint date" }, day(row.opened_at)));
}

function fillOutcomes(state) {
  const counts = new Map();
  for (const row of state.rows.values()) {
    counts.set(row.status, (counts.get(row.status) || 0) + 1);
    if (row.status === "kept" && row.label && row.label !== "kept") counts.set(row.label, (counts.get(row.label) || 0) + 1);
  }
  const menu = byId("outcome");
  const wanted = [["", "all"], ...[...counts].sort().map(([name, count]) => [name, `${name} (${count.toLocaleString("en")})`])];
  if (menu.dataset.words === JSON.stringify(wanted)) return; // a menu that is open must not close under the hand
  menu.dataset.words = JSON.stringify(wanted);
  menu.replaceChildren(...wanted.map(([value, words]) => el("option", { value, selected: value === view.outcome }, words)));
}
