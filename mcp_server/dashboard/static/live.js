// The stream of news: one event per part that changed. The browser reconnects by itself and names what it heard last.

const LOST_AFTER = 4000; // milliseconds without a connection before the page says so

export function listen(address, names, hear, tell) {
  const source = new EventSource(address);
  let lost = null;
  source.addEventListener("open", () => {
    clearTimeout(lost);
    lost = null;
    tell("live", "live");
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(lost);
      tell("lost", "refused: open the link that `autoresearch dashboard` prints");
    } else if (lost === null) {
      tell("waiting", "reconnecting …");
      lost = setTimeout(() => tell("lost", "no connection; the page goes on when the dashboard is back"), LOST_AFTER);
    }
  });
  for (const name of names) {
    source.addEventListener(name, (event) => hear(name, JSON.parse(event.data)));
  }
  source.addEventListener("heard", () => hear("heard", null));
  return () => { clearTimeout(lost); source.close(); };
}

export async function fetched(path, campaign, asked = {}) {
  const answer = await fetch(`${path}?${new URLSearchParams({ campaign, ...asked })}`, { headers: { Accept: "application/json" } });
  const told = await answer.json().catch(() => ({ error: `The dashboard answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(told.error || `The dashboard answered ${answer.status}.`);
  return told;
}
