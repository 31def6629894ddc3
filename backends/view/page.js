"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const VIEWS = ["now", "flows", "ended", "health", "flow"];
const MOST_ROWS = 10000;

/* Text ------------------------------------------------------------------------------------------------------------ */

// What comes from outside is text: it is only ever assigned to textContent, with its control characters and those that
// change the direction of text made visible.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const visible = (text) => String(text).replace(HIDDEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "text") made.textContent = visible(value);
    else if (key === "className") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
function setText(node, text) {
  const shown = visible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

const UNITS = ["", "k", "M", "G", "T", "P", "E"];
function scaled(value, unit) {
  if (value === null || value === undefined) return "–";
  let step = 0;
  while (value >= 999.5 && step < UNITS.length - 1) { value /= 1000; ++step; }
  const digits = step === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(digits) + " " + UNITS[step] + unit;
}
const bytes = (value) => scaled(value, "B");
const bits = (value) => value === null || value === undefined ? "–" : scaled(value * 8, "b/s");
const count = (value) => value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
function duration(ms) {
  if (!(ms >= 0)) return "–";
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + String(s % 60).padStart(2, "0") + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + String(Math.floor(s / 60) % 60).padStart(2, "0") + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s / 3600) % 24 + " h";
}
const two = (n) => String(n).padStart(2, "0");
function clock(ms, seconds = true) {
  const d = new Date(ms);
  return two(d.getHours()) + ":" + two(d.getMinutes()) + (seconds ? ":" + two(d.getSeconds()) : "");
}
function dateTime(ms) {
  if (!ms) return "–";
  const d = new Date(ms);
  return d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate()) + " " + clock(ms);
}
const endpoint = (address, port) => (address.includes(":") ? "[" + address + "]" : address) + ":" + port;
function tagName(experiment, activity, experimentName, activityName) {
  if (experiment === 0xffffffff && activity === 0xffffffff) return "all others";
  const known = activityName || (experiment === 0 && activity === 0);
  return (experimentName || experiment) + " / " + (activityName || activity) + (known ? "" : " (unregistered)");
}

/* State: in the fragment of the address, never a secret ------------------------------------------------------------ */

const state = { view: "now", parameters: new URLSearchParams() };
function readState() {
  const [view, query] = location.hash.slice(1).split("?", 2);
  state.view = VIEWS.includes(view) ? view : "now";
  state.parameters = new URLSearchParams(query || "");
}
function setParameter(name, value) {
  if (value) state.parameters.set(name, value); else state.parameters.delete(name);
  const query = state.parameters.toString();
  history.replaceState(null, "", "#" + state.view + (query ? "?" + query : ""));
}

/* The server ------------------------------------------------------------------------------------------------------- */

const needsToken = document.documentElement.dataset.token === "required";
let token = sessionStorage.getItem("flowd.token") || "";
class Refused extends Error {
  constructor(status, detail, hint) { super(detail); this.status = status; this.hint = hint; }
}
async function ask(path, parameters, signal) {
  const query = new URLSearchParams(parameters).toString();
  const headers = token ? { Authorization: "Bearer " + token } : {};
  // With the password that a reverse proxy has asked for.
  const response = await fetch(path + (query ? "?" + query : ""), { headers, signal, cache: "no-store", redirect: "error" });
  if (response.ok) return response;
  let said = {};
  try { said = await response.json(); } catch { /* the status says enough */ }
  if (response.status === 401) forgetToken("The server does not accept this token.");
  throw new Refused(response.status, said.detail || said.error || response.statusText, said.hint || "");
}
const answer = async (path, parameters, signal) => (await ask(path, parameters, signal)).json();

function forgetToken(why) {
  token = "";
  sessionStorage.removeItem("flowd.token");
  notice(why);
  show();
}
function notice(text) {
  $("notice").hidden = !text;
  setText($("notice"), text || "");
}
function say(text) { setText($("live"), text); }

const link = $("link");
function setLink(now, text) {
  if (link.dataset.state === now && $("link-text").textContent === text) return;
  if (link.dataset.state !== now && (now === "lost" || link.dataset.state === "lost"))
    say(now === "lost" ? "The connection to the daemon is lost." : now === "live" ? "Connected again." : "");
  link.dataset.state = now;
  setText($("link-text"), text);
}

/* The stream: one for the page, opened again with the parameters of the view --------------------------------------- */

const stream = { control: null, key: null, retry: 500, timer: 0 };
const orderOf = (sort) => ({ age: "new", "-age": "old", "-start": "new", start: "old" })[sort] ||
  (/rate/.test(sort) ? "rate" : /bytes|sent|received/.test(sort) ? "bytes" : "new");

