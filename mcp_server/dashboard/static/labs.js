// The page of all labs: a card for each, redrawn when the stream told something else of it. It shows; nothing here acts.

import { byId, day, el, facts, number, when } from "./dom.js";
import { listen } from "./live.js";

const AGAIN = 15000; // milliseconds between two looks at the clock
const MANY = 8; // labs from which on a search helps
// what runs, then what waits for somebody, then what rests
const ORDER = ["running", "waits for a device", "run died", "result waits", "to be decided", "cannot be read", "does not answer", "paused", "in the field", "idle", "over", "no campaign"];
const UNSEEN = ["cannot be read", "does not answer"]; // nobody knows who is there
const state = { labs: { keys: [], gone: [] }, lab: new Map(), now: new Map() };
let told = new Set();

function hear(name, value) {
  if (name === "heard") {
    draw(told);
    told = new Set();
    return;
  }
  if (name === "labs") { state.labs = value; told.add("labs"); return; }
  state[name].set(value.key, value);
  told.add(value.key);
}

function draw(changed) {
  const box = byId("labs"), known = new Map([...box.children].map((card) => [card.dataset.key, card]));
  const here = new Set(state.labs.keys);
  for (const name of ["lab", "now"]) for (const key of state[name].keys()) if (!here.has(key)) state[name].delete(key);
  const keys = state.labs.keys.filter((key) => state.lab.has(key) && state.now.has(key)).sort(before);
  const cards = keys.map((key) => {
    const card = known.get(key) || el("article", { class: "lab", "data-key": key });
    if (changed.has(key) || !known.has(key)) fill(card, state.lab.get(key), state.now.get(key));
    return card;
  });
  if (cards.length !== box.children.length || cards.some((card, place) => card !== box.children[place])) {
    const focused = box.contains(document.activeElement) ? document.activeElement : null;
    box.replaceChildren(...cards);
    focused?.focus({ preventScroll: true });
  }
  byId("none").hidden = state.labs.keys.length > 0 || (state.labs.gone || []).length > 0;
  byId("search-row").hidden = cards.length <= MANY;
  drawSummary(keys);
  drawGone(state.labs.gone || []);
  choose();
  document.body.dataset.heard = String(Number(document.body.dataset.heard || 0) + 1);
}

function before(one, other) {
  const place = (key) => ORDER.indexOf(state.now.get(key).state), at = (key) => state.lab.get(key).at || "";
  return place(one) - place(other) || (at(one) < at(other) ? 1 : at(one) > at(other) ? -1 : 0) || (one < other ? -1 : 1);
}

function drawSummary(keys) {
  const running = keys.filter((key) => state.now.get(key).state === "running").length;
  const troubled = keys.filter((key) => troubles(state.lab.get(key), state.now.get(key)).length).length;
  byId("summary").textContent = keys.length ? [`${keys.length} lab${keys.length === 1 ? "" : "s"}`, `${running} running`,
    troubled ? `${troubled} with a problem` : ""].filter(Boolean).join(" · ") : "";
  document.title = running ? `(${running}) All labs · autoresearch` : "All labs · autoresearch";
}

const troubles = (lab, now) => [...(now.problems || []), ...(lab.problems || [])];

function fill(card, lab, now) {
  const focused = card.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  const home = `/lab/${encodeURIComponent(lab.key)}/${lab.campaign ? `?${new URLSearchParams({ campaign: lab.campaign })}` : ""}`;
  const link = (words, at, more = "") => el("a", { href: home + more, "data-at": at }, words);
  card.dataset.state = now.state;
  card.replaceChildren(...[
    el("div", { class: "row" }, el("h2", {}, link(lab.name, "name")), el("span", { class: "badge", "data-state": now.state }, now.state)),
    el("p", { class: "faint" }, [lab.campaign, lab.folder].filter(Boolean).join(" · ")),
    lab.goal ? el("p", { class: "goal" }, lab.goal) : "",
    ...troubles(lab, now).map((words) => el("p", { class: "trouble" }, words)),
    ...[lab.paused, lab.over ? `The campaign is over: ${lab.over}.` : ""].filter(Boolean).map((words) => el("p", { class: "notice" }, words)),
    ...(now.runs || []).map((run) => running(run, lab, link)),
    lab.campaign ? numbers(lab) : "",
    spark(lab),
    lines(lab, now, link),
  ].filter(Boolean));
  card.dataset.words = card.textContent.toLowerCase();
  tick(card);
  if (focused) card.querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function running(run, lab, link) {
  const own = run.campaign === lab.campaign, words = `#${run.experiment} ${run.description || ""}`.trim();
  return el("div", { class: "now" },
    el("div", {}, own ? link(words, `run-${run.experiment}`, `#experiment-${run.experiment}`) : `${run.campaign} ${words}`),
    el("p", { class: "faint" }, [run.phase, run.device].filter(Boolean).join(" · "), " · since ", since(run.since, true)),
    run.part === undefined ? "" : el("progress", { max: 1, value: run.part, "aria-label": `share of experiment ${run.experiment} that is done` }));
}

function numbers(lab) {
  const unit = lab.unit ? ` ${lab.unit}` : "", exam = lab.exam_gain !== undefined;
  const better = lab.direction === "maximize" ? "higher is better" : "lower is better";
  const cell = (name, value, more) => el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, more) : ""));
  return el("dl", { class: "numbers" },
    cell(`best ${lab.metric}`, number(lab.best), lab.baseline === undefined ? `${better}; no baseline yet` : `baseline ${number(lab.baseline)}${unit}; ${better}`),
    cell("claimed gain", number(lab.claimed_gain, true), `${lab.kept} kept of ${number(lab.experiments)}`),
    cell(exam ? "gain by exam" : "honest gain", number(exam ? lab.exam_gain : lab.honest_gain, true), exam ? "on the untouched split" : "allowing for luck"));
}

