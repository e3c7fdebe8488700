// The conversation: what is said is streamed, stopped, kept, changed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answers, launch, leave, send, settled, shot, visit } from "./browser.js";
import { DONE, Gate, chunk, startServer } from "./server.js";

let server, gate, browser;

before(async () => {
  server = await startServer("--temp", "0", "-n", "24");
  gate = await new Gate(server).start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await gate?.stop();
  await server?.stop();
});

const prose = (page) => answers(page).last().locator(".prose");

/** Waits until the answer of this number has text. */
const shows = (page, i) => page.waitForFunction((i) => document.querySelectorAll(".answer .prose")[i]?.textContent.length > 0, i);

/** The last message that the browser's database has, as text. */
async function lastKept() {
  const opening = indexedDB.open("sharpi");
  const database = await new Promise((resolve) => (opening.onsuccess = () => resolve(opening.result)));
  const all = database.transaction("conversations").objectStore("conversations").getAll();
  const found = await new Promise((resolve) => (all.onsuccess = () => resolve(all.result)));
  database.close();
  return found.at(-1).messages.at(-1).content;
}

async function running() {
  const report = await (await fetch(`${server.url}/v1/engine`)).json();
  return report.stats.running;
}

test("an answer is seen as it grows, and is the one that the server gives", async () => {
  const page = await visit(browser, gate.url);
  const held = gate.hold();
  await send(page, "Who art thou?");
  await page.locator("body.busy").waitFor();
  const seen = [];
  for (let i = 0; i < 3; i += 1) {
    held.let(3);
    const before = seen.at(-1) ?? "";
    await page.waitForFunction((n) => document.querySelector(".answer .prose").textContent.length > n, before.length);
    seen.push(await prose(page).textContent());
    assert.ok(seen.at(-1).startsWith(before), seen.join(" | "));
    assert.equal(await page.locator(".answer").getAttribute("aria-busy"), "true");
  }
  held.let(1e6);
  await settled(page);
  const body = { ...gate.asked.at(-1), stream: false };
  const asked = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const whole = await (await fetch(`${server.url}/v1/chat/completions`, asked)).json();
  const told = whole.choices[0].message.content;
  assert.equal(await page.evaluate(() => document.querySelector(".answer .prose").innerText.trim()), told.trim());
  assert.match(await page.locator(".stats").textContent(), /^\d+ tokens · .* a second/);
  assert.ok((await page.locator("#announcer").textContent()).includes(told.trim().split("\n")[0]));
  await leave(page);
});

