// The page: asks the gateway every two seconds while it is looked at, and shows what it says.
import { act, exportBundles, importFile, keep, token } from "./acts.js";
import { drawDay } from "./plots.js";
import { bytes, duration, has, learn, number, say } from "./texts.js";

const PERIOD_MS = 2000, LONGEST_MS = 30000, PLOTS_MS = 30000;
const at = (id) => document.getElementById(id);
let failures = 0, plotted = 0, newest = null, timer = null;

function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function terms(place, rows) {
  place.replaceChildren(...rows.flatMap(([key, value, className]) =>
    [make("dt", "", say(key)), make("dd", className ?? "", value)]));
}

function showHealth(status) {
  const kind = status.score === 100 ? "good" : status.score >= 50 ? "warn" : "bad";
  at("score").textContent = status.score;
  at("score").className = kind;
  at("word").textContent = say(`health_${status.status}`);
  at("reasons").replaceChildren(...status.deductions.map((one) => {
    const known = has(`reason_${one.code}`);
    const item = make("li", "", known ? say(`reason_${one.code}`) : one.reason);
    if (known) item.append(make("small", "", one.reason));
    return item;
  }));
}

function showLog(store) {
  terms(at("log"), [
    ["snapshots", number(store.size)],
    ["acked", number(store.ackedSize)],
    ["backlog", number(store.backlog), store.backlog ? "warn" : "good"],
    ["oldest", store.backlog ? duration(store.oldestUnackedSeconds) : "–"],
    ["transactions", number(store.transactions)],
    ["conflicts", number(store.conflictsPending), store.conflictsPending ? "bad" : ""],
    ["database", bytes(store.fileBytes)],
    ["free", bytes(store.freeDiskBytes)],
    ["root", store.root, "mono"],
  ]);
}

function showLink(link) {
  const kind = { connected: "good", halted: "bad" }[link.state] ?? "warn";
  terms(at("link"), [
    ["state", say(`link_${link.state}`), kind],
    ["last_ack", link.lastAckSecondsAgo === null ? "–" : duration(link.lastAckSecondsAgo)],
    ["latency", link.roundTripMs === null ? "–" : `${number(link.roundTripMs)} ms`],
    ["traffic", `↑ ${bytes(link.txBytes)}  ↓ ${bytes(link.rxBytes)}`],
    ...(link.reason ? [["why", link.reason]] : []),
    ...(link.state === "connected" ? [] : [["down_for", duration(link.downSeconds)]]),
  ]);
}

function radioCard(name, radio, service) {
  const card = make("div", "card");
  const works = radio.state === "works";
  const sent = radio.transmits.sent ?? 0;
  const others = Object.entries(radio.frames).filter(([outcome, count]) => outcome !== "ok" && count);
  card.append(make("h3", "", name), make("p", works ? "good" : "bad", say(works ? "radio_works" : "radio_down")));
  const why = service?.reason || radio.note;
  if (why) card.append(make("p", "", why));
  card.append(make("p", "", say("radio_counts", { heard: number(radio.frames.ok ?? 0), sent: number(sent) })));
  if (others.length) card.append(make("p", "", others.map(([outcome, count]) => `${outcome}: ${number(count)}`).join(", ")));
  for (const [band, left] of Object.entries(radio.dutyLeftSeconds ?? {})) card.append(airtime(band, left, radio.dutyUsedSeconds[band] ?? 0));
  if (token()) card.append(button("test", name, { radio: name }), " ", button("restart", name, { service: name }));
  return card;
}

function airtime(band, left, used) {
  const line = make("label", "", say("airtime_left", { band, left: number(left, 1) }));
  const meter = Object.assign(make("meter"), { min: 0, max: left + used || 1, value: left, low: (left + used) / 10 });
  line.append(meter);
  return line;
}

function button(name, on, args) {
  const made = make("button", "", say(`act_${name}`));
  made.type = "button";
  made.setAttribute("aria-label", `${say(`act_${name}`)} ${on}`);
  made.dataset.name = name;
  made.dataset.on = on;
  made.addEventListener("click", () => run(made, name, args));
  return made;
}

