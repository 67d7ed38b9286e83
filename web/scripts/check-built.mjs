// Builds the page into a temporary folder and compares it, byte for byte, with the files kept in the Python package.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const web = fileURLToPath(new URL("..", import.meta.url));
const kept = join(web, "../src/landsift/serve/page");
const fresh = mkdtempSync(join(tmpdir(), "landsift-page-"));

const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

try {
  await build({ root: web, logLevel: "warn", build: { outDir: fresh } });
  const names = new Set([...filesOf(kept), ...filesOf(fresh)]);
  const read = (folder, name) => {
    try {
      return readFileSync(join(folder, name));
    } catch {
      return null;
    }
  };
  const different = [...names].filter((name) => {
    const [a, b] = [read(kept, name), read(fresh, name)];
    return a === null || b === null || !a.equals(b);
  });
  if (different.length > 0) {
    console.error(`The built page is stale: ${different.join(", ")}. Run "npm run build" in web/ and keep the result.`);
    process.exitCode = 1;
  } else {
    console.log(`The built page matches its sources: ${names.size} files.`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
