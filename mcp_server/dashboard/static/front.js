// The Pareto front of an arena with several primary metrics: the report's drawing, and who lies on it as a table.

import { byId, el, number } from "./dom.js";
import { fetched } from "./live.js";

let asking = false, again = false;

export async function drawFront(state) {
  if (!(state.status.front || []).length) { byId("front-section").hidden = true; return; }
  again = true;
  if (asking) return; // one question at a time; what came meanwhile is asked once more
  asking = true;
  while (again) {
    again = false;
    const found = await fetched("front", state.campaign).catch(() => null);
    if (found) fill(found, state.campaign);
  }
  asking = false;
}

function fill({ seen, words, metrics = [], on = [] }, campaign) {
  byId("front-section").hidden = !on.length;
  const image = byId("front");
  if (!on.length || image.dataset.seen === seen) return;
  image.dataset.seen = seen;
  image.src = `front.svg?${new URLSearchParams({ campaign, seen })}`;
  byId("front-words").textContent = words;
  byId("front-table").tHead.rows[0].replaceChildren(...["#", ...metrics, "", "what it changed"].map((name) =>
    el("th", { scope: "col", class: metrics.includes(name) || name === "#" ? "number" : "" }, name)));
  byId("front-table").tBodies[0].replaceChildren(...on.map((one) => el("tr", {},
    el("td", { class: "number" }, el("a", { href: `#experiment-${one.experiment}` }, String(one.experiment))),
    ...one.values.map((value) => el("td", { class: "number" }, number(value))),
    el("td", { class: one.kept ? "mark kept" : "" }, one.kept ? "kept" : ""),
    el("td", { class: "words" }, one.description || ""))));
}