async function run(pressed, name, args) {
  pressed.disabled = true;
  await act(name, args, at("outcome"));
  pressed.disabled = false;
  at("outcome").scrollIntoView({ block: "nearest" });
  refresh();
}

// A card is drawn anew only when it says something else, and keeps the focus: no button goes from under a finger.
function showRadios(status) {
  const place = at("radios");
  const entries = Object.entries(status.radios);
  for (const old of [...place.children]) if (!entries.some(([name]) => name === old.dataset.name)) old.remove();
  for (const [name, radio] of entries) {
    const said = JSON.stringify([radio, status.services[name]?.reason, token(), document.documentElement.lang]);
    const old = [...place.children].find((one) => one.dataset.name === name);
    if (old?.dataset.said === said || old?.querySelector("button:disabled")) continue;
    const card = radioCard(name, radio, status.services[name]);
    Object.assign(card.dataset, { name, said });
    const held = old?.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    if (old) old.replaceWith(card); else place.append(card);
    if (held) card.querySelector(`button[data-name=${held}]`)?.focus();
  }
  if (!entries.length) place.replaceChildren(make("p", "", say("no_radios")));
}

function showHeard(heard) {
  at("silence").hidden = heard.length > 0;
  at("heard").replaceChildren(...heard.map((frame) => {
    const row = make("tr");
    const level = frame.rssiDbm === null ? "–" : `${number(frame.rssiDbm)} dBm / ${number(frame.snrDb, 1)} dB`;
    const channel = frame.frequencyMhz === null ? "–" : `${number(frame.frequencyMhz, 1)} MHz SF${frame.spreadingFactor}`;
    for (const text of [duration(frame.secondsAgo), frame.radio, frame.peer, number(frame.bytes), level, channel]) row.append(make("td", "", text));
    return row;
  }));
}

function show({ status, heard, day }) {
  at("gateway").textContent = status.gatewayId;
  document.title = `${status.score} · ${status.gatewayId}`;
  showHealth(status);
  showLog(status.store);
  showLink(status.link);
  showRadios(status);
  showHeard(heard);
  if (Date.now() - plotted > PLOTS_MS) {
    drawDay(at("day"), day);
    plotted = Date.now();
  }
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch("v1/panel", { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    newest = await answer.json();
    failures = 0;
    show(newest);
    at("live").className = "live";
    at("live").textContent = say("live");
  } catch (error) {
    failures += 1;
    at("live").className = "live lost";
    at("live").textContent = say("lost", { why: error.message });
  }
  if (!document.hidden) timer = setTimeout(refresh, Math.min(PERIOD_MS * 2 ** failures, LONGEST_MS));
}

function showToken() {
  at("forget").hidden = at("sync").hidden = at("freight").hidden = !token();
  at("token").value = "";
}

async function speak(wanted) {
  const { language, known } = await learn(wanted);
  const names = new Intl.DisplayNames([language], { type: "language" });
  at("language").replaceChildren(...known.map((one) => Object.assign(new Option(names.of(one), one), { lang: one })));
  at("language").value = language;
  plotted = 0;
}

async function start() {
  await speak();
  showToken();
  at("language").addEventListener("change", async (event) => { await speak(event.target.value); refresh(); });
  at("token-form").addEventListener("submit", (event) => { event.preventDefault(); keep(at("token").value.trim()); showToken(); refresh(); });
  at("forget").addEventListener("click", () => { keep(""); showToken(); refresh(); });
  at("sync").addEventListener("click", () => run(at("sync"), "sync", {}));
  at("export").addEventListener("click", async () => {
    at("export").disabled = true;
    await exportBundles(at("outcome"));
    at("export").disabled = false;
  });
  at("import").addEventListener("change", async () => {
    const [file] = at("import").files;
    if (file) await importFile(file, at("outcome"));
    at("import").value = "";
    refresh();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  refresh();
}

start();