function streamParameters() {
  if (state.view !== "flows") return {};
  const filter = state.parameters.get("filter") || "";
  const order = orderOf(state.parameters.get("sort") || "age");
  return filter ? { table: "live", order, filter } : { table: "live", order };
}
function openStream() {
  clearTimeout(stream.timer);
  const wanted = !document.hidden && (!needsToken || token);
  const parameters = streamParameters();
  const key = wanted ? JSON.stringify(parameters) : null;
  if (stream.control && stream.key === key) return;
  if (stream.control) stream.control.abort();
  stream.control = null;
  stream.key = key;
  if (!wanted) return document.hidden ? setLink("paused", "paused") : setLink("waiting", "token required");
  const control = stream.control = new AbortController();
  readStream(parameters, control).catch((error) => {
    if (stream.control !== control) return;
    stream.control = null;
    if (error instanceof Refused && error.status === 401) return;
    if (error instanceof Refused && error.status === 400) {
      filterError("flows", error);
      return setLink("live", "filter refused");
    }
    if (error instanceof Refused && error.status === 421) notice(error.message + ": " + error.hint);
    setLink("lost", error instanceof Refused ? error.message : "connection lost");
    stream.timer = setTimeout(openStream, stream.retry * (0.75 + Math.random() / 2));
    stream.retry = Math.min(stream.retry * 1.7, 8000);
  });
}
async function readStream(parameters, control) {
  const response = await ask("stream", parameters, control.signal);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  if (parameters.table) { live.rows.clear(); live.fresh = true; filterError("flows", null); }
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream has ended");
    rest += decoder.decode(value, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) if (line && stream.control === control) take(JSON.parse(line));
  }
}
function take(line) {
  if (line.type === "hello") {
    stream.retry = 500;
    setLink("live", "live");
    setText($("host"), line.host);
    document.title = "flowd-cpp " + visible(line.host);
    const own = document.documentElement.dataset.version;
    notice(own && line.version !== own ? "The daemon is now version " + line.version + "; reload this page." : "");
  } else if (line.type === "tick") takeTick(line);
  else if (line.type === "flows") takeFlows(line);
}

/* Small tables ----------------------------------------------------------------------------------------------------- */

// rows: arrays of {text, className, meter} or strings. Cells are reused, so that a selection and the focus survive.
function fill(place, columns, rows, none) {
  let table = place.querySelector("table");
  if (rows.length === 0) {
    if (table || !place.firstChild) place.replaceChildren(element("p", { className: "muted", text: none }));
    else setText(place.firstChild, none);
    return;
  }
  if (!table) {
    table = element("table", {}, element("thead", {}, element("tr", {}, ...columns.map((column) =>
      element("th", { scope: "col", className: column.num ? "num" : "", text: column.label })))), element("tbody"));
    place.replaceChildren(element("div", { className: "scroll" }, table));
  }
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, i) => {
    const line = body.rows[i] || body.appendChild(element("tr", {}, ...columns.map((column) =>
      element("td", { className: column.num ? "num" : "" }))));
    row.forEach((value, j) => {
      const cell = line.cells[j], to = typeof value === "object" && value !== null ? value : { text: value };
      const name = ((columns[j].num ? "num " : "") + (to.className || "")).trim();
      if (cell.className !== name) cell.className = name;
      if (to.key !== undefined) {
        if (!cell.firstElementChild) cell.replaceChildren(element("i"), element("span"));
        cell.firstElementChild.className = "key c" + to.key;
        setText(cell.lastElementChild, to.text);
      } else if (to.meter !== undefined) {
        if (!cell.firstElementChild) cell.replaceChildren(element("meter", { min: 0, max: 1, "aria-hidden": "true" }));
        cell.firstElementChild.value = to.meter;
      } else setText(cell, to.text ?? "");
    });
  });
}

/* Now -------------------------------------------------------------------------------------------------------------- */

const WINDOW = 600000;
const points = [];
let packetsBefore = null, packetRates = null;

function takeTick(tick) {
  serverAhead = tick.time - Date.now();
  points.push([tick.time, tick.out, tick.in]);
  while (points.length && points[0][0] < tick.time - WINDOW) points.shift();
  const totals = new Map();
  for (const [, outcome, total] of tick.packets) totals.set(outcome, (totals.get(outcome) || 0) + total);
  if (packetsBefore && tick.time > packetsBefore.time) {
    const seconds = (tick.time - packetsBefore.time) / 1000;
    if (seconds >= 0.9) {
      packetRates = new Map();
      for (const [outcome, total] of totals) {
        const before = packetsBefore.totals.get(outcome) ?? total;
        packetRates.set(outcome, Math.max(0, total - before) / seconds);
      }
      packetsBefore = { time: tick.time, totals };
    }
  } else packetsBefore = { time: tick.time, totals };
  now.last = tick;
  now.totals = totals;
  if (state.view === "now") drawNow();
}
const now = { last: null, totals: new Map() };

function drawNow() {
  const tick = now.last;
  if (!tick) return;
  setText($("now-live"), count(tick.live));
  setText($("now-out"), bits(tick.out));
  setText($("now-in"), bits(tick.in));
  drawPackets();
  setText($("now-catch-all"), tick.catchAll ? tagName(...tick.catchAll) : "none");
  const tags = [...tick.tags].sort((a, b) => (b[5] + b[6]) - (a[5] + a[6]) || b[4] - a[4]).slice(0, 12);
  fill($("now-tags"), [{ label: "Experiment / activity" }, { label: "Flows", num: true }, { label: "Out", num: true }, { label: "In", num: true }],
    tags.map((t) => [tagName(t[0], t[1], t[2], t[3]), count(t[4]), bits(t[5]), bits(t[6])]), "There are no flows.");
  fill($("now-networks"), [{ label: "Network" }, { label: "Flows", num: true }, { label: "Out", num: true }, { label: "In", num: true }],
    tick.networks.slice(0, 12).map((n) => [{ text: n[0], className: "mono" }, count(n[1]), bits(n[2]), bits(n[3])]), "There are no flows.");
  drawThroughput();
}
function drawPackets() {
  const totals = [...now.totals].filter(([, total]) => total > 0).sort((a, b) => b[1] - a[1]);
  const all = totals.reduce((sum, [, total]) => sum + total, 0);
  const marked = totals.reduce((sum, [outcome, total]) => sum + (outcome.startsWith("marked") ? total : 0), 0);
  setText($("now-marked"), all === 0 ? "–" : (100 * marked / all).toFixed(marked === all || marked === 0 ? 0 : 1) + " %");
  fill($("now-packets"), [{ label: "Outcome" }, { label: "Share" }, { label: "Packets", num: true }, { label: "per second", num: true }],
    totals.map(([outcome, total]) => [outcome, { meter: total / all }, count(total), packetRates ? count(packetRates.get(outcome) || 0) : "–"]),
    "No backend counts packets here.");
}

