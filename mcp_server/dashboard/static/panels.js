// The panels around the chart: totals, what runs, learnings, program and style, the lab.

import { byId, diff, el, facts, number, seconds, when } from "./dom.js";
import { drawCurve } from "./chart.js";
import { fetched } from "./live.js";
import { wish } from "./reins.js";

const FEW_LESSONS = 12;
let allLessons = false;

export function drawTotals({ status }) {
  const totals = status.totals || {}, money = status.money || {}, counts = status.experiments || {}, unit = status.unit ? ` ${status.unit}` : "";
  const exam = totals.exam_gain !== undefined;
  const interval = (totals.exam_interval || []).map((edge) => number(edge, true)).join(" to ");
  const tiles = [
    [status.name ? `best ${status.name}` : "best", number(totals.best), totals.baseline === undefined ? "no baseline yet" : `baseline ${number(totals.baseline)}${unit}`],
    ["claimed gain", number(totals.claimed_gain, true), "the sum of what the keeps claim"],
    exam ? ["honest gain, by exam", number(totals.exam_gain, true), interval ? `95 % interval ${interval}` : "measured on the untouched split"]
      : ["honest gain", number(totals.honest_gain, true), "after allowing for luck in the choice"],
    ...(totals.claim ? [["claimed before", (totals.claim.match(/not supported|supported|inconclusive/) || [""])[0], totals.claim]] : []),
    ...(status.watched ? [["watch series", "", status.watched]] : []),
    ["expected false keeps", number(totals.expected_false_keeps), "among the kept changes"],
    ...(money.words ? [["spent", spent(money), money.words]] : []),
    ["experiments", number(counts.all ?? 0), `${counts.keep ?? 0} kept${counts.open ? `, ${counts.open} open` : ""}`],
    [status.noise?.paired_sd === undefined ? "noise of one run" : "noise of a difference", number(status.noise_sd), status.noise?.runs ? `standard deviation, from ${status.noise.runs} runs` : "not measured yet"],
  ];
  byId("totals").replaceChildren(...(status.campaign ? tiles : []).map(([name, value, more]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, more)))));
}

function spent(money) {
  if (money.cost_usd !== undefined) return `${money.cost_usd.toFixed(2)} USD`;
  return money.tokens === undefined ? "not told" : `${number(money.tokens)} tokens`;
}

export function drawRunning({ runs, status, campaign }, show) {
  const live = runs.filter((run) => run.phase && !run.phase.startsWith("waiting"));
  const box = byId("running");
  const known = new Map([...box.children].map((card) => [card.dataset.run, card]));
  const cards = live.map((run) => {
    const key = `${run.campaign}/${run.experiment}/${run.run}`;
    return fillCard(known.get(key) || newCard(key, run, campaign), run, status, show);
  });
  if (cards.length !== box.children.length || cards.some((card, place) => card !== box.children[place])) box.replaceChildren(...cards);
  live.forEach((run, place) => drawCurve(cards[place].querySelector(".curve"), run.curve || [], true));
  const waiting = runs.filter((run) => !live.includes(run));
  byId("queue").hidden = !waiting.length;
  byId("queue").tBodies[0].replaceChildren(...waiting.slice(0, 50).map((run) => el("tr", {},
    el("td", {}, title(run, status)),
    el("td", {}, `${run.run}, ${run.purpose}`),
    el("td", {}, run.state === "pending" ? "waits for the world to answer" : run.state),
    el("td", {}, run.eta_seconds === undefined ? "" : `${seconds(run.eta_seconds)} left${run.ahead ? `, ${run.ahead} ahead` : ""}`))));
}

function title(run, status) {
  const elsewhere = run.campaign === status.campaign ? "" : `${run.campaign} `;
  return `${elsewhere}${run.experiment}  ${run.description || ""}`;
}

function newCard(key, run, campaign) {
  return el("article", { class: "run", "data-run": key }, el("h3", {}, el("a", {})), el("p", { class: "faint" }),
    el("progress", { max: 1, value: 0, "aria-label": "share of the time that has passed" }), el("p", {}), el("div", { class: "curve" }),
    el("button", { type: "button", class: "cancel", "aria-label": `Cancel experiment ${run.experiment}`,
      onclick: () => wish(campaign, { verb: "cancel", number: run.experiment }) }, "Cancel"));
}