test("an answer is stopped by the button and by Escape, and the server hears of it", async () => {
  const page = await visit(browser, gate.url);
  const ways = [() => page.locator("#send").click(), () => page.keyboard.press("Escape")];
  for (const [i, stop] of ways.entries()) {
    const held = gate.hold();
    const left = gate.left;
    await send(page, "Speak on.");
    held.let(4);
    await shows(page, i);
    assert.equal(await page.locator("#send").getAttribute("aria-label"), "Stop");
    await stop();
    await settled(page);
    assert.equal(await answers(page).last().locator(".note").textContent(), "Stopped.");
    assert.equal(await page.locator("#send").getAttribute("aria-label"), "Send");
    while (gate.left === left) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  while ((await running()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await leave(page);
});

test("a reload keeps the conversation, even in the middle of an answer", async () => {
  const page = await visit(browser, gate.url);
  await send(page, "Remember me.");
  await settled(page);
  const first = await prose(page).textContent();
  const held = gate.hold();
  await send(page, "And now?");
  held.let(4);
  await shows(page, 1);
  const partial = await prose(page).textContent();
  // It is kept a few times a second: as soon as it is, the page may go.
  while (!(await page.evaluate(lastKept)).includes(partial.trim())) await page.waitForTimeout(20);
  await page.reload();
  await answers(page).nth(1).waitFor();
  assert.equal(await answers(page).first().locator(".prose").textContent(), first);
  const again = await prose(page).textContent();
  assert.ok(again.startsWith(partial.trim()), `${again} | ${partial}`);
  assert.match(await answers(page).last().locator(".note").textContent(), /left before/);
  assert.equal(await page.locator(".error").count(), 0);
  assert.deepEqual(await page.locator(".user .text").allTextContents(), ["Remember me.", "And now?"]);
  await leave(page);
});

test("an answer is made again, and a message changed, and what followed goes", async () => {
  const page = await visit(browser, gate.url);
  await send(page, "First.");
  await settled(page);
  await send(page, "Second.");
  await settled(page);
  await answers(page).last().getByRole("button", { name: "Answer again" }).click();
  await settled(page);
  assert.equal(await answers(page).count(), 2);
  assert.deepEqual(gate.asked.at(-1).messages, gate.asked.at(-2).messages);
  const first = page.locator(".message.user").first();
  await first.hover();
  await first.getByRole("button", { name: "Edit" }).click();
  await page.locator("textarea.edit").fill("Changed.");
  await page.locator("textarea.edit").press("Enter");
  await settled(page);
  assert.deepEqual(await page.locator(".user .text").allTextContents(), ["Changed."]);
  assert.deepEqual(gate.asked.at(-1).messages, [{ role: "user", content: "Changed." }]);
  await leave(page);
});

test("conversations are begun, opened again, deleted and taken back", async () => {
  const page = await visit(browser, gate.url);
  await send(page, "The first one");
  await settled(page);
  await page.getByRole("button", { name: "New conversation" }).click();
  assert.equal(await answers(page).count(), 0);
  await send(page, "The second one");
  await settled(page);
  const titles = () => page.locator(".conversation").allTextContents();
  assert.deepEqual(await titles(), ["The second one", "The first one"]);
  await page.getByRole("button", { name: "The first one", exact: true }).click();
  assert.deepEqual(await page.locator(".user .text").allTextContents(), ["The first one"]);
  await page.getByRole("button", { name: "Delete: The first one" }).click();
  await page.getByRole("button", { name: "Take it back" }).waitFor();
  assert.deepEqual(await titles(), ["The second one"]);
  await page.getByRole("button", { name: "Take it back" }).click();
  await page.getByRole("button", { name: "The first one", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "The first one", exact: true }).waitFor();
  await leave(page);
});

test("reasoning is folded, calls are shown with their arguments, and results go back", async () => {
  const page = await visit(browser, gate.url);
  const call = (name, text) => ({ tool_calls: [{ index: 0, ...(name ? { id: "call_1" } : {}), function: { ...(name ? { name } : {}), arguments: text } }] });
  const events = [
    chunk({ role: "assistant", content: null }),
    chunk({ reasoning_content: "Hm. I should löök" }),
    chunk({ reasoning_content: " it up." }),
    chunk({ content: "Let me see. 🌦" }),
    chunk(call("get_weather", "")),
    chunk(call(null, '{"city":"Lon')),
    chunk(call(null, 'don","days":3}')),
    chunk({}, "tool_calls"),
    DONE,
  ];
  // Pieces of three bytes cut letters in the middle.
  gate.script(events, { bytes: 3 });
  await send(page, "Will it rain?");
  await settled(page);
  const answer = answers(page).last();
  assert.equal(await answer.locator(".thoughts").textContent(), "Hm. I should löök it up.");
  assert.equal(await answer.locator(".thoughts").isVisible(), false);
  await answer.locator("summary").click();
  assert.equal(await answer.locator(".thoughts").isVisible(), true);
  assert.equal(await prose(page).textContent(), "Let me see. 🌦");
  assert.equal(await answer.locator(".call h3 code").textContent(), "get_weather");
  assert.equal(await answer.locator(".call pre").textContent(), '{\n  "city": "London",\n  "days": 3\n}');
  await shot(page, "calls");
  gate.script([chunk({ content: "It will." }), chunk({}, "stop"), DONE]);
  await page.getByLabel("Result").fill("rain");
  await page.getByRole("button", { name: "Give the result" }).click();
  await settled(page);
  assert.equal(await prose(page).textContent(), "It will.");
  const [, asked, result] = gate.asked.at(-1).messages;
  assert.equal(asked.reasoning_content, "Hm. I should löök it up.");
  assert.deepEqual(asked.tool_calls[0].function, { name: "get_weather", arguments: '{"city":"London","days":3}' });
  assert.deepEqual(result, { role: "tool", content: "rain", tool_call_id: "call_1", name: "get_weather" });
  await leave(page);
});

test("hostile text stays text wherever it stands", async () => {
  const page = await visit(browser, gate.url);
  const hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  const link = "[here](javascript:window.hacked=1) ![p](https://example.org/p.png) [data](data:text/html,x)";
  gate.script([
    chunk({ reasoning_content: hostile }),
    chunk({ content: `${hostile}\n\n# ${hostile}\n\n- ${hostile}\n\n> ${hostile}\n\n| a ${hostile} |\n|---|\n| ${hostile} |\n\n\`\`\`${hostile}\n${hostile}\n\`\`\`\n\n${link}` }),
    chunk({ tool_calls: [{ index: 0, id: hostile, function: { name: hostile, arguments: hostile } }] }),
    chunk({}, "stop"),
    DONE,
  ]);
  await send(page, hostile);
  await settled(page);
  assert.equal(await page.locator(".user .text").textContent(), hostile);
  assert.equal(await page.locator(".conversation").textContent(), [...hostile].slice(0, 60).join("") + "…");
  assert.ok((await prose(page).textContent()).split(hostile).length >= 7);
  assert.ok((await prose(page).textContent()).includes("[here](javascript:window.hacked=1)"));
  gate.script([JSON.stringify({ error: { type: "invalid_request_error", message: hostile } })], { status: 400 });
  await answers(page).last().getByRole("button", { name: "Answer again" }).click();
  await settled(page);
  assert.ok((await page.locator(".error").textContent()).includes(hostile));
  assert.equal(await page.locator("main img, main script, aside img, nav img").count(), 0);
  assert.deepEqual(await page.locator("main a").evaluateAll((all) => all.map((a) => new URL(a.href).protocol)), []);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await leave(page, "status of 400");
});

test("Markdown becomes elements, and odd texts do not hold the page up", async () => {
  const page = await visit(browser, gate.url);
  const text = "Some **bold**, *soft* and `code`, see [there](https://example.org/a).\n\n1. one\n2. two\n   - inner\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> said\n\n---\nend";
  gate.script([chunk({ content: text }), chunk({}, "stop"), DONE], { bytes: 7 });
  await send(page, "Markdown");
  await settled(page);
  const found = (selector) => prose(page).locator(selector).allTextContents();
  assert.deepEqual(await found("strong"), ["bold"]);
  assert.deepEqual(await found("em"), ["soft"]);
  assert.deepEqual(await found("p > code"), ["code"]);
  assert.deepEqual(await found("ol > li > p"), ["one", "two"]);
  assert.deepEqual(await found("ol ul li"), ["inner"]);
  assert.deepEqual(await found("pre"), ["fn main() {}"]);
  assert.deepEqual(await found("td"), ["1", "2"]);
  assert.deepEqual(await found("blockquote"), ["said"]);
  assert.equal(await prose(page).locator("a").getAttribute("href"), "https://example.org/a");
  await shot(page, "markdown");
  const odd = ["`".repeat(9000), "*".repeat(9000), "[".repeat(9000), `- ${" ".repeat(9000)}x`, "> ".repeat(5000), `# ${"#".repeat(9000)} x`, `|a\n${"-|".repeat(4000)}x`, "_a".repeat(5000), "- ".repeat(5000)];
  gate.script([chunk({ content: odd.join("\n\n") }), chunk({}, "stop"), DONE]);
  await send(page, "Odd");
  await settled(page);
  assert.ok((await prose(page).textContent()).includes("[".repeat(9000)));
  await leave(page);
});

test("errors are told in words, with what to do, and can be tried again", async () => {
  const page = await visit(browser, gate.url);
  await send(page, "word ".repeat(900));
  await settled(page);
  const error = await page.locator(".error").textContent();
  assert.match(error, /context has room for 512/);
  assert.match(error, /Begin a new conversation/);
  gate.script([chunk({ content: "Half" })]);
  await page.getByRole("button", { name: "Try again" }).click();
  await settled(page);
  assert.match(await page.locator(".error").textContent(), /connection broke.*Try again/);
  assert.equal(await prose(page).textContent(), "Half");
  gate.script([chunk({ content: "Half" }), JSON.stringify({ error: { code: 503, message: "the server is being stopped" } })]);
  await page.getByRole("button", { name: "Try again" }).click();
  await settled(page);
  assert.match(await page.locator(".error").textContent(), /is being stopped.*when it is back/);
  await page.route("**/v1/chat/completions", (route) => route.abort("connectionrefused"));
  await page.getByRole("button", { name: "Try again" }).click();
  await settled(page);
  assert.match(await page.locator(".error").textContent(), /cannot be reached.*still runs/);
  await page.unroute("**/v1/chat/completions");
  gate.script([chunk({ content: "At last." }), chunk({}, "stop"), DONE]);
  await page.getByRole("button", { name: "Try again" }).click();
  await settled(page);
  assert.equal(await prose(page).textContent(), "At last.");
  assert.equal(await page.locator(".error").count(), 0);
  await leave(page, "status of 400", "ERR_CONNECTION_REFUSED");
});

test("settings go into the request, wrong ones are told, and a reload keeps them", async () => {
  const page = await visit(browser, gate.url);
  await page.getByRole("button", { name: "Settings" }).click();
  assert.equal(await page.getByLabel("Temperature").getAttribute("placeholder"), "0");
  await page.getByLabel("Temperature").fill("hot");
  assert.equal(await page.locator("#setting-temperature-error").textContent(), "A number is expected.");
  await page.getByRole("button", { name: "Done" }).click();
  const asked = gate.asked.length;
  await send(page, "Not yet");
  await page.locator("#settings[open]").waitFor();
  assert.equal(gate.asked.length, asked);
  await page.getByLabel("Temperature").fill("0.5");
  await page.getByLabel("System prompt").fill("Be brief.");
  await page.getByLabel("Top-k").fill("7");
  await page.getByLabel("Seed").fill("11");
  await page.getByLabel("Most tokens").fill("5");
  await page.getByLabel("Thinking").selectOption("off");
  await page.locator("#settings summary").click();
  await page.getByLabel("Tools as JSON").fill("[{]");
  assert.match(await page.locator("#setting-tools-error").textContent(), /not JSON/);
  await page.getByLabel("Tools as JSON").fill("[]");
  await page.keyboard.press("Escape");
  await page.reload();
  await send(page, "Now");
  await settled(page);
  const { messages, temperature, top_k, seed, max_tokens, chat_template_kwargs, stream, top_p } = gate.asked.at(-1);
  assert.deepEqual(messages, [{ role: "system", content: "Be brief." }, { role: "user", content: "Now" }]);
  assert.deepEqual({ temperature, top_k, seed, max_tokens, stream, top_p }, { temperature: 0.5, top_k: 7, seed: 11, max_tokens: 5, stream: true, top_p: undefined });
  assert.deepEqual(chat_template_kwargs, { enable_thinking: false });
  assert.match(await page.locator(".stats").textContent(), /^[1-5] tokens/);
  await leave(page);
});
