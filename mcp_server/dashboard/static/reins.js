// The panel that acts: pause, veto, notes and ideas. Every wish is a POST with the page's own token; what came of it is said.

import { byId, el, when } from "./dom.js";

const token = document.querySelector("meta[name=page-token]")?.content || "";

export async function wish(campaign, asked) {
  const line = byId("reins-said");
  line.textContent = "…";
  line.className = "faint";
  try {
    const answer = await fetch(`reins?${new URLSearchParams({ campaign })}`, { method: "POST",
      headers: { "Content-Type": "application/json", "X-Autoresearch-Page": token }, body: JSON.stringify(asked) });
    const told = await answer.json().catch(() => ({ error: `The dashboard answered ${answer.status}.` }));
    line.textContent = told.done || told.error;
    line.className = answer.ok ? "" : "problem";
    return answer.ok;
  } catch (error) {
    line.textContent = "No connection: nothing was done.";
    line.className = "problem";
    return false;
  }
}

export function openReins(state) {
  const act = (asked) => wish(state.campaign, asked);
  byId("pause").addEventListener("click", () => act({ verb: state.reins.paused ? "resume" : "pause", text: "" }));
  byId("veto").addEventListener("click", () => {
    if ((state.reins.vetoes || []).length) act({ verb: "withdraw" });
    else act({ verb: "veto", text: byId("veto-why").value }).then((well) => { if (well) byId("veto-why").value = ""; });
  });
  for (const [form, field, verb] of [["note-form", "note", "note"], ["idea-form", "idea", "idea"]]) {
    byId(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      const asked = { verb, text: byId(field).value };
      if (verb === "idea") asked.priority = Number(byId("idea-priority").value) || 0;
      if (await act(asked)) byId(field).value = "";
    });
  }
}

export function drawReins(state) {
  const { reins, status } = state;
  byId("reins-panel").hidden = !status.campaign;
  byId("pause").textContent = reins.paused ? "Resume" : "Pause";
  byId("paused").textContent = reins.paused ? `${reins.paused}.` : "";
  byId("paused").hidden = !reins.paused;
  const vetoes = reins.vetoes || [];
  byId("veto").textContent = vetoes.length ? "Withdraw the veto" : "Veto the next keep";
  byId("veto-why").hidden = vetoes.length > 0;
  byId("vetoes").replaceChildren(...vetoes.map((one) => el("li", {},
    `${one.experiment ? `A keep of experiment ${one.experiment}` : "The next keep"} is vetoed${one.reason ? `: ${one.reason}` : "."}`)));
  byId("notes-left").replaceChildren(...(reins.notes || []).slice(-5).reverse().map((one) => el("li", {}, one.text,
    el("small", { class: one.delivered_at ? "delivered" : "" }, one.delivered_at
      ? `✓ delivered to ${one.delivered_to}, ${when(one.delivered_at)}` : "… waits for the agent's next reply"))));
  const ideas = reins.ideas || [];
  byId("ideas").replaceChildren(...ideas.map((one) => idea(one, state)));
  const waiting = ideas.filter((one) => one.state === "open" || one.state === "pinned").length;
  byId("ideas-words").textContent = ideas.length ? `${waiting} waiting` : "None yet: agents and you may add some.";
}

function idea(one, state) {
  const button = (verb, words) => el("button", { type: "button", "aria-label": `${words} idea ${one.idea}`,
    onclick: () => wish(state.campaign, { verb, number: one.idea }) }, words);
  const verbs = { open: [["pin", "pin"], ["park", "park"]], pinned: [["open", "unpin"], ["park", "park"]], parked: [["open", "take up"], ["drop", "drop"]] };
  const about = [one.state === "tried" ? "" : one.state, one.priority ? `priority ${one.priority}` : "", `by ${one.source === "agent" ? "an agent" : "a person"}`, when(one.at)];
  return el("li", { class: one.state, "data-idea": one.idea }, el("b", {}, `${one.idea}  `), one.text,
    el("small", {}, one.experiment ? el("a", { href: `#experiment-${one.experiment}` }, `tried as ${one.experiment}`) : "",
      `${one.experiment ? " · " : ""}${about.filter(Boolean).join(" · ")}`),
    el("span", { class: "row" }, ...(verbs[one.state] || []).map(([verb, words]) => button(verb, words))));
}
