// The community: labs, what was tried, claims, the line of the best, and results a page at a time. Words of other labs
// are strangers' words: text nodes in quotes, like everything else on this page never markup.

import { byId, day, el, number, outcome, when, widths } from "./dom.js";
import { fetched } from "./live.js";

const PAGE = 25, FEW_LABS = 12, FEW_CLAIMS = 8, FEW_POSTS = 6;
const WAYS = ["down", "up", "off", "on", "other"];
const KINDS = { helped: ["●", "helped"], seldom: ["◐", "helped less than once in ten"], dead: ["✕", "three or more tried, none helped"],
  open: ["○", "tried, too few to tell"], failed: ["!", "ended without a score"] };
const COLUMNS = [["attempt"], ["outcome"], ["gain", "number"], ["what it changed"], ["machine", "rare"], ["when", "rare"]];
const view = { map: 0, constant: "", labs: false, claims: false, posts: false };
const asked = { q: "", lab: "", status: "", constant: "", way: "", first: 0 };
let asking = 0;

export function openCommunity(state) {
  byId("results").tHead.rows[0].append(...COLUMNS.map(([words, kind]) => el("th", { scope: "col", class: kind || "" }, words)));
  byId("map-legend").append(...Object.entries(KINDS).map(([kind, [sign, words]]) =>
    el("li", {}, el("span", { class: `cell ${kind}`, "aria-hidden": "true" }, sign), words)));
  byId("map-search").addEventListener("input", (event) => { view.constant = event.target.value.toLowerCase(); view.map = 0; drawMap(state); });
  turns("map-pager", (step) => { view.map += step; drawMap(state); });
  turns("results-pager", (step) => { asked.first += step * PAGE; drawResults(state); });
  for (const [id, name] of [["results-search", "q"], ["results-lab", "lab"], ["results-status", "status"]]) {
    byId(id).addEventListener("input", (event) => { asked[name] = event.target.value; asked.first = 0; drawResults(state); });
  }
  byId("results-cell").addEventListener("click", () => pick(state, "", ""));
  byId("more-labs").addEventListener("click", () => { view.labs = true; drawLabs(state.community); });
  byId("more-posts").addEventListener("click", () => { view.posts = true; drawBoard(state.community); });
  byId("more-claims").addEventListener("click", () => { view.claims = true; drawClaims(state.community); });
  byId("graph-link").href = `community/graph.svg?campaign=${encodeURIComponent(state.campaign)}`;
}

function turns(id, turned) {
  for (const button of byId(id).querySelectorAll("button")) button.addEventListener("click", () => turned(Number(button.dataset.step)));
}

function drawPager(id, first, shown, total) {
  const [back, place, forth] = byId(id).children;
  byId(id).hidden = total <= PAGE;
  place.textContent = `${(first + 1).toLocaleString("en")} to ${(first + shown).toLocaleString("en")} of ${total.toLocaleString("en")}`;
  back.disabled = first === 0;
  forth.disabled = first + shown >= total;
}

export function drawCommunity(state) {
  const { community } = state, standing = community.standing || {};
  const count = (standing.labs || []).length;
  byId("labs-count").hidden = !count;
  byId("labs-count").textContent = `${count} lab${count === 1 ? "" : "s"}`;
  if (byId("community-view").hidden) return;
  drawExchange(community, standing);
  drawBoard(community);
  drawLabs(community);
  drawMap(state);
  drawClaims(community);
  drawLine(community);
  fillMenus(community);
  drawResults(state);
}

function drawExchange(community, standing) {
  byId("exchange").textContent = community.problem || (standing.joined
    ? [`joined ${standing.joined}`, standing.name ? `as ${standing.name}` : "", standing.exchange ? `exchange ${standing.exchange}` : "",
      `${(standing.attempts || 0).toLocaleString("en")} attempts known`].filter(Boolean).join(" · ")
    : standing.next || "This lab has joined no community. `autoresearch community join FOLDER` or URL does.");
  const said = [standing.trouble, ...(standing.problems || [])].filter(Boolean);
  byId("exchange-problems").replaceChildren(...(said.length
    ? [el("details", {}, el("summary", {}, `${said.length} thing${said.length === 1 ? "" : "s"} to know about the exchange`),
      el("ul", {}, ...said.map((words) => el("li", {}, words))))] : []));
}