function fillCard(card, run, status) {
  const [heading, about, bar, words] = card.children;
  const link = heading.firstElementChild;
  link.textContent = `#${title(run, status)}`;
  if (run.campaign === status.campaign) link.setAttribute("href", `#experiment-${run.experiment}`);
  card.querySelector(".cancel").hidden = run.campaign !== status.campaign;
  about.textContent = [`run ${run.run}, ${run.purpose}, seed ${run.seed}`, run.device, run.phase].filter(Boolean).join(" · ");
  const part = run.phase === "scoring" ? run.scored_fraction ?? null
    : run.budget_seconds ? Math.min(1, (run.elapsed_seconds || 0) / run.budget_seconds) : null;
  if (part === null) bar.removeAttribute("value");
  else bar.value = part;
  const budget = run.budget_seconds ? `${seconds(run.elapsed_seconds)} of ${seconds(run.budget_seconds)}` : seconds(run.elapsed_seconds);
  words.textContent = [run.phase === "training" ? budget : "", run.eta_seconds === undefined ? "" : `${seconds(run.eta_seconds)} left`,
    run.steps ? `step ${run.steps.toLocaleString("en")}` : "", run.loss === undefined ? "" : `loss ${run.loss.toFixed(4)}`].filter(Boolean).join(" · ");
  return card;
}

export function drawLessons(state) {
  const { lessons, status } = state;
  const shown = allLessons ? lessons : lessons.slice(0, FEW_LESSONS);
  byId("lessons").replaceChildren(...shown.map((lesson) => {
    const here = !lesson.campaign || lesson.campaign === status.campaign;
    const about = [lesson.source === "person" ? "from a person" : "", here ? "" : lesson.campaign, (lesson.tags || []).join(", "), when(lesson.at)];
    return el("li", {}, lesson.text, el("small", {},
      lesson.experiment && here ? el("a", { href: `#experiment-${lesson.experiment}` }, `experiment ${lesson.experiment}`) : "",
      `${lesson.experiment && here ? " · " : ""}${about.filter(Boolean).join(" · ")}`));
  }));
  if (!lessons.length) byId("lessons").replaceChildren(el("li", { class: "faint" }, "Nothing was written down yet."));
  const more = byId("more-lessons");
  more.hidden = allLessons || lessons.length <= FEW_LESSONS;
  more.textContent = `Show all ${lessons.length}`;
  more.onclick = () => { allLessons = true; drawLessons(state); };
}

export function drawConditions({ conditions, status, campaign }) {
  const box = byId("conditions");
  const words = JSON.stringify(conditions);
  if (box.dataset.words !== words) {
    box.dataset.words = words; // else a text that is being read would close
    box.replaceChildren(...conditions.map((one, place) => version(one, place === 0, campaign)));
  }
  const texts = byId("texts");
  if (texts.dataset.words === (status.style_text || "")) return;
  texts.dataset.words = status.style_text || "";
  texts.replaceChildren(...(status.style_text
    ? [el("details", {}, el("summary", {}, `Style in force: ${status.style}`), el("pre", { class: "wrap", tabindex: "0" }, status.style_text))] : []));
}

function version(one, inForce, campaign) {
  const since = one.since === undefined || one.since === null ? "from the next experiment on" : `from experiment ${one.since}`;
  const style = one.style ? `, style ${one.style}` : "";
  const details = el("details", {}, el("summary", {}, `${inForce ? "In force: " : ""}program ${one.program}${style}, ${since}`));
  details.addEventListener("toggle", async () => {
    if (!details.open || details.children.length > 1) return;
    const found = await fetched(`programs/${one.program}`, campaign).catch((error) => ({ text: error.message }));
    details.append(el("p", { class: "faint" }, found.first_seen ? `first seen ${when(found.first_seen)}` : ""));
    if (found.diff) details.append(el("p", {}, "Against the version before:"), diff(found.diff));
    details.append(el("pre", { class: "wrap", tabindex: "0" }, found.text));
  });
  return details;
}

export function drawLab({ status }) {
  const devices = (status.devices || []).map((one) => `${one.device} ${one.state}${one.experiment ? ` (${one.experiment})` : ""}`).join(", ");
  facts(byId("lab"), [
    ["metric", status.metric], ["editable", (status.editable || []).join(", ")], ["budget", status.budget], ["devices", devices],
    ["branch", status.branch], ["sandbox", status.tier],
    ["incumbent", status.incumbent ? `experiment ${status.incumbent.experiment}, ${number(status.incumbent.score)}` : ""],
    ["to decide", (status.waiting_for_decision || []).join(", ")], ["begun", when(status.began_at)], ["next", status.next], ["advice", status.advice],
  ]);
  byId("vault").textContent = `git for-each-ref refs/autoresearch/${status.campaign || ""}`;
}
