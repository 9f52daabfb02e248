// Running calls as the desk tells of them: a card each, its text growing as it comes.
const box = document.querySelector("[data-live]"), quiet = box.querySelector(".quiet-now"), state = document.querySelector("[data-state]");
const cards = new Map([...box.querySelectorAll("[data-id]")].map((c) => [c.dataset.id, c]));
const MOST = 40;
const make = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text != null) e.textContent = text; return e; };
const spelled = (s) => s.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u061c\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const size = (n) => n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toPrecision(3)} KB` : `${(n / 1e6).toPrecision(3)} MB`;
const secs = (s) => s == null ? "" : s < 1 ? `${Math.round(s * 1000)} ms` : s < 10 ? `${s.toFixed(1)} s` : `${Math.round(s)} s`;
const tone = (e) => e === "completed" ? "ok" : ["caller_left", "stopped", "upload_incomplete"].includes(e) ? "warn" : "bad";

function card(call) {
  let c = cards.get(call.id);
  if (!c) {
    c = make("article", "card call");
    c.dataset.id = call.id;
    box.prepend(c);
    cards.set(call.id, c);
    for (const [id, old] of cards) { if (cards.size <= MOST) break; old.remove(); cards.delete(id); }
  }
  return c;
}

function draw(call) {
  if (call.state === "unreadable") return;
  const c = card(call), body = c.querySelector(".body"), atEnd = !body || body.scrollHeight - body.scrollTop - body.clientHeight < 40;
  c.className = `card call ${call.state}`;
  c.dataset.began = call.created_at;
  const head = make("div", "head"), h = make("h2"), a = make("a", "", spelled(call.input).slice(0, 160) || call.path || call.kind);
  a.href = `/tasks/${encodeURIComponent(call.task_id)}`;
  h.append(a);
  const facts = [call.model || call.kind, call.user_id, call.pieces > 1 ? `${call.pieces} pieces` : null, call.bytes ? size(call.bytes) : null].filter(Boolean).map(spelled).join(" · ");
  const badge = call.ending ? make("span", `ending ${tone(call.ending)}`) : make("span", "badge ok");
  badge.append(make(call.ending ? "i" : "span", call.ending ? "" : "pulse"), call.ending ? call.ending.replaceAll("_", " ") : call.state);
  const clock = make("span", "note num clock", call.seconds == null ? "" : secs(call.seconds));
  head.append(h, make("span", "note", facts), clock, badge);
  const text = make("div", "body plain", (call.characters > call.text.length ? "…" : "") + spelled(call.text));
  text.dir = "auto"; text.tabIndex = 0;
  c.replaceChildren(head, text);
  if (atEnd) text.scrollTop = text.scrollHeight;
}

setInterval(() => {
  for (const c of box.querySelectorAll(".call:not(.ended)")) {
    const clock = c.querySelector(".clock");
    if (clock && c.dataset.began) clock.textContent = secs(Math.max(0, Date.now() * 1000 - c.dataset.began) / 1e6);
  }
}, 100);

const source = new EventSource(box.dataset.events);
source.onopen = () => { state.textContent = "listening"; };
source.onerror = () => { state.textContent = "the desk is away; trying again"; };
source.onmessage = (e) => {
  for (const call of JSON.parse(e.data)) draw(call);
  quiet.hidden = cards.size > 0;
  const running = box.querySelectorAll(".call:not(.ended)").length;
  state.textContent = running ? `${running} running` : "listening";
};