function whose({ names = {} }, lab) {
  return names[lab] || lab;
}

function drawLabs(community) {
  const labs = community.standing?.labs || [], shown = view.labs ? labs : labs.slice(0, FEW_LABS);
  byId("labs").replaceChildren(...shown.map((lab) => el("li", {},
    el("b", { class: lab.name && lab.role !== "own" ? "stranger" : "" }, lab.name || lab.lab), " ",
    el("span", { class: "tag" }, lab.role === "own" ? "this lab" : lab.role),
    lab.forked ? el("span", { class: "tag refuted" }, "forked") : "",
    el("small", {}, [lab.lab, `${(lab.attempts || 0).toLocaleString("en")} attempts`, community.records?.[lab.lab], lab.fresh ? `new ${when(lab.fresh)}` : ""].filter(Boolean).join(" · ")),
    lab.held_back?.length ? el("small", {}, `held back: ${lab.held_back.join("; ")}`) : "")));
  if (!labs.length) byId("labs").replaceChildren(el("li", { class: "faint" }, "No lab is known yet."));
  more("more-labs", labs.length, shown.length);
}

function more(id, all, shown) {
  byId(id).hidden = shown >= all;
  byId(id).textContent = `Show all ${all}`;
}

function drawBoard(community) {
  const posts = community.board?.posts || [], shown = view.posts ? posts : posts.slice(0, FEW_POSTS);
  byId("board").replaceChildren(...shown.map((post) => el("li", { class: post.depth ? "answer" : "" },
    el("span", { class: post.own ? "" : "stranger" }, post.text), " ",
    post.sort && post.sort !== "post" ? el("span", { class: "tag" }, post.sort) : "", post.unread ? el("span", { class: "tag" }, "new") : "",
    el("small", {}, [post.own ? "this lab" : post.name || post.lab, post.post || "waits for the next exchange", day(post.at)].filter(Boolean).join(" · ")),
    ...(post.about || []).map((cited) => el("small", {}, `about ${cited}`)))));
  if (!posts.length) byId("board").replaceChildren(el("li", { class: "faint" }, "Nobody said anything yet."));
  more("more-posts", posts.length, shown.length);
}

function drawMap(state) {
  const all = state.community.map || [], rows = all.filter((row) => row.name.toLowerCase().includes(view.constant));
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  view.map = Math.min(Math.max(view.map, 0), pages - 1);
  const shown = rows.slice(view.map * PAGE, view.map * PAGE + PAGE);
  const ways = WAYS.filter((way) => all.some((row) => (row.cells || []).some((one) => one.way === way)));
  byId("map").tHead.rows[0].replaceChildren(...["constant", ...ways].map((words) => el("th", { scope: "col" }, words)));
  byId("map").tBodies[0].replaceChildren(...shown.map((row) => el("tr", {},
    el("th", { scope: "row" }, el("code", {}, row.name), row.cells ? "" : el("span", { class: "faint" }, " untouched")),
    ...ways.map((way) => el("td", {}, cell(state, row, (row.cells || []).find((one) => one.way === way)))))));
  if (!rows.length) byId("map").tBodies[0].replaceChildren(el("tr", {}, el("td", { colspan: 6, class: "faint" }, "Nothing was tried yet.")));
  drawPager("map-pager", view.map * PAGE, shown.length, rows.length);
}

function cell(state, row, found) {
  if (!found) return "";
  const tried = (found.tried || 0) + (found.failed || 0), [sign] = KINDS[found.kind];
  const words = `${row.name} ${found.way}: ${found.helped || 0} of ${tried} helped, ${found.labs} lab${found.labs === 1 ? "" : "s"}`;
  return el("button", { type: "button", class: `cell ${found.kind}`, title: found.words, "aria-label": words,
    onclick: () => { pick(state, row.name, found.way); byId("results-section").focus(); } }, `${sign} ${found.helped || 0}/${tried}`);
}

function pick(state, constant, way) {
  Object.assign(asked, { constant, way, first: 0 });
  byId("results-cell").hidden = !constant;
  byId("results-cell").textContent = `${constant} ${way}: show all instead`;
  drawResults(state);
}

