// Plots that are there already can be explored: a crosshair with the values, series to switch off, a span to zoom into by dragging.
const NS = "http://www.w3.org/2000/svg";
const tip = document.createElement("div");
tip.className = "tip"; tip.hidden = true; tip.setAttribute("role", "status");
document.body.append(tip);

function show(figure, lines, x, y) {
  tip.replaceChildren();
  const head = document.createElement("b");
  head.textContent = lines[0];
  tip.append(head);
  const named = [...figure.querySelectorAll(".legend [data-series] i")];
  lines.slice(1).forEach((line, n) => {
    const row = document.createElement("div"), [, name, value] = /^(.*): (.*)$/s.exec(line) ?? [null, "", line], left = document.createElement("span"), right = document.createElement("span");
    if (named[n] && name) { const dot = document.createElement("i"); dot.className = named[n].className; left.append(dot); }
    left.append(name); right.textContent = value; row.append(left, right); tip.append(row);
  });
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), wide = document.documentElement.clientWidth;
  const left = x + 16 + box.width > wide ? x - box.width - 16 : x + 16;
  tip.style.left = `${Math.max(4, left) + scrollX}px`;
  tip.style.top = `${Math.max(4, y - box.height / 2) + scrollY}px`;
}

for (const figure of document.querySelectorAll("figure[data-plot]")) {
  const svg = figure.querySelector("svg"), hits = [...figure.querySelectorAll(".hit")], cells = hits.length ? hits : [...figure.querySelectorAll("rect:has(title)")];
  if (!cells.length) continue;
  const lines = cells.map((c) => { const t = c.querySelector("title"), text = t.textContent.split("\n"); t.remove(); return text; });
  let cross = null, at = -1, from = -1;
  if (hits.length) {
    cross = document.createElementNS(NS, "line");
    cross.setAttribute("class", "cross"); cross.setAttribute("y1", "0"); cross.setAttribute("y2", hits[0].getAttribute("height")); cross.style.display = "none";
    svg.append(cross);
  }
  const place = (n, x, y) => {
    at = n;
    if (cross) { const mid = parseFloat(cells[n].getAttribute("x")) + parseFloat(cells[n].getAttribute("width")) / 2; cross.setAttribute("x1", `${mid}%`); cross.setAttribute("x2", `${mid}%`); cross.style.display = ""; }
    const box = cells[n].getBoundingClientRect();
    show(figure, lines[n], x ?? box.left + box.width / 2, y ?? box.top + box.height / 2);
    cells.forEach((c, k) => c.classList.toggle("sel", from >= 0 && k >= Math.min(from, n) && k <= Math.max(from, n)));
  };
  const away = () => { tip.hidden = true; if (cross) cross.style.display = "none"; at = -1; };
  svg.addEventListener("pointermove", (e) => { const n = cells.indexOf(e.target); if (n >= 0) place(n, e.clientX, e.clientY); });
  svg.addEventListener("pointerleave", () => { away(); from = -1; cells.forEach((c) => c.classList.remove("sel")); });
  svg.addEventListener("pointerdown", (e) => { const n = cells.indexOf(e.target); if (n >= 0 && cells[n].dataset.since && e.pointerType === "mouse") { from = n; e.preventDefault(); } });
  svg.addEventListener("pointerup", (e) => {
    const n = cells.indexOf(e.target), first = Math.min(from, n), last = Math.max(from, n);
    if (from >= 0 && n >= 0 && from !== n) zoom(cells[first].dataset.since, cells[last].dataset.until);
    from = -1;
  });
  svg.addEventListener("dblclick", (e) => { const n = cells.indexOf(e.target); if (n >= 0 && cells[n].dataset.since) zoom(cells[n].dataset.since, cells[n].dataset.until); });
  figure.tabIndex = 0;
  figure.addEventListener("blur", away);
  figure.addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (by) { e.preventDefault(); place(Math.max(0, Math.min(cells.length - 1, at < 0 ? (by > 0 ? 0 : cells.length - 1) : at + by))); }
    if (e.key === "Escape") away();
    if (e.key === "Enter" && at >= 0 && cells[at].dataset.since) zoom(cells[at].dataset.since, cells[at].dataset.until);
  });
  for (const item of figure.querySelectorAll(".legend span[data-series]")) {
    const button = document.createElement("button");
    button.type = "button"; button.append(...item.childNodes); button.setAttribute("aria-pressed", "true"); button.dataset.series = item.dataset.series;
    button.onclick = () => {
      const off = button.classList.toggle("off");
      button.setAttribute("aria-pressed", String(!off));
      for (const e of svg.querySelectorAll(`[data-series="${button.dataset.series}"]`)) e.style.display = off ? "none" : "";
    };
    item.replaceWith(button);
  }
}

function zoom(since, until) {
  const to = new URL(location.href);
  to.searchParams.delete("period"); to.searchParams.delete("cursor");
  to.searchParams.set("from", since); to.searchParams.set("to", until);
  location.href = to;
}
