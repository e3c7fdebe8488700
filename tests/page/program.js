// The program under test, as a command that ends.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const FIXTURES = join(import.meta.dirname, "../../fixtures");

/** A folder that is there until the process ends. */
export const folder = mkdtempSync(join(tmpdir(), "sharpi-viewer-"));
process.on("exit", () => rmSync(folder, { recursive: true }));

/** What a command prints, which takes a minute at most. */
export async function run(...args) {
  const options = { encoding: "utf8", maxBuffer: 1 << 28, timeout: 60_000 };
  const { stdout } = await promisify(execFile)(process.env.PROGRAM, args, options);
  return stdout;
}

/** The address of a page of graphs that the command writes. */
export async function graphs(name, ...args) {
  const file = join(folder, `${name}.html`);
  await run("dump-graph", "--format", "html", "-o", file, ...args);
  return `file://${file}`;
}

/** The file of the 27B shape, which takes next to no room. */
export async function shape27b() {
  const file = join(folder, "27b.gguf");
  await run("synth", "--preset", "27b", "--header-only", "-o", file);
  return file;
}