/* Charts: paths drawn by hand -------------------------------------------------------------------------------------- */

const SVG = "http://www.w3.org/2000/svg";
function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
function steps(most) {
  const raw = most / 4, unit = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 2.5, 5, 10].map((n) => n * unit).find((n) => n >= raw);
}
// A chart over time. `read`: what it says about the time under the pointer.
class Chart {
  static LEFT = 64; static RIGHT = 6; static TOP = 8; static BOTTOM = 20;
  constructor(id, read) {
    this.node = $(id); this.at = $(id + "-at"); this.read = read; this.pointer = null;
    this.line = svg("line", { class: "pointer" });
    this.node.addEventListener("pointermove", (event) => { this.pointer = event.clientX; this.drawPointer(); });
    this.node.addEventListener("pointerleave", () => { this.pointer = null; this.drawPointer(); });
  }
  // Axes and a scale: {x(time), y(value)}. Nodes of the last drawing are replaced: about twenty.
  begin(from, to, every, clockText, most, format, lowest = 0) {
    const box = this.node.getBoundingClientRect(), width = Math.max(box.width, 200), height = box.height || 190;
    this.node.setAttribute("viewBox", "0 0 " + width + " " + height);
    const x = (time) => Chart.LEFT + (width - Chart.LEFT - Chart.RIGHT) * (time - from) / (to - from);
    const y = (value) => Chart.TOP + (height - Chart.TOP - Chart.BOTTOM) * (1 - (value - lowest) / (most - lowest));
    const label = (text, attributes) => { const node = svg("text", attributes); node.textContent = text; return node; };
    const nodes = [], factor = format === bits ? 8 : 1, step = steps(factor * Math.max(most, -lowest)) / factor;
    for (let value = Math.ceil(lowest / step) * step; value <= most; value += step) {
      nodes.push(svg("line", { class: "rule", x1: Chart.LEFT, x2: width - Chart.RIGHT, y1: y(value), y2: y(value) }));
      const text = Math.abs(value) < step / 2 ? "0" : format(Math.abs(value)).replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ");
      nodes.push(label(text, { x: Chart.LEFT - 8, y: y(value) + 4, "text-anchor": "end" }));
    }
    for (let time = Math.ceil(from / every) * every; time < to; time += every)
      if (x(time) > Chart.LEFT + 20 && x(time) < width - 24) nodes.push(label(clockText(time), { x: x(time), y: height - 4, "text-anchor": "middle" }));
    this.node.replaceChildren(...nodes);
    this.from = from; this.to = to; this.width = width; this.height = height;
    return { x, y };
  }
  drawPointer() {
    this.line.remove();
    const x = this.pointer === null ? -1 : this.pointer - this.node.getBoundingClientRect().left;
    const part = (x - Chart.LEFT) / (this.width - Chart.LEFT - Chart.RIGHT);
    const text = part >= 0 && part <= 1 ? this.read(this.from + part * (this.to - this.from)) : "";
    setText(this.at, text);
    if (!text) return;
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: Chart.TOP, y2: this.height - Chart.BOTTOM })) this.line.setAttribute(name, value);
    this.node.append(this.line);
  }
}
const chartNow = new Chart("chart-now", (time) => {
  const near = points.reduce((best, p) => Math.abs(p[0] - time) < Math.abs(best[0] - time) ? p : best, [-Infinity]);
  return Math.abs(near[0] - time) > 5000 ? "" : clock(near[0]) + "   " + bits(near[1]) + " out   " + bits(near[2]) + " in";
});
const chartDay = new Chart("chart-day", (time) => {
  const begin = Math.floor(time / day.data.bucket) * day.data.bucket, [out, into] = day.totals.get(begin) || [0, 0];
  return clock(begin, false) + " to " + clock(begin + day.data.bucket, false) + "   " + bytes(out) + " out   " + bytes(into) + " in";
});
function drawThroughput() {
  const to = points.length ? points[points.length - 1][0] : Date.now();
  // The window grows from one minute to ten.
  const from = Math.max(to - WINDOW, Math.min(points[0]?.[0] ?? to, to - 60000)), every = to - from > 300000 ? 120000 : to - from > 120000 ? 60000 : 15000;
  const most = Math.max(1000, ...points.map((p) => Math.max(p[1], p[2]))) * 1.08;
  const { x, y } = chartNow.begin(from, to, every, (time) => clock(time, every < 60000), most, bits);
  if (points.length < 2) return;
  const path = (i) => points.map((p, n) => (n ? "L" : "M") + x(p[0]).toFixed(1) + " " + y(p[i]).toFixed(1)).join("");
  const area = path(1) + "L" + x(to).toFixed(1) + " " + y(0) + "L" + x(points[0][0]).toFixed(1) + " " + y(0) + "Z";
  chartNow.node.append(svg("path", { class: "area", d: area }), svg("path", { class: "line in", d: path(2) }), svg("path", { class: "line out", d: path(1) }));
  chartNow.drawPointer();
  const last = points[points.length - 1];
  chartNow.node.setAttribute("aria-label", "Throughput of flows: " + bits(last[1]) + " out, " + bits(last[2]) + " in");
}

