// A stand-in for `landsift serve` with any number of made-up tiles, for work on the page and for measuring its map:
//   npm run mock -- --tiles 100000 --port 8000
// Answers the same routes with the same headers; searches are a hash of words and tile.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { crc32, deflateSync } from "node:zlib";

const { values: options } = parseArgs({ options: { tiles: { type: "string", default: "2000" }, port: { type: "string", default: "8000" } } });
const TILES = Number(options.tiles);
const PAGE = fileURLToPath(new URL("../../src/landsift/serve/page/", import.meta.url));
const POLICY = "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'";
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain" };
const GALLERY = "made-up";
const SIDE = 10; // tiles along a scene's edge
const STEP = 0.02; // degrees a tile

const random = (seed) => {
  const x = Math.sin(seed * 127.1 + 311.7) * 43758.5453;
  return x - Math.floor(x);
};
const hash = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 1_000_003, 7);

const scenes = Array.from({ length: Math.ceil(TILES / SIDE ** 2) }, (_, i) => {
  const [w, s] = [5 + (i % 40) * 0.21, 44 + Math.floor(i / 40) * 0.21];
  const date = new Date(Date.UTC(2015, 0, 1) + Math.floor(random(i) * 3650) * 86_400_000).toISOString().slice(0, 10);
  return { id: `scene-${i}`, name: `Scene ${i}`, date, gsd: 10, bounds: [w, s, w + SIDE * STEP, s + SIDE * STEP], tiles: Math.min(SIDE ** 2, TILES - i * SIDE ** 2) };
});
const tiles = Array.from({ length: TILES }, (_, i) => {
  const scene = Math.floor(i / SIDE ** 2);
  const [w, s] = [scenes[scene].bounds[0] + (i % SIDE) * STEP, scenes[scene].bounds[1] + (Math.floor(i / SIDE) % SIDE) * STEP];
  return { id: `scene-${scene}_s1_x${(i % SIDE) * 256}_y${(Math.floor(i / SIDE) % SIDE) * 256}`, scene, ring: [w, s + STEP, w + STEP, s + STEP, w + STEP, s, w, s].map((value) => Number(value.toFixed(5))) };
});
const labels = new Map();

const item = (tile, score, rank) => ({
  id: tile.id,
  type: "Feature",
  collection: GALLERY,
  geometry: { type: "Polygon", coordinates: [[0, 2, 4, 6, 0].map((at) => tile.ring.slice(at, at + 2))] },
  properties: { datetime: `${scenes[tile.scene].date}T00:00:00Z`, gsd: 10, "landsift:score": score, "landsift:rank": rank, "landsift:percentile": (100 * rank) / TILES, "landsift:scene": scenes[tile.scene].name },
});

function search(body) {
  const seed = hash(JSON.stringify([body.q, body["landsift:like"], body["landsift:not"]]));
  const [first, last] = (body.datetime ?? "../..").split("/").map((end) => (end === ".." ? null : end.slice(0, 10)));
  const scored = tiles
    .map((tile, i) => [tile, 0.5 * random(i + seed) ** 2])
    .filter(([tile, score]) => score >= (body["landsift:min_score"] ?? 0) && (!first || scenes[tile.scene].date >= first) && (!last || scenes[tile.scene].date <= last))
    .sort((a, b) => b[1] - a[1]);
  const skip = Number(body.token ?? 0);
  const page = scored.slice(skip, skip + (body.limit ?? 10)).map(([tile, score], i) => item(tile, score, skip + i + 1));
  const counts = new Array(40).fill(0);
  scored.forEach(([, score]) => counts[Math.min(39, Math.floor(score * 80))]++);
  return {
    type: "FeatureCollection",
    features: page,
    numberMatched: scored.length,
    numberReturned: page.length,
    links: skip + page.length < scored.length ? [{ rel: "next", href: "/search", method: "POST", body: { token: String(skip + page.length) } }] : [],
    "landsift:histogram": { edges: Array.from({ length: 41 }, (_, i) => i / 80), counts },
    "landsift:explain": { path: "exact scan", searched: scored.length, total: TILES, encode_ms: 5, search_ms: 12, bytes: TILES * 1024, notes: [] },
  };
}

function picture(seed) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const head = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]);
  const pixel = Buffer.from([0, 60 + 90 * random(seed), 80 + 70 * random(seed + 1), 50 + 60 * random(seed + 2)]);
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head), chunk("IDAT", deflateSync(pixel)), chunk("IEND", Buffer.alloc(0))]);
}

const routes = [
  [/^\/ui-config$/, () => ({ galleries: [{ id: GALLERY, title: "Made up", tiles: TILES, scenes: scenes.length, bounds: null, dates: null, encoder: { name: "none", dim: 0 } }], read_only: false, examples: ["a harbour with boats", "fields in circles"], version: "0" })],
  [/^\/galleries\/[^/]+\/footprints$/, () => ({ count: TILES, ids: tiles.map(({ id }) => id), scene: tiles.map(({ scene }) => scene), scenes, rings: tiles.flatMap(({ ring }) => ring), gsd: tiles.map(() => 10), dates: scenes.map(({ date }) => date) })],
  [/^\/galleries\/[^/]+\/dates$/, () => ({ days: scenes.map(({ date }) => date), tiles: scenes.map((scene) => scene.tiles) })],
  [/^\/galleries\/[^/]+\/place\//, () => ({ tiles: tiles.slice(0, 4).map((tile, i) => item(tile, 0.4, i + 1)) })],
  [/^\/search(\/image)?$/, (body) => search(body)],
  [/^\/feedback$/, (body) => {
    if (body.tile && body.wanted === null) labels.delete(body.tile);
    else if (body.tile) labels.set(body.tile, body.wanted);
    return { labels: [...labels].map(([tile, wanted]) => ({ tile, wanted })) };
  }],
  [/^\/queries/, () => ({ queries: [] })],
];

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    return JSON.parse(Buffer.concat(parts).toString() || "{}");
  } catch {
    return {};
  }
}

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const send = (data, kind) => response.writeHead(200, { "Content-Type": kind, "Content-Security-Policy": POLICY }).end(data);
  if (pathname.startsWith("/ui/")) {
    const file = join(PAGE, normalize(pathname.slice(4) || "index.html"));
    return readFile(file).then((data) => send(data, KINDS[extname(file)] ?? "application/octet-stream"), () => response.writeHead(404).end());
  }
  if (/^\/(tiles|scenes)\//.test(pathname)) return send(picture(hash(pathname)), "image/png");
  const route = routes.find(([pattern]) => pattern.test(pathname));
  if (!route) return response.writeHead(404, { "Content-Type": "application/json" }).end('{"code":"NotFound","description":"There is no such address here."}');
  send(JSON.stringify(route[1](await body(request))), "application/json");
}).listen(Number(options.port), "127.0.0.1", () => console.log(`http://127.0.0.1:${options.port}/ui/`));
