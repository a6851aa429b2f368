// What a token allows: the token stays in this tab, and goes nowhere but to the gateway.
import { say } from "./texts.js";

const KEPT = "offgrid-token";

export function token() {
  return sessionStorage.getItem(KEPT) ?? "";
}

export function keep(secret) {
  if (secret) sessionStorage.setItem(KEPT, secret);
  else sessionStorage.removeItem(KEPT);
}

export async function act(name, args, outcome) {
  outcome.className = "";
  outcome.textContent = say("acting", { act: say(`act_${name}`), on: args.service ?? args.radio ?? "" });
  try {
    const answer = await fetch(`v1/acts/${name}`, {
      method: "POST",
      headers: { "Authorization": `Bearer ${token()}`, "Content-Type": "application/json" },
      body: JSON.stringify(args),
    });
    const said = await answer.json();
    if (answer.ok) tell(outcome, name, args, said.result);
    else fail(outcome, say("act_refused", { why: said.detail }));
  } catch (error) {
    fail(outcome, say("act_refused", { why: error.message }));
  }
}

// What the coordinator lacks, as files; each is fetched with the token, which no link could carry.
export async function exportBundles(outcome) {
  outcome.className = "";
  outcome.textContent = say("acting", { act: say("act_export"), on: "" });
  try {
    const made = await asked("v1/acts/export", { method: "POST", body: "{}" });
    const { files } = (await made.json()).result;
    for (const { name } of files) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await (await asked(`v1/carry/${encodeURIComponent(name)}`)).blob());
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    }
    outcome.textContent = say(files.length ? "exported" : "nothing_to_export", { n: files.length });
  } catch (error) {
    fail(outcome, say("act_refused", { why: error.message }));
  }
}

export async function importFile(file, outcome) {
  outcome.className = "";
  outcome.textContent = say("acting", { act: say("act_import"), on: file.name });
  try {
    const said = await (await asked("v1/carry", { method: "POST", body: file })).json();
    outcome.textContent = say("imported", { origin: said.result.origin, size: said.result.size });
  } catch (error) {
    fail(outcome, say("act_refused", { why: error.message }));
  }
}

async function asked(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { "Authorization": `Bearer ${token()}` } });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

function tell(outcome, name, args, result) {
  outcome.textContent = say("act_done", { act: say(`act_${name}`), on: args.service ?? args.radio ?? "" });
  if (!result?.checks) return;
  const list = document.createElement("ul");
  for (const check of result.checks) {
    const item = document.createElement("li");
    item.className = { pass: "good", warn: "warn", fail: "bad" }[check.verdict] ?? "";
    item.textContent = `${say(`verdict_${check.verdict}`)}: ${check.name}: ${check.seen}`;
    if (check.fix) item.append(Object.assign(document.createElement("small"), { textContent: `→ ${check.fix}` }));
    list.append(item);
  }
  outcome.append(list);
}

function fail(outcome, text) {
  outcome.className = "fault";
  outcome.textContent = text;
}