const day = { timer: 0, data: null, totals: new Map() };
async function loadDay() {
  clearTimeout(day.timer);
  if (state.view !== "now" || document.hidden || (needsToken && !token)) return;
  try {
    day.data = await answer("day");
    drawDay();
  } catch { /* the state of the connection is shown by the stream */ }
  day.timer = setTimeout(loadDay, 30000);
}
function drawDay() {
  if (!day.data) return;
  const { now: end, bucket, sums } = day.data;
  chartDay.node.toggleAttribute("hidden", !sums?.length);
  if (!sums) return fill($("day-tags"), [], [], "The daemon keeps no history.");
  const series = new Map();
  day.totals = new Map();
  for (const [time, experiment, activity, experimentName, activityName, started, ended, out, into] of sums) {
    const key = experiment + "/" + activity;
    if (!series.has(key)) series.set(key, { name: tagName(experiment, activity, experimentName, activityName), started: 0, ended: 0, out: 0, in: 0, at: new Map() });
    const one = series.get(key), [outBefore, inBefore] = day.totals.get(time) || [0, 0];
    one.started += started; one.ended += ended; one.out += out; one.in += into;
    one.at.set(time, [out, into]);
    day.totals.set(time, [outBefore + out, inBefore + into]);
  }
  const ranked = [...series.values()].sort((a, b) => (b.out + b.in) - (a.out + a.in) || b.started - a.started);
  fill($("day-tags"), [{ label: "Experiment / activity" }, { label: "Started", num: true }, { label: "Ended", num: true }, { label: "Out", num: true }, { label: "In", num: true }],
    ranked.slice(0, 20).map((one, n) => [{ text: one.name, key: Math.min(n, 6) }, count(one.started), count(one.ended), bytes(one.out), bytes(one.in)]),
    "No flow has been seen in the last 24 hours.");
  if (!sums.length) return;
  const layers = ranked.slice(0, 6).map((one) => [one]);
  if (ranked.length > 6) layers.push(ranked.slice(6));
  const from = Math.floor((end - 86400000) / bucket) * bucket, to = Math.floor(end / bucket) * bucket + bucket;
  const mostOut = Math.max(...[...day.totals.values()].map((t) => t[0])), mostIn = Math.max(...[...day.totals.values()].map((t) => t[1]));
  const { x, y } = chartDay.begin(from, to, 14400000, (time) => clock(time, false),
    Math.max(mostOut, mostIn / 20, 1000) * 1.05, bytes, -Math.max(mostIn, mostOut / 20, 1000) * 1.05);
  // Out is stacked upwards, in downwards; one path for each layer and direction.
  for (const [i, sign] of [[0, 1], [1, -1]]) {
    const base = new Map();
    layers.forEach((layer, n) => {
      let d = "";
      for (let time = from; time < to; time += bucket) {
        const value = layer.reduce((sum, one) => sum + (one.at.get(time)?.[i] || 0), 0);
        if (value === 0) continue;
        const bottom = base.get(time) || 0, top = bottom + value;
        base.set(time, top);
        const x0 = x(time).toFixed(1), x1 = (x(time + bucket) - 0.4).toFixed(1), y0 = y(sign * bottom).toFixed(1), y1 = y(sign * top).toFixed(1);
        d += "M" + x0 + " " + y0 + "V" + y1 + "H" + x1 + "V" + y0 + "Z";
      }
      if (d) chartDay.node.append(svg("path", { class: "s" + n, d }));
    });
  }
  chartDay.node.append(svg("line", { class: "rule", x1: x(from), x2: x(to), y1: y(0), y2: y(0) }));
  chartDay.drawPointer();
  const sum = (i) => [...day.totals.values()].reduce((all, t) => all + t[i], 0);
  chartDay.node.setAttribute("aria-label", "Bytes of the last 24 hours by experiment and activity: " + bytes(sum(0)) + " out, " + bytes(sum(1)) + " in");
}

/* Tables of flows: only the rows that are in sight exist as elements ----------------------------------------------- */

// Columns of a row, see flow_rows.hpp.
const ID = 0, PROTOCOL = 1, SOURCE = 2, SPORT = 3, DESTINATION = 4, DPORT = 5, EXPERIMENT = 6, ACTIVITY = 7, ENAME = 8, ANAME = 9,
  START = 10, SEEN = 11, END = 12, SENT = 13, RECEIVED = 14, RATE_SENT = 15, RATE_RECEIVED = 16, PLUGIN = 17, RULE = 18,
  APPLICATION = 19, MARKED = 20, REASON = 21;
