// The page that `dump-graph --format html` writes: is all there, and can it be used?

import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, leave, shot, visit } from "./browser.js";
import { FIXTURES, folder, graphs, run, shape27b } from "./program.js";

let browser, large, page27b;

before(async () => {
  browser = await launch();
  large = await shape27b();
  page27b = await graphs("27b", large);
});
after(() => browser?.close());

const open = (url, options = {}) => visit(browser, url, { ready: "#panel h2", ...options });
/** Waits until what was asked for is painted. */
const painted = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const models = () => readdirSync(join(FIXTURES, "models")).map((file) => join(FIXTURES, "models", file));

/** Ops and edges of the stage as the page has them, and how often each op is drawn once all is unfolded. */
const inPage = (page, index) =>
  page.evaluate((at) => {
    const { page: host, stage, goTo } = window.viewer;
    goTo(at);
    const drawn = host.panes.at(-1).laid.map(({ items }) => items.flatMap(({ section }) => section?.ops.map((op) => op.index) ?? []));
    const operand = (o) => (o.kind === "value" ? `%${o.number}` : o.kind === "input" ? `%${o.name}` : `@${o.name}`);
    return stage(at).graphs.map((graph, i) => ({
      name: graph.name,
      ops: graph.ops.map((op) => [op.op, op.operands.map(operand), op.results.map(({ number, type, name }) => [`%${number}`, type, name])]),
      edges: graph.edges.filter(({ state }) => !state).map(({ from, input, to, slot }) => [from ? from.index : `%${input}`, to.index, slot]),
      drawn: drawn[i],
    }));
  }, index);

/** The same of the JSON form. */
function inJson(document) {
  return document.graphs.map(({ name, body }) => {
    const makers = new Map(body.flatMap(({ results }, i) => results.map(({ value }) => [value, i])));
    const type = ({ dtype, shape }) => `${dtype}[${shape.join(", ")}]`;
    return {
      name,
      ops: body.map(({ op, operands, results }) => [op, operands, results.map((result) => [result.value, type(result.type), result.name ?? null])]),
      edges: body.flatMap(({ operands }, to) => operands.flatMap((operand, slot) => (operand.startsWith("@") ? [] : [[makers.get(operand) ?? operand, to, slot]]))),
      drawn: body.map((_, i) => i),
    };
  });
}

/** Whole numbers are of type i32 in the JSON form, with what they count in the page. */
const asJson = (all) => all.map((graph) => ({ ...graph, ops: graph.ops.map(([op, operands, results]) => [op, operands, results.map(([value, type, name]) => [value, type.replace(/^(index<\w+>|position)/, "i32"), name])]) }));

/** Says of long lists where they begin to differ. */
function same(found, expected, where) {
  assert.equal(found.length, expected.length, where);
  found.forEach((graph, i) => {
    for (const part of ["ops", "edges", "drawn"]) {
      const lines = (all) => all[part].map((entry) => JSON.stringify(entry));
      const [a, b] = [lines(graph), lines(expected[i])];
      const at = b.findIndex((line, n) => line !== a[n]);
      assert.equal(a[at], b[at], `${where}: ${part} of @${graph.name}`);
      assert.equal(a.length, b.length, `${where}: ${part} of @${graph.name}`);
    }
  });
}

test("every op and every edge of every stage stands in the page once", async () => {
  const passes = (await run("passes")).split("\n").map((line) => line.split(" ")[0]).filter((name) => /^[a-z-]+$/.test(name));
  for (const model of [null, ...models(), large]) {
    const source = model ? ["-m", model] : [];
    const page = await open(await graphs("whole", ...source));
    await page.getByRole("button", { name: "Unfold all" }).click();
    const stages = await page.evaluate(() => window.viewer.doc.stages.map(({ pass }) => pass ?? "imported"));
    assert.deepEqual(stages.slice(1), passes);
    // The bundled models are alike: of all but one the ends are enough.
    const looked = model === null || model === large ? stages : [stages[0], stages.at(-1)];
    for (const stage of looked) {
      const json = JSON.parse(await run("dump-graph", ...source, "--no-fold", "--format", "json", "--stop-after", stage));
      same(asJson(await inPage(page, stages.indexOf(stage))), inJson(json), `${model} ${stage}`);
    }
    await leave(page);
  }
});