// The best so far by experiment, as a line of steps; lower is lower, whichever is better.
function spark(lab) {
  const points = lab.curve || [];
  if (points.length < 2) return "";
  const scores = points.map((point) => point[1]), low = Math.min(...scores), high = Math.max(...scores);
  const first = points[0][0], width = Math.max(1, lab.last - first);
  const x = (n) => (300 * (n - first) / width).toFixed(1), y = (score) => (high > low ? 46 - 40 * (score - low) / (high - low) : 26).toFixed(1);
  const path = points.map(([n, score], place) => place ? `H${x(n)}V${y(score)}` : `M${x(n)} ${y(score)}`).join("") + "H300";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(svg.namespaceURI, "path");
  for (const [name, value] of Object.entries({ class: "spark", viewBox: "0 0 300 52", preserveAspectRatio: "none", role: "img",
    "aria-label": `best ${lab.metric} from ${number(scores[0])} to ${number(scores[scores.length - 1])} over ${number(lab.last)} experiments` })) svg.setAttribute(name, value);
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

function lines(lab, now, link) {
  const decide = lab.to_decide || [], ideas = lab.ideas || [], more = (lab.ideas_waiting || 0) - ideas.length;
  const agents = (now.agents || []).flatMap(([client, at], place) => [place ? ", " : "", `${client}, since `, since(at, true)]);
  const who = UNSEEN.includes(now.state) ? "" : agents.length ? el("span", {}, ...agents) : now.attended ? "a server is here"
    : now.state === "running" ? "no server: what runs goes on, nobody proposes" : "no server";
  const ask = [now.queued ? `${now.queued} wait${now.queued === 1 ? "s" : ""} for a device` : "", decide.length ? `${decide.join(", ")} to be decided` : ""];
  return facts(el("dl", { class: "facts" }), [
    ["agent", who],
    ["queue", ask.filter(Boolean).join(" · ")],
    ["ideas", ideas.length ? `${ideas.join(" · ")}${more > 0 ? ` · and ${more} more` : ""}` : ""],
    ["front", lab.front],
    ["spent", lab.money],
    ["news", (lab.events || []).length ? el("ul", { class: "news" }, ...lab.events.map((one, place) => el("li", {},
      el("span", { class: one.kind }, one.kind), " ", since(one.at), " ",
      one.experiment === undefined ? one.words : link(one.words, `news-${place}`, `#experiment-${one.experiment}`)))) : ""],
    ["also", (lab.campaigns || []).join(", ")],
  ].filter(([, value]) => value));
}

// A moment as how long ago it was, after what the clock showed where that is asked for; `tick` keeps it true.
const since = (stamp, clock = false) => el("time", { datetime: stamp, title: when(stamp), "data-clock": clock ? day(stamp) : null });

function tick(within) {
  for (const one of within.querySelectorAll("time")) {
    const minutes = (Date.now() - new Date(one.dateTime).getTime()) / 60000;
    const ago = Number.isNaN(minutes) ? "" : minutes < 1 ? "just now" : minutes < 90 ? `${Math.round(minutes)} min ago`
      : minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
    one.textContent = one.dataset.clock ? `${one.dataset.clock} (${ago})` : ago;
  }
}

function drawGone(gone) {
  byId("gone-section").hidden = !gone.length;
  byId("gone").replaceChildren(...gone.map((one) => el("li", { "data-key": one.key },
    one.moved ? `${one.name} was in ${one.folder}; it is now in ` : `${one.name} was in ${one.folder}, opened last `,
    one.moved ? el("a", { href: `/lab/${encodeURIComponent(one.moved_key)}/` }, one.moved) : since(one.at), ".")));
  tick(byId("gone"));
}

function choose() {
  const words = byId("search-row").hidden ? [] : byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of byId("labs").children) card.hidden = !words.every((word) => card.dataset.words.includes(word));
}

byId("search").addEventListener("input", choose);
setInterval(() => tick(document), AGAIN);
listen("/events", ["labs", "lab", "now"], hear, (how, words) => {
  const link = byId("link");
  link.dataset.state = how;
  link.textContent = words;
});
