// SPDX-License-Identifier: Apache-2.0
// Drives one page in headless Chromium. Reads lines {"code": "..."}: the body of an async function of `page`, `context` and
// `browser`; writes lines {"value": ...} or {"error": "..."}.   usage: drive.mjs PLAYWRIGHT [WIDTHxHEIGHT [light|dark [CONTEXT]]]
// CONTEXT: further options of the context, as JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [directory, size = "1400x900", scheme = "light", more = "{}"] = process.argv.slice(2);
const { chromium } = createRequire(directory + "/")("playwright-core");
const [width, height] = size.split("x").map(Number);
const browser = await chromium.launch({
  executablePath: process.env.FLOWD_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.example.org 127.0.0.1", "--js-flags=--expose-gc", "--enable-precise-memory-info"],
});
const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: "en-GB", timezoneId: "UTC", ...JSON.parse(more) });
const page = await context.newPage();
page.setDefaultTimeout(30000);
const seen = { console: [], errors: [], requests: [], violations: [] };
page.on("console", (message) => { if (["error", "warning"].includes(message.type())) seen.console.push(message.text()); });
page.on("pageerror", (error) => seen.errors.push(String(error)));
page.on("request", (request) => seen.requests.push(request.url()));
page.on("dialog", (dialog) => { seen.errors.push("a dialog: " + dialog.message()); dialog.dismiss(); });
await page.exposeFunction("flowdTestViolation", (text) => seen.violations.push(text));
await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) =>
  window.flowdTestViolation(event.violatedDirective + " " + event.blockedURI)));

const AsyncFunction = (async () => {}).constructor;
console.log(JSON.stringify({ value: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const value = await new AsyncFunction("page", "context", "browser", "seen", JSON.parse(line).code)(page, context, browser, seen);
    answer = { value: value === undefined ? null : value };
  } catch (error) {
    answer = { error: String(error.stack || error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