test("the page of the 27B shape is small, soon there, and moves smoothly with nothing folded", async () => {
  const size = statSync(new URL(page27b)).size;
  assert.ok(size < 3_000_000, `${size} bytes`);
  const times = [];
  for (let i = 0; i < 3; i += 1) {
    const page = await open(page27b);
    await painted(page);
    times.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
    await leave(page);
  }
  assert.ok(Math.min(...times) < 1000, `${times} ms`);
  const page = await open(await graphs("27b-whole", large, "--no-fold", "--stage", "imported"));
  const { ops, paints, frames } = await page.evaluate(async () => {
    const pane = window.viewer.page.panes[0];
    const [paints, frames] = [[], []];
    let before = null;
    for (const scale of [1, 0.3, 0.05]) {
      Object.assign(pane.view, { scale, x: 0, y: 0 });
      for (let i = 0; i < 40; i += 1) {
        const start = performance.now();
        pane.view.y += 40 / scale;
        pane.paint();
        paints.push(performance.now() - start);
        const now = await new Promise((done) => requestAnimationFrame(done));
        if (before !== null) frames.push(now - before);
        before = now;
      }
    }
    return { ops: pane.stage.graphs.reduce((sum, graph) => sum + graph.ops.length, 0), paints, frames };
  });
  const middle = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
  console.log(`27B: ${size} bytes, first paint ${Math.min(...times).toFixed(0)} ms; ${ops} ops unfolded: painting ${middle(paints).toFixed(1)} ms, a frame every ${middle(frames).toFixed(1)} ms`);
  assert.ok(ops > 1500);
  assert.ok(middle(paints) < 12, `${middle(paints)} ms`);
  await leave(page);
});

test("blocks fold and unfold under the mouse and the keyboard", async () => {
  const page = await open(page27b);
  const seen = () => page.evaluate(() => window.viewer.page.panes[0].laid[0].items.filter(({ kind }) => kind === "section").map(({ closed, times }) => [closed, times]));
  const folded = await seen();
  assert.ok(folded.some(([, times]) => times === 48) && folded.length < 8);
  const at = (what) =>
    page.evaluate((kind) => {
      const pane = window.viewer.page.panes[0];
      const laid = pane.laid[0];
      const { x, y } = kind === "frame" ? laid.frames.at(0) : laid.items.find(({ named }) => named);
      const box = pane.canvas.getBoundingClientRect();
      return { x: box.x + (laid.x + x + 20 - pane.view.x) * pane.view.scale, y: box.y + (laid.y + y + 12 - pane.view.y) * pane.view.scale };
    }, what);
  const click = async (what) => {
    const { x, y } = await at(what);
    await page.mouse.click(x, y);
  };
  await click("block");
  assert.equal((await seen()).filter(([closed]) => closed).length, 1);
  await click("block");
  assert.deepEqual(await seen(), folded);
  // Which frame stands first in the list is the inner or the outer one.
  await click("frame");
  assert.ok((await seen()).length > folded.length);
  await click("frame");
  assert.deepEqual(await seen(), folded);
  await page.evaluate(() => window.viewer.page.select(window.viewer.page.shownStage().graphs[0].ops[2]));
  await page.locator(".pane canvas").focus();
  await page.keyboard.press("Enter");
  assert.equal((await seen()).filter(([closed]) => closed).length, 1);
  await page.keyboard.press("Enter");
  await shot(page, "graphs-27b-light");
  await leave(page);
});

test("an op is found by its name, its tensor or its weight, and all is told of it", async () => {
  const page = await open(page27b);
  const selected = () => page.evaluate(() => window.viewer.page.selection && { op: window.viewer.page.selection.op, block: window.viewer.page.selection.section.block });
  await page.keyboard.press("/");
  await page.keyboard.type("blk.7.attn_q");
  await page.locator("#found [role=option]").first().waitFor();
  await page.keyboard.press("Enter");
  assert.deepEqual(await selected(), { op: "product", block: 7 });
  const panel = page.locator("#panel");
  for (const text of ["block 7", "weights", "@blk.7.attn_q", "tensor blk.7.attn_q.weight", "multiply-adds", "panels of 16 rows", "q8_k", "step", "norm_eps"]) {
    await panel.getByText(text, { exact: false }).first().waitFor();
  }
  await page.locator("#find").fill("l_out-12");
  await page.locator("#found [role=option]").first().click();
  assert.equal((await selected()).block, 12);
  await page.locator("#find").fill("no such thing");
  await page.getByText("Nothing is called so.").waitFor();
  // Paths: nearest, then all that feeds it.
  await page.keyboard.press("Escape");
  const near = () =>
    page.evaluate(() => {
      const { page: host } = window.viewer;
      host.look(host.panes[0]);
      return [host.near.before.size, host.near.after.size];
    });
  const [before] = await near();
  await page.locator(".pane canvas").focus();
  await page.keyboard.press("p");
  const [all, none] = await near();
  assert.ok(all > before && none === 0, `${before} ${all} ${none}`);
  await leave(page);
});