const byText = (i) => (row) => String(row[i]).toLowerCase();
const SHARED = [
  { key: "source", label: "Source", width: "minmax(150px,2fr)", value: (r) => r[SOURCE] + " " + String(r[SPORT]).padStart(5, "0"), text: (r) => endpoint(r[SOURCE], r[SPORT]), mono: true },
  { key: "destination", label: "Destination", width: "minmax(150px,2fr)", value: (r) => r[DESTINATION] + " " + String(r[DPORT]).padStart(5, "0"), text: (r) => endpoint(r[DESTINATION], r[DPORT]), mono: true },
  { key: "tag", label: "Experiment / activity", width: "minmax(110px,1.4fr)", value: (r) => tagName(r[EXPERIMENT], r[ACTIVITY], r[ENAME], r[ANAME]).toLowerCase(), text: (r) => tagName(r[EXPERIMENT], r[ACTIVITY], r[ENAME], r[ANAME]) },
];
const TAIL = [
  { key: "marked", label: "Marked", width: "58px", value: (r) => r[MARKED] ? 1 : 0, text: (r) => r[MARKED] ? "yes" : "no", wide: true },
  { key: "plugin", label: "Plugin", width: "minmax(70px,.7fr)", value: byText(PLUGIN), text: (r) => r[PLUGIN], wide: true },
  { key: "application", label: "Application", width: "minmax(80px,1fr)", value: byText(APPLICATION), text: (r) => r[APPLICATION], wide: true },
];
const LIVE = [...SHARED,
  { key: "age", label: "Age", width: "92px", num: true, value: (r) => -r[START], text: (r) => duration(clockNow() - r[START]), wide: true },
  { key: "sent", label: "Sent", width: "76px", num: true, value: (r) => r[SENT] ?? -1, text: (r) => bytes(r[SENT]), wide: true },
  { key: "received", label: "Received", width: "76px", num: true, value: (r) => r[RECEIVED] ?? -1, text: (r) => bytes(r[RECEIVED]), wide: true },
  { key: "rate", label: "Rate", width: "82px", num: true, value: (r) => r[RATE_SENT] + r[RATE_RECEIVED], text: (r) => r[SENT] === null ? "–" : bits(r[RATE_SENT] + r[RATE_RECEIVED]) },
  ...TAIL];
const ENDED = [...SHARED,
  { key: "end", label: "Ended", width: "142px", num: true, value: (r) => r[END], text: (r) => dateTime(r[END]) },
  { key: "duration", label: "Duration", width: "92px", num: true, value: (r) => r[END] - r[START], text: (r) => duration(r[END] - r[START]), wide: true },
  { key: "sent", label: "Sent", width: "76px", num: true, value: (r) => r[SENT] ?? -1, text: (r) => bytes(r[SENT]), wide: true },
  { key: "received", label: "Received", width: "76px", num: true, value: (r) => r[RECEIVED] ?? -1, text: (r) => bytes(r[RECEIVED]), wide: true },
  { key: "reason", label: "End", width: "90px", value: byText(REASON), text: (r) => r[REASON], wide: true },
  ...TAIL];
let serverAhead = 0;  // ms by which the daemon's clock is ahead of the browser's
const clockNow = () => Date.now() + serverAhead;

