// Plots of the last day as SVG: lines over the same 24 hours, newest at the right, each told in words too.
import { number, say } from "./texts.js";

const WIDTH = 480, HEIGHT = 150, LEFT = 46, BOTTOM = 20, TOP = 8;
const SVG = "http://www.w3.org/2000/svg";
const STEPS = 288;

export function drawDay(place, day) {
  const radios = Object.entries(day.radios);
  const of = (figure) => radios.map(([name, series]) => ({ name, values: series[figure] }));
  const sent = radios.map(([name, series]) => ({ name, values: series.sentSeconds }));
  place.replaceChildren(
    plot("plot_frames", "", of("frames"), day.stepSeconds),
    plot("plot_rssi", "dBm", of("rssiDbm"), day.stepSeconds),
    plot("plot_snr", "dB", of("snrDb"), day.stepSeconds),
    plot("plot_heard", "s", of("heardSeconds"), day.stepSeconds),
    plot("plot_sent", "s", sent, day.stepSeconds),
    plot("plot_backlog", "", [{ name: say("backlog"), values: day.backlog }], day.stepSeconds),
  );
}

function plot(title, unit, series, stepSeconds) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = say(title) + (unit ? ` (${unit})` : "");
  const told = series.filter((one) => one.values.some((value) => value !== null));
  const [low, high] = range(told);
  figure.append(caption, picture(say(title), told, low, high, stepSeconds), key(told, unit));
  return figure;
}

function range(series) {
  const values = series.flatMap((one) => one.values).filter((value) => value !== null);
  if (!values.length) return [0, 1];
  const low = Math.min(0, ...values), high = Math.max(...values, low < 0 ? low + 1 : 1);
  return values.every((value) => value < 0) ? [low * 1.05, Math.max(...values) * 0.95] : [low, high];
}

function picture(title, series, low, high, stepSeconds) {
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  svg.setAttribute("aria-label", `${title}: ${series.map(summary).join("; ") || say("nothing_yet")}`);
  const x = (step) => LEFT + ((WIDTH - LEFT - 6) * step) / (STEPS - 1);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - low)) / (high - low || 1);
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(element("line", { class: "axis", x1: LEFT, x2: WIDTH - 6, y1: y(value), y2: y(value) }));
    svg.append(label(LEFT - 5, y(value) + 4, number(value, high - low < 5 ? 1 : 0), "end"));
  }
  for (const hours of [24, 18, 12, 6, 0]) {
    const step = STEPS - 1 - Math.min(STEPS - 1, (hours * 3600) / stepSeconds);
    svg.append(label(x(step), HEIGHT - 5, hours ? `−${hours} h` : say("now"), hours === 24 ? "start" : hours ? "middle" : "end"));
  }
  series.forEach((one, index) => svg.append(...line(one.values, index, x, y)));
  return svg;
}

// One path a stretch without gaps; a lone value is a short dash.
function line(values, index, x, y) {
  const first = STEPS - values.length, paths = [];
  let points = [];
  const close = () => {
    if (points.length) {
      const d = points.length === 1 ? `M${points[0]} h2` : `M${points.join(" L")}`;
      paths.push(element("path", { class: `series s${index % 4}`, d }));
    }
    points = [];
  };
  values.forEach((value, step) => {
    if (value === null) close();
    else points.push(`${x(first + step).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  close();
  return paths;
}

function summary({ name, values }) {
  const told = values.filter((value) => value !== null);
  return say("plot_summary", {
    name, last: number(told.at(-1), 1), low: number(Math.min(...told), 1), high: number(Math.max(...told), 1),
  });
}

function key(series, unit) {
  const line = document.createElement("p");
  line.className = "key";
  series.forEach((one, index) => {
    const told = one.values.filter((value) => value !== null);
    const span = document.createElement("span");
    span.className = `s${index % 4}`;
    span.textContent = `${"— ╌ ┄ ┉".split(" ")[index % 4]} ${one.name} ${number(told.at(-1), 1)}${unit ? ` ${unit}` : ""}`;
    line.append(span);
  });
  if (!series.length) line.textContent = say("nothing_yet");
  return line;
}

function label(x, y, text, anchor) {
  const made = element("text", { class: "tick", x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