test("the slider goes through the passes, and what they did is told and marked", async () => {
  const page = await open(await graphs("tiny"));
  await page.getByRole("tab", { name: "Pass" }).click();
  await page.locator("#stage").focus();
  await page.keyboard.press("Home");
  await page.locator("#panel h2", { hasText: "imported" }).waitFor();
  await page.keyboard.press("ArrowRight");
  await page.getByText("round-before-product, 32 times").waitFor();
  const stats = JSON.parse(await run("dump-graph", "--pass-stats", "--format", "json"));
  const told = await page.evaluate(() => window.viewer.doc.stages.map(({ pass, graphs }) => ({ pass, graphs: graphs.map(({ name, rewrites }) => ({ name, rules: rewrites.reduce((all, [rule]) => ({ ...all, [rule]: (all[rule] ?? 0) + 1 }), {}) })) })));
  for (const { pass, graph, rewrites } of stats.passes) {
    const part = told.find((stage) => stage.pass === pass).graphs.find(({ name }) => name === graph);
    assert.deepEqual(part.rules, rewrites, `${pass} ${graph}`);
  }
  // Ops in all: those before, and those that came, without those that went.
  for (let i = 1; i < told.length; i += 1) {
    const counts = await page.evaluate((at) => {
      const { look, panes } = window.viewer.page;
      window.viewer.goTo(at);
      const marks = look(panes[0]);
      return window.viewer.stage(at).graphs.map((graph) => ({ ops: graph.ops.length, before: window.viewer.stage(at - 1).graphs.find(({ name }) => name === graph.name).ops.length, added: graph.ops.filter((op) => marks.changed(op) === "added").length, rewrites: graph.rewrites.length }));
    }, i);
    for (const { ops, before, added, rewrites } of counts) assert.ok(rewrites > 0 ? added <= ops : ops === before, JSON.stringify(counts));
  }
  await leave(page);
});

test("two stages stand side by side, and what is selected is selected in both", async () => {
  const page = await open(await graphs("tiny"));
  await page.evaluate(() => window.viewer.goTo(window.viewer.doc.stages.findIndex(({ pass }) => pass === "fuse-epilogue")));
  await page.getByRole("button", { name: "Compare" }).click();
  assert.equal(await page.locator(".pane").count(), 2);
  const pairs = await page.evaluate(() => {
    const { page: host } = window.viewer;
    const [left, right] = host.panes;
    return right.stage.graphs[0].ops.map((op) => {
      host.select(op, right);
      const twin = host.selectedIn(left);
      return [op.op, twin?.op ?? null, twin?.id === op.id, host.look(right).changed(op)];
    });
  });
  for (const [op, twin, same, how] of pairs) {
    assert.ok(twin, `${op} came from somewhere`);
    if (how !== "added") assert.ok(same && op === twin, `${op} ${twin} ${how}`);
  }
  assert.ok(pairs.some(([op, twin, , how]) => how === "added" && op === "product" && twin === "matmul"), JSON.stringify(pairs));
  const gone = await page.evaluate(() => {
    const { page: host } = window.viewer;
    const [left] = host.panes;
    const removed = left.stage.graphs[0].ops.filter((op) => host.look(left).changed(op) === "removed");
    host.select(host.panes[1].stage.graphs[0].ops[5], host.panes[1]);
    return removed.length;
  });
  assert.ok(gone > 0);
  // And any other stage: what is in both is the same op.
  await page.getByLabel("with").selectOption("imported");
  const kinds = await page.evaluate(() => {
    const { page: host } = window.viewer;
    const [left, right] = host.panes;
    const both = (graph, other) => graph.ops.filter((op) => other.byId.has(op.id));
    const marked = (pane) => pane.stage.graphs[0].ops.filter((op) => host.look(pane).changed(op)).length;
    const [a, b] = [left.stage.graphs[0], right.stage.graphs[0]];
    return { stages: [left, right].map(({ stage }) => window.viewer.doc.stages[stage.index].pass ?? "imported"), left: both(a, b).length + marked(left) - a.ops.length, right: both(b, a).length + marked(right) - b.ops.length };
  });
  assert.deepEqual(kinds, { stages: ["imported", "fuse-epilogue"], left: 0, right: 0 });
  await page.getByRole("tab", { name: "Pass" }).click();
  await page.locator("#panel .rule .link").first().click();
  assert.ok(await page.evaluate(() => window.viewer.page.selection !== null));
  await shot(page, "graphs-compare-light");
  await leave(page);
});

