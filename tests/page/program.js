// The program under test, as a command that ends.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const FIXTURES = join(import.meta.dirname, "../../fixtures");

/** A folder that is there until the process ends. */
export const folder = mkdtempSync(join(tmpdir(), "sharpi-viewer-"));
process.on("exit", () => rmSync(folder, { recursive: true }));

/** What a command prints. */
export const run = (...args) => execFileSync(process.env.PROGRAM, args, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

/** The address of a page of graphs that the command writes. */
export function graphs(name, ...args) {
  const file = join(folder, `${name}.html`);
  run("dump-graph", "--format", "html", "-o", file, ...args);
  return `file://${file}`;
}

/** The file of the 27B shape, which takes next to no room. */
export function shape27b() {
  const file = join(folder, "27b.gguf");
  run("synth", "--preset", "27b", "--header-only", "-o", file);
  return file;
}