class Grid {
  static HEAD = 31;
  get height() { return this.narrow.matches ? 68 : 26; }
  constructor(place, columns, label, usual) {
    this.place = place; this.columns = columns; this.usual = usual; this.rows = []; this.pool = []; this.selected = null; this.scrolled = 0;
    place.setAttribute("role", "grid");
    place.setAttribute("aria-label", label);
    place.setAttribute("aria-colcount", columns.length);
    place.tabIndex = 0;
    this.head = element("div", { className: "row", role: "row", "aria-rowindex": 1 });
    for (const column of columns) {
      const button = element("button", { type: "button", text: column.label, tabindex: -1 });
      button.addEventListener("click", () => this.sortBy(column.key));
      this.head.append(element("div", { role: "columnheader", className: "cell" + (column.num ? " num" : "") + (column.wide ? " wide" : "") }, button));
    }
    for (const button of this.head.querySelectorAll("button")) button.tabIndex = 0;
    this.space = element("div", { className: "space", role: "rowgroup" });
    this.empty = element("p", { className: "empty", hidden: "" });
    place.append(element("div", { className: "head", role: "rowgroup" }, this.head), this.space, this.empty);
    place.addEventListener("scroll", () => { this.scrolled = performance.now(); this.draw(false); }, { passive: true });
    place.addEventListener("keydown", (event) => this.onKey(event));
    place.addEventListener("click", (event) => {
      const row = event.target.closest(".body-row");
      if (row) this.open(row.dataset.id);
    });
    this.narrow = matchMedia("(max-width: 700px)");
    this.narrow.addEventListener("change", () => { this.lay(); this.draw(); });
    new ResizeObserver(() => this.draw()).observe(place);
    this.lay();
  }
  lay() {
    this.template = this.narrow.matches ? "" : this.columns.map((column) => column.width).join(" ");
    this.head.style.gridTemplateColumns = this.template;
    for (const one of this.pool) { one.node.style.gridTemplateColumns = this.template; one.index = -1; }
  }
  get sort() { return state.parameters.get("sort") || this.usual; }
  sortBy(key) {
    const current = this.sort, column = this.columns.find((one) => one.key === key);
    const first = column.num && key !== "age" ? "-" + key : key;
    setParameter("sort", current === first ? (first.startsWith("-") ? key : "-" + key) : first);
    this.place.scrollTop = 0;
    this.order();
    openStream();
    say("Sorted by " + column.label + (this.sort.startsWith("-") ? ", descending" : ", ascending"));
  }
  set(rows) {
    this.rows = rows;
    this.order();
  }
  order() {
    const down = this.sort.startsWith("-"), key = this.sort.replace(/^-/, "");
    const column = this.columns.find((one) => one.key === key) || this.columns[0];
    this.columns.forEach((one, i) => {
      const cell = this.head.children[i];
      if (one === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending"); else cell.removeAttribute("aria-sort");
    });
    const sign = down ? -1 : 1;
    const keyed = this.rows.map((row) => [column.value(row), row]);
    keyed.sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1][ID] < b[1][ID] ? -1 : 1));
    this.rows = keyed.map((one) => one[1]);
    this.place.setAttribute("aria-rowcount", this.rows.length + 1);
    this.draw();
  }
  none(text) { this.emptyText = text; this.draw(); }
  // all: also the rows that stay in sight, whose age has changed.
  draw(all = true) {
    this.all ||= all;
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.drawNow(); this.all = false; });
  }
  drawNow() {
    const height = this.place.clientHeight;
    if (height === 0) return;
    const total = this.rows.length * this.height + "px";
    if (this.space.style.height !== total) this.space.style.height = total;
    this.empty.hidden = this.rows.length > 0;
    if (!this.empty.hidden) setText(this.empty, this.emptyText || "");
    const first = Math.max(0, Math.floor(this.place.scrollTop / this.height) - 6);
    const last = Math.min(this.rows.length, Math.ceil((this.place.scrollTop + height) / this.height) + 6);
    while (this.pool.length < last - first) this.pool.push(this.make());
    this.pool.forEach((one, n) => {
      const i = first + (n - first % this.pool.length + this.pool.length) % this.pool.length;
      const row = i < last ? this.rows[i] : undefined;
      if (one.node.hidden === (row !== undefined)) { one.node.hidden = row === undefined; one.row = null; }
      if (!row || (!this.all && one.index === i && one.row === row)) return;
      one.row = row;
      if (one.index !== i) {
        one.index = i;
        one.node.style.transform = "translateY(" + i * this.height + "px)";
        one.node.setAttribute("aria-rowindex", i + 2);
      }
      if (one.node.dataset.id !== row[ID]) { one.node.dataset.id = row[ID]; one.node.id = this.place.id + "-" + row[ID]; }
      const chosen = this.selected === row[ID];
      if (one.chosen !== chosen) { one.chosen = chosen; one.node.setAttribute("aria-selected", chosen); }
      this.columns.forEach((column, j) => {
        const text = visible(column.text(row) ?? "");
        if (one.texts[j] !== text) { one.texts[j] = text; one.cells[j].data = text; }
      });
    });
    const active = this.selected && this.place.id + "-" + this.selected;
    if (active) this.place.setAttribute("aria-activedescendant", active); else this.place.removeAttribute("aria-activedescendant");
  }
  make() {
    const cells = this.columns.map(() => document.createTextNode(""));
    const node = element("div", { className: "row body-row", role: "row", "aria-selected": "false" }, ...this.columns.map((column, j) =>
      element("div", { role: "gridcell", className: "cell" + (column.num ? " num" : "") + (column.mono ? " mono" : "") + (column.wide ? " wide" : "") }, cells[j])));
    node.style.gridTemplateColumns = this.template;
    this.space.append(node);
    return { node, cells, row: null, index: -1, texts: [], chosen: false };
  }
  onKey(event) {
    if (event.target !== this.place) return;
    const at = this.rows.findIndex((row) => row[ID] === this.selected), page = Math.max(1, Math.floor((this.place.clientHeight - Grid.HEAD) / this.height) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.rows.length - 1 }[event.key];
    if (event.key === "Enter" && at >= 0) this.open(this.selected);
    if (to === undefined || this.rows.length === 0) return;
    event.preventDefault();
    const i = Math.min(Math.max(to, 0), this.rows.length - 1), y = i * this.height;
    this.selected = this.rows[i][ID];
    const room = this.place.clientHeight - Grid.HEAD - this.height;
    if (y < this.place.scrollTop) this.place.scrollTop = y;
    else if (y > this.place.scrollTop + room) this.place.scrollTop = y - room;
    this.draw();
  }
  open(id) {
    const row = this.rows.find((one) => one[ID] === id);
    if (!row) return;
    this.selected = id;
    const to = new URLSearchParams({ protocol: row[PROTOCOL], source: endpoint(row[SOURCE], row[SPORT]), destination: endpoint(row[DESTINATION], row[DPORT]), id });
    location.hash = "flow?" + to;
  }
}

const live = { rows: new Map(), matched: 0, fresh: false, timer: 0 };
const liveGrid = new Grid($("table-flows"), LIVE, "Live flows", "age");
const endedGrid = new Grid($("table-ended"), ENDED, "Ended flows", "-end");