test("steps and the arena are drawn, and lead to their ops", async () => {
  const page = await open(await graphs("tiny"));
  const canvas = page.locator("canvas.lanes");
  const box = await canvas.boundingBox();
  const found = await page.evaluate(() => {
    const { lanes, graph } = window.viewer.page.plan;
    const ops = lanes.steps.flatMap(({ cells }) => cells.map(({ op }) => op.index));
    const views = graph.ops.filter(({ step }) => step < 0).map(({ index }) => index);
    return { all: [...ops, ...views].sort((a, b) => a - b), count: graph.ops.length, steps: lanes.steps.length, planned: graph.plan.steps, arena: graph.plan.arena };
  });
  assert.deepEqual(found.all, [...Array(found.count).keys()]);
  assert.equal(found.steps, found.planned);
  for (const [, offset, bytes] of found.arena.values) assert.ok(offset + bytes <= found.arena.bytes);
  const width = box.width / found.steps;
  await canvas.click({ position: { x: width * 3.5, y: 26 } });
  assert.equal(await page.evaluate(() => window.viewer.page.selection.step), 3);
  const value = found.arena.values.findLast(([number, , bytes]) => number >= 0 && bytes * 30 > found.arena.bytes);
  const top = await page.evaluate(() => window.viewer.page.plan.lanes.lanesHeight());
  await canvas.click({ position: { x: width * (value[3] + 0.5), y: top + (110 * (value[1] + value[2] / 2)) / found.arena.bytes } });
  const made = await page.evaluate(() => window.viewer.page.selection.results.map(({ number }) => number));
  assert.ok(made.includes(value[0]));
  await leave(page);
});

/** A machine that is as fast as the tests want it. */
function ceilings() {
  const file = join(folder, "ceilings.json");
  const rates = [{ threads: 1, read_bytes: 1e10, int_macs: 1e11, f32_macs: 5e10 }];
  writeFileSync(file, JSON.stringify({ cpu: "a machine", simd: "avx2", rates }));
  return file;
}

test("a page of a profile shows what ops took, beside what they would take at best", async () => {
  const [html, measured] = [join(folder, "profile.html"), join(folder, "profile.json")];
  await run("profile", "-p", "KING RICHARD III:", "-n", "4", "-t", "1", "--ceilings", ceilings(), "--html", html, "--export-graph", measured);
  const page = await open(`file://${html}`);
  await page.getByRole("tab", { name: "Cost" }).click();
  const percents = await page.locator("#panel .step-row").locator("> .share, > summary > .share").allTextContents();
  const sum = percents.reduce((all, text) => all + parseFloat(text), 0);
  assert.ok(Math.abs(sum - 100) < 0.1 * percents.length, `${sum} of 100`);
  assert.ok((await page.locator(".roofline circle").count()) > 10);
  assert.equal(await page.locator(".roofline .roof").count(), 2);
  for (const measure of ["macs", "bytes", "best", "measured", "over", "waiting"]) {
    await page.locator("#colour").selectOption(measure);
    const painted = await page.evaluate(() => new Set(window.viewer.page.shownStage().graphs[0].ops.map(window.viewer.page.paint)).size);
    assert.ok(measure === "waiting" || painted > 3, `${measure}: ${painted} colours`);
  }
  await page.getByRole("button", { name: "Wide as their time" }).click();
  await shot(page, "graphs-profile-light");
  await leave(page);
  const again = await open(await graphs("measured", "--no-draft", "--measured", measured, "--ceilings", ceilings()));
  assert.equal(await again.evaluate(() => window.viewer.doc.measured.parts.length), 2);
  await leave(again);
});

test("names of a file are text, whatever stands in them", async () => {
  const name = `</script><img src=x onerror=hacked=1><!--\\"&'\u2028`;
  const file = join(folder, `${name.replaceAll("/", "").replaceAll("\\", "").replaceAll('"', "")}.sir`);
  writeFileSync(file, `module @"${name}" {\n weight @"${name}" : f32[2] = "${name}"\n graph @"${name}"(%"${name}": f32[2]) -> (%"${name}": f32[2]) {\n  %0 = mul %"${name}", @"${name}" : f32[2] as "${name}"\n  return %"${name}" = %0\n }\n}\n`);
  const url = await graphs("hostile", file);
  const page = await open(url);
  const nodes = () => page.evaluate(() => [document.images.length, document.querySelectorAll("script").length, typeof hacked]);
  assert.deepEqual(await nodes(), [0, 3, "undefined"]);
  await page.evaluate(() => window.viewer.page.select(window.viewer.page.shownStage().graphs[0].ops[0]));
  for (const tab of ["Pass", "Cost", "Op"]) await page.getByRole("tab", { name: tab }).click();
  await page.locator("#find").fill("onerror");
  await page.locator("#found [role=option]").first().waitFor();
  await page.getByText("<img src=x onerror=hacked=1>").first().waitFor();
  assert.deepEqual(await nodes(), [0, 3, "undefined"]);
  await leave(page);
});

