// The chart: every experiment a mark, the best so far as a step line in its noise band. Words about a mark are drawn by
// this page as text, never by the library, which would read markup in them.

import { byId, el, number, outcome, widths } from "./dom.js";

const KINDS = {
  baseline: { symbol: "diamond", size: 11, words: "baseline", sign: "◆" },
  confirmed: { symbol: "circle", size: 11, words: "kept, confirmed", sign: "●" },
  provisional: { symbol: "circle-open", size: 11, words: "kept, provisional", sign: "○" },
  simplification: { symbol: "square", size: 10, words: "kept, simpler", sign: "■" },
  rejected: { symbol: "cross", size: 9, words: "rejected", sign: "✚" },
  tainted: { symbol: "diamond-open", size: 9, words: "tainted, decides nothing", sign: "◇" },
  discarded: { symbol: "circle", size: 6, words: "discarded", sign: "•" },
  crashed: { symbol: "x-thin", size: 7, words: "no score", sign: "✕" },
};
const KEPT = new Set(["baseline", "confirmed", "provisional", "simplification"]);
const NOISE_WIDTHS = 2; // half the height of the band, as in progress.png
const MOST_DOTS = 2500; // more lie on each other at this size; a zoom shows the ones left out
const KEEPS_ITS_VIEW = "zoomed by hand";
let shown = [], points = new Map(), cursor = null, range = null, drawing = false, dirty = null;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// What was compared in one slot is drawn at its gain over the incumbent there: scores of different times do not compare.
const level = (row) => row.level ?? row.score;
const small = () => byId("chart-frame").clientWidth < 560;

function axis(more) {
  return { color: colour("faint"), gridcolor: colour("grid"), linecolor: colour("faint"), zeroline: false, fixedrange: false, ...more };
}

export async function drawChart(state, show) {
  const section = byId("chart-section"), rows = [...state.rows.values()].filter((row) => row.mark).sort((a, b) => a.experiment - b.experiment);
  section.hidden = rows.length === 0 || !(window.Plotly || byId("library")); // the library may be on its way
  if (section.hidden) return;
  if (!window.Plotly || !state.status.scale) {
    byId("chart-words").textContent ||= "The chart is on its way …";
    return;
  }
  if (drawing) { dirty = state; return; } // the library draws one thing at a time
  drawing = true;
  try {
    await redraw(state, rows, show);
  } finally {
    drawing = false;
    if (dirty) { const next = dirty; dirty = null; drawChart(next, show); }
  }
}

async function redraw({ status }, rows, show) {
  const first = rows[0].experiment, last = rows[rows.length - 1].experiment, room = Math.max(0.6, 0.02 * (last - first));
  const scale = status.scale?.length === 2 ? status.scale : [0, 1];
  const bad = status.direction === "maximize" ? "low" : "high";
  const place = (row) => row.score === undefined || row.mark === "crashed" ? null : Math.min(Math.max(level(row), scale[0]), scale[1]);
  points = new Map(rows.map((row) => [row.experiment, { row, y: place(row) }]));
  const view = range || { x: [first - room, last + room], y: scale };
  const visible = thinned(rows, view, place);
  shown = rows;
  const traces = [...best(rows, status), ...Object.keys(KINDS).reverse().flatMap((kind) => dots(kind, visible, place, scale, range))];
  const layout = {
    autosize: true, margin: { l: small() ? 52 : 76, r: 14, t: 14, b: 40 }, hovermode: "closest", hoverdistance: 24,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", showlegend: false, uirevision: "kept",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: small() ? 11 : 13, color: colour("text") },
    xaxis: axis({ range: view.x, title: { text: "experiment" }, showgrid: false, anchor: "y2", tickformat: ",d", nticks: small() ? 5 : 9 }),
    yaxis: axis({ range: view.y, domain: [0.09, 1], title: small() ? undefined : { font: { size: 13 }, standoff: 10, text: plain(`${status.name}${status.unit ? `, ${status.unit}` : ""} (${status.direction === "maximize" ? "higher" : "lower"} is better)`) }, tickformat: `.${digits(view.y)}f`, nticks: 7 }),
    yaxis2: axis({ range: [-1, 1], domain: [0, 0.06], fixedrange: true, showgrid: false, showticklabels: false }),
    shapes: changes(rows),
  };
  const graph = byId("chart");
  await window.Plotly.react(graph, traces, layout, { displayModeBar: false, responsive: true, doubleClick: false, showTips: false });
  if (!graph.dataset.listens) listen(graph, show);
  tellWords(rows, status, bad, visible.length);
}

// As many decimals as tell the ticks of this stretch apart.
function digits([low, high]) {
  return Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(Math.abs(high - low) || 1))));
}