function takeFlows(line) {
  if (live.fresh) { live.rows.clear(); live.fresh = false; live.loaded = true; }
  for (const id of line.gone) live.rows.delete(id);
  for (const row of line.set) live.rows.set(row[ID], row);
  live.matched = line.matched;
  const shown = Math.min(live.rows.size, MOST_ROWS);
  setText($("count-flows"), line.matched > shown ? count(shown) + " of " + count(line.matched) + " flows" : count(shown) + (shown === 1 ? " flow" : " flows"));
  liveGrid.emptyText = state.parameters.get("filter") ? "No live flow matches this filter." : "There are no live flows.";
  if (line.set.length || line.gone.length) refreshLive(); else liveGrid.draw();
}
// Sorting waits while somebody scrolls.
function refreshLive() {
  if (live.timer) return;
  const wait = performance.now() - liveGrid.scrolled < 250 ? 300 : 0;
  live.timer = setTimeout(() => {
    live.timer = 0;
    if (wait && performance.now() - liveGrid.scrolled < 250) return refreshLive();
    if (state.view === "flows") liveGrid.set([...live.rows.values()]);
  }, wait);
}

const ended = { control: null };
async function loadEnded() {
  if (ended.control) ended.control.abort();
  if (needsToken && !token) return;
  const control = ended.control = new AbortController();
  const rows = [];
  let cursor = "", kept = 0;
  try {
    do {
      const filter = state.parameters.get("filter") || "";
      const page = await answer("ended", { ...(filter && { filter }), ...(cursor && { cursor }) }, control.signal);
      if (!page.flows) {
        endedGrid.emptyText = "The daemon keeps no history.";
        return endedGrid.set([]);
      }
      rows.push(...page.flows);
      kept = page.kept;
      cursor = page.next;
    } while (cursor && rows.length < MOST_ROWS);
    if (ended.control !== control) return;
    filterError("ended", null);
    setText($("count-ended"), count(rows.length) + " of the last " + count(kept));
    endedGrid.emptyText = state.parameters.get("filter") ? "No ended flow matches this filter." : "No flow has ended yet.";
    endedGrid.set(rows);
  } catch (error) {
    if (control.signal.aborted || !(error instanceof Refused)) return;
    filterError("ended", error);
  }
}

function filterError(view, error) {
  const place = $("error-" + view), input = $("filter-" + view);
  place.hidden = !error;
  setText(place, error ? error.message + (error.hint ? " — " + error.hint : "") : "");
  if (error) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
}
for (const form of document.querySelectorAll("form.filter")) {
  const view = form.dataset.filter, input = $("filter-" + view);
  let timer = 0;
  const apply = () => {
    clearTimeout(timer);
    setParameter("filter", input.value.trim());
    if (view === "flows") { stream.control?.abort(); stream.control = null; openStream(); } else loadEnded();
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 350); });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
}
$("refresh-ended").addEventListener("click", loadEnded);

/* Health ----------------------------------------------------------------------------------------------------------- */

const health = { timer: 0, status: null };
async function loadStatus() {
  clearTimeout(health.timer);
  if (document.hidden || (needsToken && !token)) return;
  try {
    health.status = await answer("status");
    drawHealth();
  } catch { /* the state of the connection is shown by the stream */ }
  health.timer = setTimeout(loadStatus, 5000);
}
function since(text) { return text ? "since " + text.replace("T", " ").replace(/\.\d+/, "") : ""; }
function drawHealth() {
  const status = health.status, findings = status.findings || [];
  const counted = findings.filter((one) => one.severity === "error" || one.severity === "warning");
  const badge = $("health-count");
  badge.hidden = counted.length === 0;
  badge.dataset.level = counted.some((one) => one.severity === "error") ? "error" : "warning";
  setText(badge, counted.length);
  badge.setAttribute("aria-label", counted.length + (counted.length === 1 ? " finding" : " findings"));
  if (state.view !== "health") return;
  const rank = { error: 0, warning: 1 };
  const list = [...findings].sort((a, b) => (rank[a.severity] ?? 2) - (rank[b.severity] ?? 2));
  const key = JSON.stringify(list);
  if (health.shown !== key) {
    health.shown = key;
    $("health-findings").replaceChildren(...(list.length ? list.map((one) => element("article", { className: "finding", "data-level": one.severity },
      element("p", {}, element("strong", { className: "state-" + one.severity, text: one.severity }), " ", element("code", { text: one.id }), " ",
        element("span", { className: "muted", text: [one.instance, one.subject, since(one.since)].filter(Boolean).join(" · ") })),
      element("p", { text: one.found + (one.expected ? "; expected: " + one.expected : "") }),
      element("p", {}, element("strong", { text: "Remedy: " }), element("span", { text: one.remedy }))))
      : [element("p", { className: "muted", text: "There are no findings: this host is healthy." })]));
  }
  fill($("health-instances"), [{ label: "Instance" }, { label: "State" }, { label: "Does" }, { label: "Errors", num: true }, { label: "Last error" }],
    (status.instances || []).map((one) => {
      const shown = one.health && one.health !== "ok" ? one.health : one.state;
      return [one.instance, { text: shown, className: "state-" + shown.replace(/[^a-z]/g, "") }, one.summary || "", count(one.errors), one.lastError || ""];
    }), "There are no instances.");
  const collectors = [];
  for (const [name, detail] of Object.entries(status.details || {}))
    for (const one of Array.isArray(detail.status?.collectors) ? detail.status.collectors : []) collectors.push([name, one]);
  const plain = (value) => typeof value === "object" && value !== null ? JSON.stringify(value) : value;
  const words = (name) => name.replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase());
  fill($("health-collectors"), [{ label: "Instance" }, { label: "Collector" }, { label: "State" }, { label: "Sent", num: true }, { label: "Dropped", num: true }, { label: "Details" }],
    collectors.map(([name, { target, address, state: now = "", sent, dropped, ...rest }]) => [name, { text: target ?? address ?? "", className: "mono" }, { text: now, className: "state-" + plain(now).replace(/[^a-z]/g, "") },
      count(sent), count(dropped), Object.entries(address === target ? rest : { address, ...rest }).filter(([, value]) => value).map(([key, value]) => words(key) + " " + plain(value)).join(", ")]),
    "No instance sends to a collector.");
  fill($("health-queues"), [{ label: "Backend" }, { label: "Events", num: true }, { label: "Waiting", num: true }, { label: "Capacity", num: true }, { label: "Shed", num: true }, { label: "Mean delay", num: true }, { label: "State" }],
    (status.queues || []).map((one) => [one.backend, count(one.delivered), count(one.depth), count(one.capacity), count(one.shedOngoing), (1000 * one.latencyMeanSeconds).toFixed(1) + " ms",
      one.behind ? { text: "behind", className: "state-behind" } : { text: "ok", className: "state-ok" }]), "There are no backends.");
  const daemon = status.daemon || {};
  setText($("health-daemon"), "flowd-cpp " + daemon.version + ", " + daemon.state + ", up " + duration(1000 * daemon.uptimeSeconds) + ", configuration " + daemon.configuration);
}