function drawClaims(community) {
  const claims = community.claims || [], shown = view.claims ? claims : claims.slice(0, FEW_CLAIMS);
  byId("claims-words").textContent = claims.length ? "Gains that labs tell of. Until another lab has repeated one it is a claim." : "No lab claims a gain yet.";
  byId("claims").replaceChildren(...shown.map((claim) => el("li", {},
    el("b", {}, number(claim.gain, true)), " ", el("span", { class: `tag ${claim.status}` }, claim.status), " ",
    el("span", { class: "stranger" }, claim.text || "no words"),
    el("small", {}, [`${claim.name} of ${whose(community, claim.lab)}`, claim.widths === undefined ? "" : widths(claim.widths), claim.record, claim.machine,
      day(claim.at)].filter(Boolean).join(" · ")))));
  more("more-claims", claims.length, shown.length);
}

function drawLine(community) {
  const line = community.line || [], last = line[line.length - 1];
  byId("line-words").textContent = !last ? "Nothing was kept yet."
    : `${number(last.gathered, true)} gathered in ${line.length + (community.earlier || 0) - 1} steps; each was measured beside the one before it, and scores of different machines are not compared.`;
  byId("line").replaceChildren(...line.slice().reverse().map((step) => el("li", { class: step.own ? "own" : "" },
    step.gain === undefined ? "" : el("b", {}, `${number(step.gain, true)} `), el("span", { class: "stranger" }, step.text || step.role),
    el("small", {}, [`${step.name} of ${step.own ? "this lab" : whose(community, step.lab)}`, step.adopted?.length ? `adopted from ${step.adopted.join(" and ")}` : "",
      step.machine, day(step.at)].filter(Boolean).join(" · ")))));
  byId("graph-link").hidden = !last;
}

function fillMenus(community) {
  const statuses = Object.entries(community.statuses || {}).map(([name, count]) => [name, `${name} (${count.toLocaleString("en")})`]);
  fill("results-status", asked.status, statuses);
  fill("results-lab", asked.lab, (community.standing?.labs || []).map((lab) => [lab.lab, lab.role === "own" ? "this lab" : whose(community, lab.lab)]));
}

function fill(id, chosen, options) {
  const words = JSON.stringify(options);
  if (byId(id).dataset.words === words) return; // a menu that is open must not close under the hand
  byId(id).dataset.words = words;
  byId(id).replaceChildren(...[["", "all"], ...options].map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

async function drawResults(state) {
  const turn = ++asking;
  asked.first = Math.max(0, asked.first);
  const found = await fetched("community/results", state.campaign, asked).catch((error) => ({ problem: error.message }));
  if (turn !== asking) return; // asked again meanwhile
  const { results = [], total = 0, first = 0, problem } = found;
  byId("results-found").textContent = problem || `${total.toLocaleString("en")} result${total === 1 ? "" : "s"}`;
  byId("results").tBodies[0].replaceChildren(...results.map((one) => rowOf(state.community, one)));
  drawPager("results-pager", first, results.length, total);
}

function rowOf(community, one) {
  const gain = one.gain === undefined ? "" : one.gain > 0 ? "gain" : one.gain < 0 ? "loss" : "";
  const about = [one.moved, one.reason, one.adopted ? `repeats ${one.adopted}` : ""].filter(Boolean).join(" · ");
  return el("tr", {},
    el("td", {}, el("code", {}, one.name), el("div", { class: "faint" }, one.own ? "this lab" : whose(community, one.lab))),
    el("td", {}, outcome(one)),
    el("td", { class: `number change ${gain}` }, one.gain === undefined ? "" : number(one.gain, true), one.widths === undefined ? "" : el("div", { class: "faint" }, `${Math.abs(one.widths).toFixed(1)} widths`)),
    el("td", { class: "words" }, el("span", { class: one.own ? "" : "stranger" }, one.text || "no words"), about ? el("div", { class: "faint" }, about) : null,
      one.lesson ? el("div", {}, "learned: ", el("span", { class: one.own ? "" : "stranger" }, one.lesson)) : null),
    el("td", { class: "rare faint" }, one.machine || ""), el("td", { class: "rare faint date" }, day(one.at)));
}
