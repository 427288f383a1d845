// One experiment as a dialog: verdict and reason, diff, curve, log, learnings, and how to bring it back.

import { byId, command, diff, el, facts, number, outcome, seconds, when, widths } from "./dom.js";
import { drawCurve } from "./chart.js";
import { fetched } from "./live.js";

let current = null;

const named = () => Number((/^#experiment-(\d{1,9})$/.exec(location.hash) || [])[1] || 0);

export function watchExperiment(state) {
  const dialog = byId("experiment");
  const follow = () => {
    const number = named();
    if (number) open(state, number);
    else if (dialog.open) dialog.close();
  };
  addEventListener("hashchange", follow);
  dialog.addEventListener("close", () => {
    const was = current;
    current = null;
    if (named()) history.pushState(null, "", location.pathname + location.search);
    document.querySelector(`#table tr[data-experiment="${was}"] a`)?.focus({ preventScroll: true });
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  byId("close").addEventListener("click", () => dialog.close());
  byId("previous").addEventListener("click", () => { location.hash = `experiment-${current - 1}`; });
  byId("next").addEventListener("click", () => { location.hash = `experiment-${current + 1}`; });
  follow();
}

// what is open is read again when its row changed
export function opened(state, changed) {
  if (current === null) return;
  const row = JSON.stringify([state.rows.get(current), state.lessons.filter((lesson) => lesson.experiment === current)]);
  if (changed && byId("experiment").dataset.row !== row) open(state, current);
}

async function open(state, wanted) {
  const dialog = byId("experiment"), body = byId("experiment-body"), turned = current !== wanted;
  current = wanted;
  dialog.dataset.row = JSON.stringify([state.rows.get(wanted), state.lessons.filter((lesson) => lesson.experiment === wanted)]);
  if (turned) {
    byId("experiment-title").textContent = `Experiment ${wanted}`;
    body.replaceChildren(el("p", { class: "faint" }, "reading …"));
  }
  byId("previous").disabled = wanted <= 1;
  byId("next").disabled = state.rows.size > 0 && !state.rows.has(wanted + 1);
  if (!dialog.open) dialog.showModal();
  if (turned) byId("experiment-title").focus();
  try {
    const found = await fetched(`experiments/${wanted}`, state.campaign);
    if (current === wanted) fill(body, found, state.campaign);
  } catch (error) {
    if (current === wanted) body.replaceChildren(el("p", {}, error.message));
  }
}

function fill(body, { page, verdict = {}, view, view_words: left, watch, log, commands }, campaign) {
  const { score, row } = page;
  byId("experiment-title").textContent = `Experiment ${row.experiment}: ${row.description || ""}`;
  const sure = verdict.probability === undefined ? "" : `${Math.round(100 * verdict.probability)} % sure it is better`;
  const gain = row.change ?? score.change, noise = row.noise_widths ?? score.noise_widths;
  const edges = new Set((score.interval || []).map((edge) => number(edge)));
  const against = page.base ? `against experiment ${page.base}` : "";
  const parts = [facts(el("dl", { class: "facts" }), [
    ["outcome", outcome(row)],
    ["score", row.score === undefined ? "" : `${number(row.score)} ${score.unit || ""}`],
    ["interval", edges.size > 1 ? [...edges].join(" to ") : ""], // exact as far as it is shown: nothing to say
    ["gain", gain === undefined ? "" : [number(gain, true), widths(noise), against].filter(Boolean).join(" · ")],
    ["verdict", [verdict.decision, verdict.label, sure].filter(Boolean).join(", ")],
    ["examples", verdict.units], ["changed on", (verdict.flipped || []).join(", ")],
    ["reason", [verdict.reason, score.reason, score.detail].filter(Boolean).join(" · ")],
    ["hypothesis", page.hypothesis],
    ["foretold", page.expected_delta === undefined ? "" : `a gain of ${number(page.expected_delta, true)}`],
    ["changed", (score.knobs || []).join(", ")],
    ["took", score.train_seconds === undefined ? "" : [seconds(score.train_seconds), score.steps ? `${score.steps.toLocaleString("en")} steps` : "",
      score.memory_mb ? `${Math.round(score.memory_mb).toLocaleString("en")} MB` : ""].filter(Boolean).join(", ")],
    ["measured", Object.entries(score.secondary || {}).map(([name, value]) => `${name} ${number(value)}`).join(", ")],
    ["watched", watch === undefined ? "" : `${number(watch)} on the third draw`],
    ["device", [page.device, page.tier].filter(Boolean).join(", sandbox ")],
    ["begun", when(row.opened_at)], ["decided", when(row.decided_at)], ["theme", row.theme],
  ])];
  if (view || left) parts.push(el("h3", {}, "What it made"));
  if (view) {
    const source = `experiments/${row.experiment}/view?${new URLSearchParams({ campaign })}`;
    parts.push(el("img", { class: "view", src: source, alt: `What experiment ${row.experiment} made, drawn by the arena's view command` }));
  }
  if (left) parts.push(el("p", { class: "faint" }, left));
  if (score.warnings?.length) parts.push(el("p", { class: "loss" }, score.warnings.join(" · ")));
  if (score.crash) {
    const { kind, message, frames, excerpt } = score.crash;
    parts.push(el("h3", {}, "How it ended"), el("pre", { class: "wrap", tabindex: "0" }, [`${kind}${message ? `: ${message}` : ""}`, ...(frames || []), excerpt || ""].join("\n").trim()));
  }
  if (page.learnings?.length) {
    parts.push(el("h3", {}, "Learned"), el("ol", { class: "lessons" }, ...page.learnings.map((text) => el("li", {}, text))));
  }
  if (page.runs?.length) parts.push(el("h3", {}, "Runs"), runs(page.runs));
  const curve = el("div", { class: "curve" });
  if ((page.curve || []).length > 1) parts.push(el("h3", {}, "Training loss"), curve);
  if (page.diff) parts.push(el("h3", {}, "What it changed"), diff(page.diff));
  if (log) parts.push(el("h3", {}, "End of the log"), el("pre", { class: "wrap", tabindex: "0" }, log));
  parts.push(el("h3", {}, "Bring it back"), ...commands.map(([words, text]) => command(text, words)));
  if (page.commit) parts.push(el("p", { class: "faint" }, `kept as commit ${page.commit.slice(0, 12)}`));
  body.replaceChildren(...parts);
  if (curve.isConnected) drawCurve(curve, page.curve, false);
}

function runs(list) {
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["run", "seed", "purpose", "state", "score", ""].map((words) => el("th", { scope: "col" }, words)))),
    el("tbody", {}, ...list.map((run) => el("tr", {}, el("td", {}, String(run.run)), el("td", {}, String(run.seed)), el("td", {}, run.purpose),
      el("td", {}, run.state), el("td", { class: "number" }, run.score === undefined ? "" : number(run.score)),
      el("td", {}, [run.reason, run.tainted ? `tainted: ${run.tainted}` : ""].filter(Boolean).join(", ")))))));
}