/* One flow --------------------------------------------------------------------------------------------------------- */

const flow = { timer: 0, control: null };
async function loadFlow() {
  clearTimeout(flow.timer);
  if (flow.control) flow.control.abort();
  if (state.view !== "flow" || document.hidden || (needsToken && !token)) return;
  const control = flow.control = new AbortController();
  const asked = Object.fromEntries(["protocol", "source", "destination"].map((name) => [name, state.parameters.get(name) || ""]));
  setText($("flow-title"), asked.source + " → " + asked.destination + " " + asked.protocol);
  try {
    drawFlow(await answer("explain", asked, control.signal));
    flow.timer = setTimeout(loadFlow, 2000);
  } catch (error) {
    if (control.signal.aborted) return;
    if (error instanceof Refused) {
      fill($("flow-facts"), [], [], error.message + (error.hint ? " — " + error.hint : ""));
      fill($("flow-explanations"), [], [], "");
    } else flow.timer = setTimeout(loadFlow, 2000);
  }
}
function drawFlow(said) {
  // A row of the tables may be an earlier flow with the same ends.
  const id = Number(state.parameters.get("id")), one = id ? [said.flow, ...said.earlier].find((flow) => flow.id === id) : said.flow;
  const facts = said.state === "unknown" || !one ? [] : [["Experiment", one.experiment + " (" + one.experimentId + ")"], ["Activity", one.activity + " (" + one.activityId + ")"],
    ["Started", dateTime(Date.parse(one.start))], ["Ended", one.end ? dateTime(Date.parse(one.end)) + ", " + one.endReason : ""], ["Sent", bytes(one.bytesSent)],
    ["Received", bytes(one.bytesReceived)], ["Announced by", one.announcer], ["Rule", one.rule], ["Application", one.application], ["Id", one.id]];
  fill($("flow-facts"), [{ label: "Fact" }, { label: "Value" }], facts.filter(([, value]) => value !== "" && value !== undefined),
    said.state === "unknown" ? "The daemon has no flow with these ends; what the instances say holds for its packets."
      : "The daemon no longer lists this flow: of the earlier flows with these ends it lists the latest " + said.earlier.length + ".");
  fill($("flow-explanations"), [{ label: "Instance" }, { label: "Verdict" }, { label: "Concerns" }, { label: "Explanation" }],
    said.explanations.map((e) => [e.instance, e.verdict, e.subject, e.text]), "No instance has anything to do with this flow.");
}

/* Views ------------------------------------------------------------------------------------------------------------ */

let lastList = "#flows";
function show() {
  const before = state.view;
  readState();
  const shown = needsToken && !token ? "token" : state.view;
  for (const view of [...VIEWS, "token"]) $("view-" + view).hidden = view !== shown;
  for (const entry of document.querySelectorAll("nav a")) {
    if (entry.dataset.view === state.view) entry.setAttribute("aria-current", "page"); else entry.removeAttribute("aria-current");
  }
  if (state.view === "flows" || state.view === "ended") {
    lastList = location.hash;
    const input = $("filter-" + state.view);
    if (document.activeElement !== input) input.value = state.parameters.get("filter") || "";
  }
  $("flow-back").setAttribute("href", lastList);
  if (shown === "token") { $("token").focus(); return openStream(); }
  if (before !== state.view) $("main").focus({ preventScroll: true });
  openStream();
  loadStatus();
  if (state.view === "now") { drawNow(); drawThroughput(); drawDay(); loadDay(); }
  if (state.view === "flows") liveGrid.set([...live.rows.values()]);
  if (state.view === "ended") loadEnded();
  if (state.view === "health" && health.status) drawHealth();
  loadFlow();
}
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  sessionStorage.setItem("flowd.token", token);
  $("token").value = "";
  notice("");
  show();
});
$("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
addEventListener("hashchange", show);
addEventListener("resize", () => { if (state.view === "now") { drawThroughput(); drawDay(); } });
document.addEventListener("visibilitychange", () => { if (document.hidden) openStream(); else show(); });
setInterval(() => { if (state.view === "flows" && !document.hidden) liveGrid.draw(); }, 1000);
show();
})();
