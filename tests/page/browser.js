// A browser, and pages in it that may ask nobody but their server and must not complain.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser with a new profile folder of its own. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });

/**
 * A page of a new visitor, once `ready` is seen in it. What it asks of others, and errors that nobody
 * expects, are kept.
 */
export async function visit(browser, url, { ready = "#input", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.wrong = [];
  page.expected = [];
  const origin = new URL(url).origin;
  // A page that is a file has no origin, and may ask nobody at all.
  const own = (asked) => (origin === "null" ? asked === url : new URL(asked).origin === origin);
  page.on("request", (request) => {
    if (!own(request.url())) page.wrong.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.wrong.push(message.text());
  });
  await page.goto(url);
  await page.locator(ready).waitFor();
  return page;
}

/** Ends a visit; what went wrong in it, but for texts with one of these words, fails. */
export async function leave(page, ...expected) {
  const wrong = page.wrong.filter((text) => !expected.some((word) => text.includes(word)));
  assert.deepEqual(wrong, []);
  await page.context().close();
}

export async function send(page, text) {
  await page.locator("#input").fill(text);
  await page.locator("#input").press("Enter");
}

/** Waits until no answer is being made. */
export const settled = (page) => page.locator("body:not(.busy)").waitFor();

export const answers = (page) => page.locator(".message.answer");

/** A picture for people, if they asked for pictures. */
export async function shot(page, name) {
  const folder = process.env.PAGE_SHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled" });
}