// The library reads a few tags in titles; a metric's name comes from a file that an agent may have written.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function best(rows, status) {
  const kept = rows.filter((row) => KEPT.has(row.mark) && row.score !== undefined);
  if (!kept.length) return [];
  const xs = [...kept.map((row) => row.experiment), Math.max(rows[rows.length - 1].experiment, kept[kept.length - 1].experiment) + 0.45];
  const ys = [...kept.map(level), level(kept[kept.length - 1])];
  const line = { x: xs, y: ys, mode: "lines", line: { shape: "hv", width: 2.5, color: colour("line") }, hoverinfo: "skip" };
  if (!status.noise_sd) return [line];
  const reach = NOISE_WIDTHS * status.noise_sd, edge = { mode: "lines", line: { shape: "hv", width: 0, color: colour("line") }, hoverinfo: "skip", x: xs };
  return [{ ...edge, y: ys.map((y) => y - reach) }, { ...edge, y: ys.map((y) => y + reach), fill: "tonexty", fillcolor: `${colour("line")}29` }, line];
}

function dots(kind, rows, place, scale, zoomed) {
  const { symbol, size } = KINDS[kind], ink = colour(kind), mine = rows.filter((row) => row.mark === kind);
  const marker = { symbol, size: size * (rows.length > 600 && !KEPT.has(kind) ? 0.75 : 1), color: ink, opacity: kind === "discarded" ? (rows.length > 400 ? 0.5 : 0.75) : 1,
    line: { width: symbol.endsWith("open") || symbol.endsWith("thin") ? 2 : 0, color: ink } };
  const trace = (chosen, more) => ({ mode: "markers", hoverinfo: "none", x: chosen.map((row) => row.experiment), customdata: chosen.map((row) => row.experiment), cliponaxis: Boolean(zoomed), ...more });
  const off = (row) => level(row) > scale[1] ? 1 : level(row) < scale[0] ? -1 : 0;
  const scored = mine.filter((row) => place(row) !== null), without = mine.filter((row) => place(row) === null);
  const beyond = (way, shape) => scored.filter((row) => off(row) === way).length
    ? [trace(scored.filter((row) => off(row) === way), { y: scored.filter((row) => off(row) === way).map(place), marker: { ...marker, symbol: shape, opacity: 0.85, line: { width: 0 } } })] : [];
  const inside = scored.filter((row) => off(row) === 0);
  return [...(inside.length ? [trace(inside, { y: inside.map(level), marker })] : []), ...beyond(1, "triangle-up"), ...beyond(-1, "triangle-down"),
    ...(without.length ? [trace(without, { y: without.map(() => 0), yaxis: "y2", marker: { ...marker, line: { ...marker.line, width: rows.length > 600 ? 1 : marker.line.width } } })] : [])];
}

// What lies on the same few pixels is drawn once; what was kept is always drawn.
function thinned(rows, view, place) {
  const inside = rows.filter((row) => row.experiment >= view.x[0] && row.experiment <= view.x[1]);
  if (inside.length <= MOST_DOTS) return inside;
  const frame = byId("chart-frame"), wide = frame.clientWidth, high = frame.clientHeight;
  for (let cell = 3; ; cell *= 1.4) {
    const taken = new Set();
    const chosen = inside.filter((row) => {
      if (KEPT.has(row.mark)) return true;
      const y = place(row);
      const across = Math.round((row.experiment - view.x[0]) / (view.x[1] - view.x[0]) * wide / cell);
      const key = `${row.mark} ${across} ${y === null ? "none" : Math.round((y - view.y[0]) / (view.y[1] - view.y[0]) * high / cell)}`;
      return taken.size < taken.add(key).size;
    });
    if (chosen.length <= MOST_DOTS || cell > 40) return chosen;
  }
}

function changes(rows) {
  const lines = [];
  for (const [field, dash] of [["machine", "dash"], ["program", "dot"]]) {
    let before = "";
    for (const row of rows) {
      const now = row[field] || "";
      if (now && before && now !== before) {
        lines.push({ type: "line", xref: "x", yref: "paper", y0: 0, y1: 1, x0: row.experiment - 0.5, x1: row.experiment - 0.5, layer: "below", line: { color: colour("faint"), width: 1, dash } });
      }
      before = now || before;
    }
  }
  return lines.slice(-40);
}

function tellWords(rows, status, bad, drawn) {
  const totals = status.totals || {}, counts = new Map();
  for (const row of rows) counts.set(row.mark, (counts.get(row.mark) || 0) + 1);
  const gain = totals.exam_gain ?? totals.honest_gain;
  byId("chart-words").textContent = [
    totals.best === undefined ? "" : `${status.name} ${number(totals.baseline)} → ${number(totals.best)}`,
    totals.claimed_gain === undefined ? "" : `claimed gain ${number(totals.claimed_gain)}, honest ${number(gain)} ${status.unit || ""}`.trim(),
    `${rows.length.toLocaleString("en")} experiments`,
    !range && drawn < rows.length ? `${drawn.toLocaleString("en")} marks drawn where dots lie on each other; zoom in for all` : "",
  ].filter(Boolean).join(" · ");
  const marks = Object.entries(KINDS).filter(([kind]) => counts.has(kind)).map(([kind, { words, sign }]) => {
    const ink = el("span", { "aria-hidden": "true" }, sign);
    ink.style.color = colour(kind); // through the object model, which the policy allows
    return el("li", {}, ink, `${words} ${counts.get(kind).toLocaleString("en")}`);
  });
  const lines = [["line", "━", "best so far"], ...(status.noise_sd ? [["line", "▒", "noise, 2 standard deviations"]] : []),
    ...(changes(rows).length ? [["faint", "┆", "machine (dashed) or program (dotted) changed"]] : [])];
  byId("legend").replaceChildren(...marks, ...lines.map(([name, sign, words]) => {
    const ink = el("span", { "aria-hidden": "true" }, sign);
    ink.style.color = colour(name);
    return el("li", {}, ink, words);
  }));
}

