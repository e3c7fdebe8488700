// The page itself: the engine's figures, keys, sizes, colours, the keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answers, launch, leave, send, settled, shot, visit } from "./browser.js";
import { startServer } from "./server.js";

let server, browser;

before(async () => {
  server = await startServer("--temp", "0", "-n", "24", "--spec-type", "auto");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const told = (page, selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor();

test("beside the chat stand the engine's own figures", async () => {
  const own = await startServer("--temp", "0", "-n", "64", "--spec-type", "auto");
  const page = await visit(browser, own.url);
  await told(page, ".said", "0 of 4 running");
  await told(page, "#places", "Nothing was drafted yet.");
  await send(page, "Speak of love and war.");
  await settled(page);
  await told(page, ".said", "1 ended");
  // A speed was seen between two looks at the engine, whenever that was.
  await page.waitForFunction(() => {
    const points = document.querySelector(".curve polyline").getAttribute("points").split(" ");
    return points.some((point) => Number(point.split(",")[1]) < 2);
  });
  const { stats, drafts } = await (await fetch(`${own.url}/v1/engine`)).json();
  assert.ok(drafts >= 2 && stats.draft_places.length > 0);
  const rows = await page.locator("#places .row").allTextContents();
  const shares = stats.draft_places.map(({ tried, accepted }, i) => `${i + 1}${["st", "nd", "rd"][i]} token${Math.round((100 * accepted) / tried || 0)} %`);
  assert.deepEqual(rows, shares);
  await told(page, "#memory", "of 2.0 GiB");
  await page.locator("#steps .step-row").nth(3).waitFor();
  const percents = await page.locator("#steps .step-row").locator("> .share, > summary > .share").allTextContents();
  const sum = percents.reduce((all, text) => all + parseFloat(text), 0);
  assert.ok(Math.abs(sum - 100) < 0.1 * percents.length, `${sum} of 100`);
  await page.locator("#steps canvas.lanes").waitFor();
  const row = page.locator("details.step-row").first();
  await row.locator("summary").click();
  await row.locator("li").first().waitFor();
  assert.match(await row.locator("li .name").first().textContent(), /block|outside/);
  await page.getByLabel("Sum up by").selectOption("block");
  await told(page, "#steps .name", "block 0");
  await shot(page, "desktop-light");
  await leave(page);
  await own.stop();
});

test("a server with a key is closed, and its page asks for the key", async () => {
  const closed = await startServer("--api-key", "right", "-n", "8");
  const page = await visit(browser, closed.url);
  await page.locator("#key[open]").waitFor();
  await shot(page, "key");
  assert.equal((await fetch(`${closed.url}/v1/engine`)).status, 401);
  assert.equal((await fetch(`${closed.url}/v1/engine/steps`)).status, 401);
  await page.getByLabel("Key", { exact: true }).fill("wrong");
  await page.getByRole("button", { name: "Use this key" }).click();
  await told(page, "#key-error", "does not take this key");
  await page.getByLabel("Key", { exact: true }).fill("right");
  await page.keyboard.press("Enter");
  await page.locator("#key:not([open])").waitFor({ state: "attached" });
  await told(page, ".said", "0 of 4 running");
  await send(page, "Hail!");
  await settled(page);
  assert.equal(await page.locator(".error").count(), 0);
  await page.reload();
  await told(page, ".said", "1 ended");
  assert.equal(await page.locator("#key[open]").count(), 0);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Forget the key" }).click();
  await page.reload();
  await page.locator("#key[open]").waitFor();
  await leave(page, "status of 401");
  await closed.stop();
});

test("on a phone nothing is cut off, and both sides are drawers", async () => {
  const page = await visit(browser, server.url, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await send(page, `A long word: ${"x".repeat(300)}`);
  await settled(page);
  const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector("#scroll").scrollWidth <= innerWidth);
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 700 });
    assert.ok(await fits(), `${width} pixels`);
    for (const [button, side] of [["Engine", "#panel"], ["Conversations", "#sidebar"]]) {
      assert.equal(await page.locator(side).isVisible(), false);
      await page.getByRole("button", { name: button, exact: true }).tap();
      const box = await page.locator(side).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
      assert.ok(await fits(), `${side} at ${width} pixels`);
      assert.equal(await page.locator(side).evaluate((node) => node.scrollWidth <= node.clientWidth), true);
      await shot(page, `phone-${width}-${side.slice(1)}`);
      await page.locator(side).getByRole("button", { name: "Close" }).tap();
      assert.equal(await page.locator(side).isVisible(), false);
    }
    await page.getByRole("button", { name: "Settings" }).tap();
    assert.ok(await fits());
    await page.getByRole("button", { name: "Done" }).tap();
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await shot(page, "phone");
  await leave(page);
});

/** Contrast of an element's text with what is behind it, as WCAG has it. */
const contrast = (page, selector) =>
  page.locator(selector).first().evaluate((node) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parts = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    let behind = node;
    while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [a, b] = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map((c) => light(parts(c)));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });

test("light and dark follow the system or the switch, and can be read", async () => {
  const page = await visit(browser, server.url, { colorScheme: "light" });
  await send(page, "Good morrow.");
  await settled(page);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const texts = [".user .text", ".prose p", ".stats", ".said", ".keys", ".conversation", ".card h3", "#send", ".side-note", ".model"];
  const papers = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    // Colours change by and by.
    await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished)));
    papers.push(await paper());
    for (const text of texts) {
      const ratio = await contrast(page, text);
      assert.ok(ratio >= 4.5, `${text} in ${colorScheme}: ${ratio.toFixed(2)}`);
    }
    await shot(page, `desktop-${colorScheme}-answer`);
  }
  const [light, dark] = papers;
  assert.notEqual(light, dark);
  // As the system has it, then light, then dark.
  const button = page.getByRole("button", { name: "Colours" });
  await button.click();
  assert.equal(await paper(), light);
  await page.reload();
  assert.equal(await paper(), light);
  await button.click();
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await paper(), dark);
  await button.click();
  assert.equal(await paper(), light);
  await leave(page);
});

test("everything is done with the keyboard alone, and the focus is seen", async () => {
  const page = await visit(browser, server.url);
  await page.waitForFunction(() => document.activeElement.id === "input");
  const { keyboard } = page;
  const until = async (key, found) => {
    for (let i = 0; i < 80; i += 1) {
      await keyboard.press(key);
      if (await page.evaluate(found)) return;
    }
    assert.fail(`not reached with ${key}: ${found}`);
  };
  await keyboard.type("One line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("and another");
  await keyboard.press("Enter");
  await settled(page);
  assert.deepEqual(await page.locator(".user .text").allTextContents(), ["One line\nand another"]);
  await until("Shift+Tab", () => document.activeElement.getAttribute("aria-label") === "Answer again");
  const outline = await page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return [outlineStyle, parseFloat(outlineWidth)];
  });
  assert.deepEqual(outline, ["solid", 2]);
  await keyboard.press("Enter");
  await settled(page);
  assert.equal(await answers(page).count(), 1);
  await until("Shift+Tab", () => document.activeElement.id === "open-settings");
  await keyboard.press("Enter");
  await page.locator("#settings[open]").waitFor();
  await until("Tab", () => document.activeElement.id === "setting-temperature");
  await keyboard.type("0.3");
  await keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement.id === "open-settings");
  await until("Shift+Tab", () => document.activeElement.className === "skip");
  const skip = await page.locator(".skip").boundingBox();
  assert.ok(skip.y >= 0, "the link is seen while it has the focus");
  await keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "input");
  await until("Shift+Tab", () => document.activeElement.className === "conversation");
  await keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "input");
  const unnamed = await page.locator("button, input, textarea, select").evaluateAll((all) =>
    all.filter((node) => !(node.ariaLabel || node.labels?.length || node.textContent.trim())).map((node) => node.outerHTML),
  );
  assert.deepEqual(unnamed, []);
  await leave(page);
});
