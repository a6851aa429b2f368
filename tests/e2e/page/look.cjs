// Looks at the page in Chromium as a person would, and prints what it saw as one line of JSON.
//   node look.cjs ADDRESS TOKEN FOLDER
// Says "looking" when the page stands, and goes on when a line comes in: by then the log must have grown.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const [address, token, folder] = process.argv.slice(2);
const VIEWS = [
  { name: "phone", width: 360, height: 740, locale: "fr-FR", colorScheme: "light" },
  { name: "phone-dark", width: 360, height: 740, locale: "en-US", colorScheme: "dark" },
  { name: "screen", width: 1280, height: 900, locale: "en-US", colorScheme: "light" },
];
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

async function opened(browser, view, seen) {
  const context = await browser.newContext({
    viewport: { width: view.width, height: view.height }, locale: view.locale, colorScheme: view.colorScheme,
    bypassCSP: false,
  });
  const page = await context.newPage();
  page.on("console", (line) => { if (["error", "warning"].includes(line.type())) seen.console.push(line.text()); });
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("request", (request) => { if (new URL(request.url()).host !== address) seen.outside.push(request.url()); });
  await page.goto(`http://${address}/`);
  await page.waitForFunction(() => /^\d+$/.test(document.getElementById("score").textContent));
  await page.waitForSelector("#day svg");
  return page;
}

// axe is evaluated by the debugger's own way in, which the page's policy does not govern.
async function judged(page) {
  await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  const seen = { console: [], outside: [], violations: {}, overflow: {}, words: {} };
  const pages = {};
  for (const view of VIEWS) pages[view.name] = await opened(browser, view, seen);
  const before = await pages.screen.textContent("#log dd");
  console.log("looking");
  for await (const line of readline.createInterface({ input: process.stdin })) { void line; break; }
  await pages.screen.waitForFunction((was) => document.querySelector("#log dd").textContent !== was, before);
  await pages.screen.waitForSelector("#heard tr");
  seen.live = [before, await pages.screen.textContent("#log dd")];
  seen.heard = await pages.screen.locator("#heard tr").first().innerText();

  for (const view of VIEWS) {
    const page = pages[view.name];
    await page.waitForSelector("#heard tr");
    seen.violations[view.name] = await judged(page);
    seen.overflow[view.name] = await page.evaluate(() =>
      document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
    seen.words[view.name] = await page.textContent("#h-health");
    await page.screenshot({ path: path.join(folder, `${view.name}.png`), fullPage: true });
  }

  const page = pages.screen;
  seen.buttonsBefore = await page.locator("button[data-name]").count();
  await page.fill("#token", token);
  await page.click("#token-form button[type=submit]");
  await page.click("#sync");
  await page.waitForFunction(() => document.getElementById("outcome").textContent.includes("done"));
  await page.click("button[data-name=restart]");
  await page.waitForFunction(() => /Restart .*done/.test(document.getElementById("outcome").textContent));
  seen.violations.acted = await judged(page);
  await page.screenshot({ path: path.join(folder, "acted.png"), fullPage: true });
  await page.fill("#token", `${token}x`);
  await page.click("#token-form button[type=submit]");
  await page.click("#sync");
  await page.waitForSelector("#outcome.fault");
  seen.refusal = await page.textContent("#outcome");
  seen.consoleAfterRefusal = seen.console.splice(0);
  await page.context().setOffline(true);
  await page.waitForSelector("#live.lost");
  seen.lost = await page.textContent("#live");
  seen.consoleOffline = seen.console.splice(0).length > 0;
  await browser.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => { console.error(error); process.exit(1); });