function listen(graph, show) {
  graph.dataset.listens = "yes";
  graph.on("plotly_hover", (event) => tip(event.points[0].customdata));
  graph.on("plotly_unhover", () => tip(null));
  graph.on("plotly_click", (event) => { tip(null); show(event.points[0].customdata); });
  graph.on("plotly_relayout", (change) => {
    if (drawing || change["xaxis.range[0]"] === undefined) return;
    const { xaxis, yaxis } = graph._fullLayout;
    range = { x: [...xaxis.range], y: [...yaxis.range], note: KEEPS_ITS_VIEW };
    tip(null);
    byId("whole").hidden = false;
    graph.dispatchEvent(new CustomEvent("view"));
  });
}

export function openChartKeys(state, show) {
  const frame = byId("chart-frame");
  const move = (to) => {
    if (!shown.length) return;
    cursor = Math.min(Math.max(to, 0), shown.length - 1);
    const { row } = points.get(shown[cursor].experiment);
    tip(row.experiment, true);
    byId("chart-said").textContent = `experiment ${row.experiment}, ${row.status}, ${row.score === undefined ? "no score" : `score ${number(row.score)}`}, ${row.description || ""}`;
  };
  frame.addEventListener("keydown", (event) => {
    const here = cursor ?? shown.length;
    const steps = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: shown.length - 1, PageUp: here - 25, PageDown: here + 25 };
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "Enter" && cursor !== null) show(shown[cursor].experiment);
    else if (event.key === "Escape") tip(null);
    else return;
    event.preventDefault();
  });
  frame.addEventListener("blur", () => { cursor = null; tip(null); });
  byId("whole").addEventListener("click", () => {
    range = null;
    byId("whole").hidden = true;
    drawChart(state, show);
  });
  byId("chart").addEventListener("view", () => drawChart(state, show));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawChart(state, show));
}

function tip(experiment, ringed = false) {
  const box = byId("tip"), ring = byId("ring"), point = experiment === null ? null : points.get(experiment);
  box.hidden = !point;
  ring.hidden = !point || !ringed;
  if (!point) return;
  const { row, y } = point, { xaxis, yaxis, yaxis2 } = byId("chart")._fullLayout;
  const left = xaxis._offset + xaxis.l2p(row.experiment);
  const top = y === null ? yaxis2._offset + yaxis2._length / 2 : yaxis._offset + yaxis.l2p(y);
  box.replaceChildren(
    el("b", {}, `#${row.experiment} ${row.description || ""}`), el("div", {}, outcome(row), row.score === undefined ? "" : ` · ${number(row.score)}`),
    row.change === undefined ? "" : el("div", {}, `gain ${number(row.change, true)}${row.noise_widths === undefined ? "" : ` · ${widths(row.noise_widths)}`}`),
    row.knobs ? el("div", { class: "faint" }, row.knobs) : "", row.reason ? el("div", { class: "faint" }, row.reason) : "");
  const frame = byId("chart-frame");
  ring.style.left = `${left}px`;
  ring.style.top = `${top}px`;
  box.style.left = `${Math.max(0, Math.min(left + 14, frame.clientWidth - box.offsetWidth))}px`;
  box.style.top = `${top + 18 + box.offsetHeight > frame.clientHeight ? Math.max(0, top - box.offsetHeight - 14) : top + 18}px`;
}

export function drawCurve(box, curve, live) {
  box.hidden = !window.Plotly || curve.length < 2;
  if (box.hidden) return;
  const trace = { x: curve.map((point) => point[0]), y: curve.map((point) => point[1]), mode: "lines", line: { color: colour("line"), width: 2 }, hoverinfo: live ? "skip" : "x+y" };
  const layout = { margin: { l: 48, r: 8, t: 6, b: live ? 22 : 36 }, showlegend: false, dragmode: false, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 11, color: colour("text") }, xaxis: axis({ title: live ? undefined : { text: "step" }, nticks: 5, showgrid: false, fixedrange: true }),
    yaxis: axis({ nticks: live ? 3 : 5, fixedrange: true }) };
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `training loss from ${curve[0][1]} to ${curve[curve.length - 1][1]}`);
  window.Plotly.react(box, [trace], layout, { displayModeBar: false, responsive: true, showTips: false, staticPlot: live });
}
