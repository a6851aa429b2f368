// All words of the page, from texts/<language>.json; a word that a language lacks is English.
const KEPT = "offgrid-language";

export const words = {};

export async function learn(wanted) {
  const known = await (await fetch("languages.json")).json();
  const liked = [wanted, localStorage.getItem(KEPT), ...navigator.languages.map((one) => one.slice(0, 2)), "en"];
  const language = liked.find((one) => known.includes(one));
  if (wanted) localStorage.setItem(KEPT, language);
  const tables = await Promise.all([...new Set(["en", language])].map(async (one) =>
    (await fetch(`texts/${one}.json`)).json()));
  Object.assign(words, ...tables);
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  return { language, known };
}

// The text of `key`, with {name} replaced; an unknown key says itself, so that it is seen and mended.
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function has(key) {
  return key in words;
}

export function number(value, digits = 0) {
  return value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits });
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${number(value / 1000 ** power, power ? 1 : 0)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds < 90) return say("seconds", { n: number(seconds) });
  if (seconds < 5400) return say("minutes", { n: number(seconds / 60) });
  if (seconds < 172800) return say("hours", { n: number(seconds / 3600) });
  return say("days", { n: number(seconds / 86400) });
}
