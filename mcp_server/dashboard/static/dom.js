// Elements and numbers. Text from agents and runs only ever becomes text nodes: there is no markup from strings here.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const byId = (id) => document.getElementById(id);

export function facts(list, pairs) {
  list.replaceChildren(
    ...pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
      .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
  return list;
}

export function number(value, sign = false) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  let text;
  if (Number.isInteger(size) && size < 1e6) text = size.toLocaleString("en");
  else if (size >= 1e6 || size < 1e-5) text = size.toExponential(3);
  else if (size >= 1000) text = Math.round(size).toLocaleString("en");
  else if (size >= 100) text = size.toFixed(2);
  else text = size.toFixed(size >= 0.1 || size < 0.001 ? 6 : 5).replace(/0+$/, "").replace(/\.$/, "");
  return (value < 0 ? "−" : sign && value > 0 ? "+" : "") + text;
}

export function seconds(value) {
  if (value === undefined || value === null) return "–";
  if (value < 100) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${(value / 3600).toFixed(1)} h` : `${(value / 86400).toFixed(1)} days`;
}

export function when(stamp) {
  const at = stamp ? new Date(stamp) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "";
}

export function day(stamp) {
  const at = stamp ? new Date(stamp) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }) : "";
}

export function outcome(row) {
  const words = row.status === "kept" && row.label && row.label !== "kept" ? `kept, ${row.label}` : row.status;
  return el("span", { class: `mark ${row.status}` }, words);
}

export function widths(value) {
  return value === undefined || value === null ? "" : `${number(Math.abs(Number(value.toFixed(2))))} noise widths`;
}

export function diff(text) {
  const box = el("pre", { class: "diff", tabindex: "0", role: "region", "aria-label": "changes" });
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const kind = /^(\+\+\+|---|diff |index )/.test(line) ? "file"
      : line.startsWith("@@") ? "place" : line[0] === "+" ? "added" : line[0] === "-" ? "removed" : "";
    box.append(el("span", { class: kind }, line || " "));
  }
  return box;
}

export function command(text, words) {
  const button = el("button", { type: "button", "aria-label": `Copy the command: ${words}` }, "Copy");
  const shown = el("pre", { tabindex: "0" }, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(shown); // no clipboard without a permission: select it instead
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return el("div", {}, el("span", { class: "faint" }, words), el("div", { class: "command" }, shown, button));
}
