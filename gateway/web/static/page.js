"use strict";
// Every text goes in as a text node, never as markup: names come from a configuration, details from devices.
const words = JSON.parse(document.body.dataset.words);
const tongue = document.documentElement.lang;
const whole = new Intl.NumberFormat(tongue);
const percent = new Intl.NumberFormat(tongue, { style: "percent", maximumFractionDigits: 1 });
const tenths = { minimumFractionDigits: 1, maximumFractionDigits: 1 }; // of a figure and its band alike
const decimal = new Intl.NumberFormat(tongue, tenths);
const rate = new Intl.NumberFormat(tongue, { style: "percent", ...tenths });
const signed = new Intl.NumberFormat(tongue, { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" });
const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 960, height: 240, left: 40, right: 16, top: 10, bottom: 24 };
const NARROWEST_BAR = 6; // pixels
const DAY_LONG = 24 * 3600 * 1000; // a time of day says enough until then
let latest = null;
let answered = Date.now();

const at = (id) => document.getElementById(id);
const clockTime = (text, seconds) =>
  new Intl.DateTimeFormat(tongue, { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined,
    hourCycle: "h23", timeZone: latest ? latest.site.timezone : "UTC" }).format(new Date(text));

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function draw(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.append(text);
  return node;
}

function reason(why) {
  return why === "completeness" ? words.too_little : words[why] || why;
}

function ratio(figure, nobody = words.no_denominator) {
  const why = figure.why === "no_denominator" ? nobody : reason(figure.why);
  if (figure.value === null) return ["– ", make("span", { class: "why" }, why)];
  const shown = [rate.format(figure.value)];
  if (figure.low !== null) {
    const low = decimal.format(100 * figure.low);
    shown.push(make("span", { class: "band" }, ` (${low}–${rate.format(figure.high)})`));
  }
  if (figure.flags?.includes("ratio_gt_1")) shown.push(make("span", { class: "why" }, ` ${words.above_one}`));
  return shown;
}

function share(value) {
  if (value === null) return ["–"];
  const low = latest.site.min_completeness;
  return [make("meter", { min: 0, max: 1, low, optimum: 1, value }), percent.format(value)];
}

function card(zone) {
  const rows = [
    [words.inside, [whole.format(zone.occupancy)]],
    [words.conversion, ratio(zone.conversion)],
    [words.capture, ratio(zone.capture_rate, words.nobody_passed)],
    [words.sales, [whole.format(zone.sales)]],
    [words.completeness, share(zone.completeness)],
  ].filter(([, cells], index) => !(index === 1 || index === 2 || index === 3) || configured(zone, index));
  if (zone.opening) rows.push([words.hours, [opening(zone.opening)]]);
  const list = make("dl");
  for (const [name, cells] of rows) list.append(make("dt", {}, name), make("dd", {}, ...cells));
  return make("article", { class: "card", "data-zone": zone.zone },
    make("h3", {}, zone.name || zone.zone, make("span", { class: "kind" }, words[zone.kind] || zone.kind)),
    make("div", {}, make("span", { class: "big" }, whole.format(zone.ins)),
      make("span", { class: "unit" }, `${words.visitors.toLowerCase()} ${words.today}`)),
    list);
}

function opening(state) {
  const word = state.open ? words.open : words.closed;
  const soon = state.until && new Date(state.until) - new Date(latest.at) < DAY_LONG;
  return soon ? `${word}, ${state.open ? words.closes : words.opens} ${clockTime(state.until)}` : word;
}

function configured(zone, index) {
  return (index === 2 ? zone.capture_rate : zone.conversion).why !== "not_configured";
}

function item(tone, name, text, detail) {
  const node = make("li", {}, make("span", { class: `dot ${tone}` }), make("strong", {}, name), ` ${text}`);
  if (detail) node.append(make("div", { class: "detail" }, detail));
  return node;
}

function linkItem(link) {
  const since = link.since ? ` ${words.since} ${clockTime(link.since)}` : "";
  return item(link.up ? "" : "bad", link.link, (link.up ? words.up : words.down) + since, link.error);
}

function counterItem(counter) {
  const tone = { ok: "", degraded: "warn", silent: "warn" }[counter.state] ?? "bad";
  const when = counter.state === "silent" ? words.last : words.heard;
  const heard = counter.last_reading ? `, ${when} ${clockTime(counter.last_reading)}` : "";
  return item(tone, counter.name || counter.counter, (words[counter.state] || counter.state) + heard, counter.detail);
}

// `{since}` is a moment, `{name}` a figure of the evidence, `{name%}` the same in per cent.
function told(text, alarm) {
  return text.replace(/\{(\w+)(%?)\}/g, (hole, name, share) => {
    if (name === "since") return moment(alarm.since);
    const figure = alarm.evidence[name];
    if (typeof figure !== "number") return "?";
    return share ? signed.format(figure) : whole.format(Math.round(figure));
  });
}

function moment(text) {
  const day = Date.parse(text) < Date.parse(latest.site.day_start);
  return new Intl.DateTimeFormat(tongue, { day: day ? "numeric" : undefined, month: day ? "numeric" : undefined,
    hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: latest.site.timezone }).format(new Date(text));
}

function alarmItem(alarm) {
  const tone = { fault: "bad", warning: "warn" }[alarm.severity] ?? "note";
  const says = words[`alarm_${alarm.kind}`];
  const node = item(tone, alarm.line, says ? told(says, alarm) : alarm.says, words[`remedy_${alarm.kind}`] || alarm.remedy);
  node.dataset.alarm = alarm.kind;
  return node;
}

function upstreamItem(upstream) {
  const parts = [];
  if (upstream.pending) parts.push(`${whole.format(upstream.pending)} ${words.pending}`);
  if (upstream.pending_alarms) parts.push(`${whole.format(upstream.pending_alarms)} ${words.alarms.toLowerCase()}`);
  if (upstream.rejected) parts.push(`${whole.format(upstream.rejected)} ${words.rejected}`);
  if (upstream.misconfigured) parts.push(words.misconfigured);
  const waits = upstream.pending || upstream.pending_alarms;
  const tone = upstream.misconfigured || upstream.rejected ? "bad" : waits && upstream.why ? "warn" : "";
  return item(tone, upstream.upstream, parts.join(", ") || words.nothing_waits, upstream.why);
}

function books(ledger) {
  const text = ledger.balanced ? words.balanced : `${words.unbalanced} ${whole.format(ledger.imbalance)}`;
  return [make("span", { class: `dot ${ledger.balanced ? "" : "bad"}` }), text];
}

function fill(id, nodes) {
  at(id).replaceChildren(...(nodes.length ? nodes : [make("li", { class: "none" }, words.none)]));
}

function show(live) {
  latest = live;
  at("loading").hidden = live.zones.length > 0;
  at("loading").textContent = words.no_zones;
  at("main").hidden = false;
  at("clock").textContent = clockTime(live.at, true);
  at("simulated").hidden = !live.simulated;
  at("untrusted").hidden = live.clock_trusted;
  at("fault").textContent = `${words.withheld} ${live.fault}`;
  at("fault").hidden = !live.fault;
  at("zones").replaceChildren(...live.zones.map(card));
  at("wrong").hidden = live.alarms.length === 0;
  at("wrong").classList.toggle("bad", live.alarms.some((alarm) => alarm.severity === "fault"));
  at("calm").hidden = live.alarms.length > 0 || live.counters.length === 0;
  at("alarms").replaceChildren(...live.alarms.map(alarmItem));
  fill("links", live.links.map(linkItem));
  fill("counters", live.counters.map(counterItem));
  fill("upstreams", live.upstreams.map(upstreamItem));
  at("books").replaceChildren(...books(live.books));
  at("footer").textContent = `${live.site.gateway} · counter-gateway ${live.version} · ${live.config_hash}`;
  chooseZone(live.zones);
}

function chooseZone(zones) {
  const chooser = at("chart-zone");
  const known = [...chooser.options].map((option) => option.value).join("\n");
  if (known === zones.map((zone) => zone.zone).join("\n")) return;
  const chosen = chooser.value;
  chooser.replaceChildren(...zones.map((zone) => make("option", { value: zone.zone }, zone.name || zone.zone)));
  if (zones.some((zone) => zone.zone === chosen)) chooser.value = chosen;
  pollChart();
}

function step(highest) {
  const rough = Math.max(1, highest / 4);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
}

function frame(svg, from, to, highest, x, y) {
  const size = step(highest);
  for (let value = 0; value <= highest; value += size) {
    svg.append(draw("line", { class: "grid", x1: CHART.left, x2: CHART.width - CHART.right, y1: y(value), y2: y(value) }));
    svg.append(draw("text", { x: CHART.left - 6, y: y(value) + 4, "text-anchor": "end" }, whole.format(value)));
  }
  for (let time = from; time <= to; time += (CHART.width < 600 ? 4 : 2) * 3600e3) {
    svg.append(draw("text", { x: x(time), y: CHART.height - 6, "text-anchor": "middle" }, clockTime(time)));
  }
}

function hatching() {
  const pattern = draw("pattern", { id: "hatching", width: 7, height: 7, patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)" });
  pattern.append(draw("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 7 }));
  const holder = draw("defs");
  holder.append(pattern);
  return holder;
}

function barSeconds(size, width, span) {
  return [300, 900, 1800].find((seconds) => seconds >= size && (width * seconds * 1000) / span >= NARROWEST_BAR)
    || Math.max(size, 3600);
}

// Windows too narrow to be seen are added up. Completeness: of what has been closed, a missing window counts 0.
function binned(rows, from, until, step, size) {
  const bins = [];
  for (let start = from; start < until; start += step) {
    const windows = (Math.min(start + step, until) - start) / size;
    bins.push({ start, end: start + step, windows, ins: 0, watched: 0 });
  }
  for (const row of rows) {
    const bin = bins[Math.floor((Date.parse(row.start) - from) / step)];
    if (!bin) continue;
    bin.ins += row.ins;
    bin.watched += row.completeness ?? 1;
  }
  return bins;
}

function bars(svg, bins, low, x, y) {
  for (const bin of bins) {
    if (bin.watched / bin.windows >= low) continue;
    svg.append(draw("rect", { class: "missing", x: x(bin.start), width: x(bin.end) - x(bin.start), y: CHART.top,
      height: y(0) - CHART.top, fill: "url(#hatching)" }));
  }
  for (const bin of bins.filter((one) => one.ins > 0)) {
    const width = Math.max(0.5, x(bin.end) - x(bin.start) - 1);
    const bar = draw("rect", { class: "bar", x: x(bin.start), width, y: y(bin.ins), height: y(0) - y(bin.ins) });
    bar.append(draw("title", {}, `${clockTime(bin.start)}–${clockTime(bin.end)}: ${whole.format(bin.ins)}`));
    svg.append(bar);
  }
}

function chart(rows, live) {
  CHART.width = Math.max(280, at("chart").clientWidth - 18); // one unit is one pixel: letters keep their size
  const from = Date.parse(live.site.day_start);
  const to = Date.parse(live.site.day_end);
  const size = live.site.size_s * 1000;
  const inner = CHART.width - CHART.left - CHART.right;
  const step = barSeconds(live.site.size_s, inner, to - from) * 1000;
  const closed = Math.min(to, Math.max(from, ...rows.map((row) => Date.parse(row.start) + size)));
  const bins = binned(rows, from, closed, step, size);
  const highest = Math.max(4, ...bins.map((bin) => bin.ins));
  const x = (time) => CHART.left + ((time - from) / (to - from)) * inner;
  const y = (value) => CHART.height - CHART.bottom
    - (value / highest) * (CHART.height - CHART.top - CHART.bottom);
  const total = bins.reduce((sum, bin) => sum + bin.ins, 0);
  const svg = draw("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img",
    "aria-label": `${words.visitors}: ${whole.format(total)}` });
  svg.append(hatching());
  frame(svg, from, to, highest, x, y);
  bars(svg, bins, live.site.min_completeness, x, y);
  if (!rows.length) svg.append(draw("text", { x: CHART.width / 2, y: CHART.height / 2, "text-anchor": "middle" }, words.no_windows));
  at("chart-step").textContent = `(${step / 60000} min)`;
  at("chart").replaceChildren(svg);
}

async function fetched(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (!response.ok) throw new Error(`${response.status}`);
  return response.json();
}

async function pollLive() {
  try {
    show(await fetched("/api/v1/live"));
    answered = Date.now();
    at("stale").hidden = true;
  } catch {
    at("stale").textContent = `${words.stale} ${clockTime(answered, true)}`;
    at("stale").hidden = Date.now() - answered < 3000;
  }
  setTimeout(pollLive, document.hidden ? 10000 : 500);
}

async function pollChart() {
  const zone = at("chart-zone").value;
  if (!zone || !latest) return;
  const query = new URLSearchParams({ zone, from: latest.site.day_start, to: latest.site.day_end,
    size_s: latest.site.size_s });
  try {
    const history = await fetched(`/api/v1/aggregates?${query}`);
    if (at("chart-zone").value === zone) chart(history.aggregates, latest);
  } catch { /* the next round tries again */ }
}

at("chart-zone").addEventListener("change", pollChart);
setInterval(pollChart, 5000);
pollLive();
