// What pages can do beyond being read. Everything here is a comfort: each page is whole without it.
const $ = (s, at = document) => at.querySelector(s), $$ = (s, at = document) => [...at.querySelectorAll(s)];

// --- times in the reader's own zone
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
for (const t of $$("time[datetime]")) {
  const at = new Date(t.dateTime);
  if (isNaN(at)) continue;
  t.title = `${long.format(at)} (${t.dateTime})`;
  if (/^\d+ [A-Z][a-z]{2}, \d/.test(t.textContent)) t.textContent = short.format(at);
}

// --- light and dark
const root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const turn = () => { root.dataset.theme = dark() ? "light" : "dark"; document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`; };
for (const b of $$("[data-theme-switch]")) { b.hidden = false; b.onclick = turn; }

// --- keyboard
const keys = $("#keys");
for (const b of $$("[data-help]")) { b.hidden = false; b.onclick = () => keys.showModal(); }
const rows = () => $$("[data-row], .list tbody tr");
let at = -1, went = 0;
function move(by) {
  const all = rows();
  if (!all.length) return;
  all[at]?.classList.remove("at");
  at = Math.max(0, Math.min(all.length - 1, at + by));
  all[at].classList.add("at");
  all[at].scrollIntoView({ block: "nearest" });
  $("a.main", all[at])?.focus({ preventScroll: true });
}
const places = { o: "/", t: "/tasks", s: "/sessions", u: "/users", i: "/insights", l: "/live", h: "/status" };
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
  if (e.key === "Escape") { for (const m of $$("details.menu[open]")) { m.open = false; $("summary", m).focus(); } if (e.target.matches?.("[data-search]")) e.target.blur(); return; }
  if (e.target.matches?.("input, select, textarea, [contenteditable]") || keys?.open) return;
  if (Date.now() - went < 1200 && places[e.key]) { location.href = places[e.key]; return; }
  went = 0;
  const acts = {
    "/": () => { const s = $("[data-search]"); if (s) { s.focus(); s.select(); } else location.href = "/tasks"; },
    j: () => move(1), k: () => move(-1), "?": () => keys.showModal(), t: turn, g: () => { went = Date.now(); },
    n: () => $("[rel=next]")?.click(), p: () => $("[rel=first]")?.click(),
    e: () => { const all = $$("main details:not(.menu)"), open = all.some((d) => !d.open); for (const d of all) d.open = open; },
  };
  if (acts[e.key]) { e.preventDefault(); acts[e.key](); }
});
addEventListener("click", (e) => { for (const m of $$("details.menu[open]")) if (!m.contains(e.target)) m.open = false; });

// --- copy
for (const b of $$("[data-copy-from]")) {
  b.hidden = false;
  b.onclick = async (e) => {
    e.preventDefault();
    const text = await (await fetch(b.dataset.copyFrom)).text();
    try { await navigator.clipboard.writeText(text); } catch { return void (b.href && (location.href = b.href)); }
    const label = $("span", b) ?? b, before = label.textContent;
    label.textContent = "Copied"; setTimeout(() => { label.textContent = before; }, 1400);
  };
}

// --- a button that takes its time says so
for (const b of $$("[data-busy]")) b.form.addEventListener("submit", () => { b.textContent = b.dataset.busy; b.setAttribute("aria-busy", "true"); setTimeout(() => { b.disabled = true; }); });

// --- a question before what cannot be undone
for (const f of $$("form[data-ask]")) f.addEventListener("submit", (e) => { if (!confirm(f.dataset.ask)) e.preventDefault(); });

if ($("figure[data-plot]")) import(root.dataset.plots);
if ($("[data-live]")) import($("[data-live]").dataset.script);
