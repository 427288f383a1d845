// The page: keeps what the stream told, and redraws what that changed.

import { byId, el } from "./dom.js";
import { drawChart, openChartKeys } from "./chart.js";
import { drawCommunity, openCommunity } from "./community.js";
import { opened, watchExperiment } from "./experiment.js";
import { drawFront } from "./front.js";
import { fetched, listen } from "./live.js";
import { drawConditions, drawLab, drawLessons, drawRunning, drawTotals } from "./panels.js";
import { drawReins, openReins } from "./reins.js";
import { drawTable, openTable } from "./table.js";

const state = { campaign: new URLSearchParams(location.search).get("campaign") || "", rows: new Map(), status: {},
  runs: [], lessons: [], conditions: [], community: {}, reins: {} };
const PARTS = ["rows", "status", "runs", "lessons", "conditions", "community", "reins"];
let heard = new Set(), older = 0; // below which experiment the rows of a long past go on

function hear(name, value) {
  if (name === "heard") {
    redraw(heard);
    heard = new Set();
    if (older) readOlder(older, state.rows);
    older = 0;
    return;
  }
  heard.add(name);
  if (name !== "rows") {
    state[name] = value;
    return;
  }
  if (value.fresh) state.rows = new Map();
  for (const row of value.rows) state.rows.set(row.experiment, row);
  if (value.fresh) older = value.before;
}

// The rest of a long past, page by page, once the newest are on the screen. A row that the stream told is newer.
async function readOlder(before, rows) {
  while (before && rows === state.rows) {
    const page = await fetched(`rows/${before}`, state.campaign).catch(() => null);
    if (!page) { await new Promise((again) => setTimeout(again, 2000)); continue; }
    for (const row of page.rows) if (!rows.has(row.experiment)) rows.set(row.experiment, row);
    before = page.before;
    if (rows === state.rows) redraw(new Set(["rows"]));
  }
}

function redraw(changed) {
  if (changed.has("status")) {
    drawTitle();
    drawTotals(state);
    drawLab(state);
  }
  if (changed.has("runs") || changed.has("status")) drawRunning(state, show);
  if (changed.has("rows") || changed.has("status")) {
    drawChart(state, show);
    drawTable(state, show);
    drawFront(state);
  }
  if (changed.has("reins") || changed.has("status")) drawReins(state);
  if (changed.has("lessons")) drawLessons(state, show);
  if (changed.has("conditions") || changed.has("status")) drawConditions(state);
  if (changed.has("community")) drawCommunity(state);
  if (changed.has("rows") || changed.has("lessons")) opened(state, changed);
  if (state.rows.size && state.status.scale) askForLibrary();
  document.body.dataset.heard = String(Number(document.body.dataset.heard || 0) + 1);
}

// The chart library is large, and the browser does nothing else while it reads it: asked for once all else is seen.
let asked = false;
function askForLibrary() {
  const address = byId("library")?.content;
  if (asked || !address) return;
  asked = true;
  const only = window.trustedTypes?.createPolicy("chart-library", { createScriptURL: () => address });
  const script = document.createElement("script");
  script.src = only ? only.createScriptURL("") : address;
  script.addEventListener("load", () => {
    byId("experiment").dataset.row = ""; // what is open has a curve to draw
    redraw(new Set(["rows", "runs"]));
  });
  requestAnimationFrame(() => setTimeout(() => document.head.append(script)));
}

function drawTitle() {
  const { status } = state;
  byId("name").textContent = status.campaign || "autoresearch";
  document.title = status.campaign ? `${status.campaign} · autoresearch` : "autoresearch";
  byId("goal").textContent = status.goal || "";
  const notes = [
    ...(status.problems || []).map((words) => el("p", { class: "problem" }, words)),
    status.stop ? el("p", {}, `The campaign is over: ${status.stop}.`) : null,
    status.campaign ? null : el("p", {}, status.next || "No campaign has begun yet."),
  ].filter(Boolean);
  byId("notes").replaceChildren(...notes);
  const menu = byId("campaign"), tags = status.campaigns || [];
  byId("choose").hidden = tags.length < 2;
  menu.replaceChildren(...tags.map((tag) => el("option", { value: tag, selected: tag === status.campaign }, tag)));
}

// which of the two views is seen; an experiment opens over either
function turn() {
  if (/^#experiment-/.test(location.hash)) return;
  const community = location.hash === "#community";
  if (byId("community-view").hidden !== community) return;
  byId("community-view").hidden = !community;
  byId("campaign-view").hidden = community;
  for (const [id, here] of [["to-campaign", !community], ["to-community", community]]) {
    if (here) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
  }
  document.querySelector(".skip").hidden = community;
  if (community) drawCommunity(state);
  else drawChart(state, show); // the library measures what it draws in
}

function show(number) {
  location.hash = `experiment-${number}`;
}

byId("campaign").addEventListener("change", (event) => {
  location.search = `?campaign=${encodeURIComponent(event.target.value)}`;
});
openTable(state, show);
openChartKeys(state, show);
openCommunity(state);
openReins(state);
watchExperiment(state);
addEventListener("hashchange", turn);
turn();
listen(`events?campaign=${encodeURIComponent(state.campaign)}`, PARTS, hear, (how, words) => {
  const link = byId("link");
  link.dataset.state = how;
  link.textContent = words;
});