/** Texts of a canvas as they are painted: where, and what. */
const texts = (page) =>
  page.evaluate(() => {
    const found = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function fillText(text, x, y) {
      const { width, actualBoundingBoxAscent: up, actualBoundingBoxDescent: down } = this.measureText(text);
      const matrix = this.getTransform();
      const [a, b] = [matrix.transformPoint(new DOMPoint(x, y - up)), matrix.transformPoint(new DOMPoint(x + width, y + down))];
      if (text.trim()) found.push({ text, left: a.x, top: a.y, right: b.x, bottom: b.y });
      write.call(this, text, x, y);
    };
    for (const pane of window.viewer.page.panes) pane.paint();
    CanvasRenderingContext2D.prototype.fillText = write;
    return found;
  });

function overlaps(found) {
  const pairs = [];
  found.forEach((a, i) => {
    for (const b of found.slice(i + 1)) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 0.5 && down > 0.5) pairs.push(`${a.text} | ${b.text}`);
    }
  });
  return pairs;
}

test("no text lies on another, at any stage and size, light or dark, on a screen or on a phone", async () => {
  const sizes = [["desktop", { width: 1440, height: 900 }], ["phone", { width: 390, height: 844 }]];
  for (const [name, viewport] of sizes) {
    const page = await open(page27b, { viewport });
    for (const stage of [0, 6, 12]) {
      for (const scale of [1.5, 1, 0.6, 0.35, 0.2]) {
        await page.evaluate(([at, zoom]) => {
          window.viewer.goTo(at);
          Object.assign(window.viewer.page.panes[0].view, { scale: zoom, x: 0, y: 0 });
        }, [stage, scale]);
        const found = await texts(page);
        assert.ok(found.length > 0);
        assert.deepEqual(overlaps(found), [], `${name}, stage ${stage}, scale ${scale}`);
      }
    }
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
    await page.evaluate(() => window.viewer.page.panes[0].home());
    await page.emulateMedia({ colorScheme: "dark" });
    await painted(page);
    await shot(page, `graphs-27b-${name}-dark`);
    if (name === "desktop") await page.pdf({ path: join(process.env.PAGE_SHOTS ?? folder, "graphs-27b.pdf") });
    const [w, h] = await page.evaluate(() => window.viewer.page.panes[0].size);
    assert.ok(w > 100 && h > 100, `${name}: ${w} x ${h} for the graph`);
    await leave(page);
  }
});

test("the graph is walked with the keyboard alone", async () => {
  const page = await open(await graphs("tiny"));
  const { keyboard } = page;
  const until = async (found) => {
    for (let i = 0; i < 40; i += 1) {
      await keyboard.press("Tab");
      if (await page.evaluate(found)) return;
    }
    assert.fail(`not reached: ${found}`);
  };
  await until(() => document.activeElement.matches(".pane canvas"));
  const selected = () => page.evaluate(() => [window.viewer.page.selection?.op, window.viewer.page.selection?.index]);
  await keyboard.press("ArrowDown");
  assert.deepEqual(await selected(), ["embed", 0]);
  await keyboard.press("ArrowDown");
  const [, next] = await selected();
  assert.ok(next > 0);
  await keyboard.press("ArrowUp");
  assert.deepEqual(await selected(), ["embed", 0]);
  await keyboard.press("ArrowRight");
  assert.equal((await selected())[1], 1);
  await page.locator("#announcer", { hasText: "trunk" }).waitFor({ state: "attached" });
  await keyboard.press("[");
  await page.locator("#stage-names .current", { hasText: "schedule" }).waitFor();
  await keyboard.press("c");
  assert.equal(await page.locator(".pane").count(), 2);
  await until(() => document.activeElement.id === "tab-op");
  await keyboard.press("ArrowRight");
  await page.locator("#panel h2", { hasText: "schedule" }).waitFor();
  const unnamed = await page.locator("button, input, select, canvas").evaluateAll((all) =>
    all.filter((node) => !(node.ariaLabel || node.labels?.length || node.textContent.trim())).map((node) => node.outerHTML),
  );
  assert.deepEqual(unnamed, []);
  await leave(page);
});
