// How the page is built: relative addresses (it is served under /ui/), one chunk for the map, licences beside the code.
import { readFileSync, readdirSync } from "node:fs";
import { defineConfig, type Plugin } from "vitest/config";

const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core", "maplibre-gl", "@fontsource-variable/inter", "world-atlas"];
const API = "http://127.0.0.1:8000";
const API_PATHS = ["/ui-config", "/galleries", "/search", "/tiles", "/scenes", "/feedback", "/queries", "/export"];

/** The licence texts of everything that ends up in the built files. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const texts = BUNDLED.map((name) => {
        const folder = `node_modules/${name}`;
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
        const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "";
        return `${name} ${version} (${license})\n\n${text}\n`;
      });
      this.emitFile({ type: "asset", fileName: "third-party.txt", source: texts.join(`\n${"-".repeat(80)}\n\n`) });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [licences()],
  build: {
    outDir: "../src/landsift/serve/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1300,
  },
  server: { proxy: Object.fromEntries(API_PATHS.map((path) => [path, API])) },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"] },
});
