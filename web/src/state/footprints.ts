// Every tile's outline as columns of numbers: 100,000 of them are one typed array, never 100,000 objects.
// Knows geometry and filters, not how they are drawn.
import type { Bounds, FootprintData, SceneInfo } from "../api/types";
import type { Query } from "./query";

export interface Footprints {
  count: number;
  /** Which tiles these are, as the server names them. */
  rows: string;
  ids: string[];
  rowOf: Map<string, number>;
  scenes: SceneInfo[];
  /** Scene of each tile, as a position in `scenes`. */
  scene: Uint32Array;
  /** Four corners a tile as lon, lat; made continuous across the antimeridian. NaN for a tile without a place. */
  rings: Float64Array;
  /** west, south, east, north a tile. */
  boxes: Float64Array;
  gsd: Float32Array;
  /** Day of each scene as ISO text, or null. */
  days: (string | null)[];
}

export const NO_FOOTPRINTS: Footprints = {
  count: 0,
  rows: "",
  ids: [],
  rowOf: new Map(),
  scenes: [],
  scene: new Uint32Array(),
  rings: new Float64Array(),
  boxes: new Float64Array(),
  gsd: new Float32Array(),
  days: [],
};

export function footprintsFrom(data: FootprintData): Footprints {
  const rings = continuous(Float64Array.from(data.rings, (value) => value ?? NaN));
  return {
    count: data.count,
    rows: data.rows ?? "",
    ids: data.ids,
    rowOf: new Map(data.ids.map((id, row) => [id, row])),
    scenes: data.scenes,
    scene: Uint32Array.from(data.scene),
    rings,
    boxes: boxesOf(rings),
    gsd: Float32Array.from(data.gsd, (value) => value ?? NaN),
    days: data.dates,
  };
}

function continuous(rings: Float64Array): Float64Array {
  for (let at = 0; at < rings.length; at += 8) {
    for (let corner = 2; corner < 8; corner += 2) {
      const turn = Math.round((rings[at + corner]! - rings[at]!) / 360);
      if (turn) rings[at + corner]! -= 360 * turn;
    }
  }
  return rings;
}

function boxesOf(rings: Float64Array): Float64Array {
  const boxes = new Float64Array(rings.length / 2);
  for (let at = 0, to = 0; at < rings.length; at += 8, to += 4) {
    boxes[to] = Math.min(rings[at]!, rings[at + 2]!, rings[at + 4]!, rings[at + 6]!);
    boxes[to + 1] = Math.min(rings[at + 1]!, rings[at + 3]!, rings[at + 5]!, rings[at + 7]!);
    boxes[to + 2] = Math.max(rings[at]!, rings[at + 2]!, rings[at + 4]!, rings[at + 6]!);
    boxes[to + 3] = Math.max(rings[at + 1]!, rings[at + 3]!, rings[at + 5]!, rings[at + 7]!);
  }
  return boxes;
}

/** Which rows pass the filters for days, resolution and scenes; the area is shown by its own outline. */
export function passing(footprints: Footprints, query: Query): Uint8Array {
  const wanted = new Set(query.scenes);
  const sceneOk = footprints.scenes.map((scene, i) => {
    if (wanted.size && !wanted.has(scene.name)) return 0;
    return query.days && !within(footprints.days[i] ?? null, query.days) ? 0 : 1;
  });
  const rows = new Uint8Array(footprints.count);
  for (let row = 0; row < rows.length; row++) {
    const gsd = footprints.gsd[row]!;
    const gsdOk = query.gsd === null || (gsd >= query.gsd[0] && gsd <= query.gsd[1]);
    rows[row] = gsdOk ? (sceneOk[footprints.scene[row]!] ?? 1) : 0;
  }
  return rows;
}

function within(day: string | null, [first, last]: [string, string]): boolean {
  return day !== null && (!first || day >= first) && (!last || day <= last);
}

/** The tile under a place: the best `value` wins, then the smallest; tiles with a negative value are not there. */
export function tileAt(footprints: Footprints, values: Float32Array, lon: number, lat: number): string | null {
  const { boxes } = footprints;
  let best = -1;
  let bestValue = -1;
  let bestSize = Infinity;
  for (let row = 0, at = 0; row < footprints.count; row++, at += 4) {
    if (!(lat >= boxes[at + 1]! && lat <= boxes[at + 3]!)) continue;
    const turned = lon + 360 * Math.ceil((boxes[at]! - lon) / 360);
    if (turned > boxes[at + 2]! || values[row]! < 0 || !inside(footprints.rings, row * 8, turned, lat)) continue;
    const size = (boxes[at + 2]! - boxes[at]!) * (boxes[at + 3]! - boxes[at + 1]!);
    if (values[row]! > bestValue || (values[row] === bestValue && size < bestSize)) {
      [best, bestValue, bestSize] = [row, values[row]!, size];
    }
  }
  return best < 0 ? null : footprints.ids[best]!;
}

function inside(rings: Float64Array, at: number, x: number, y: number): boolean {
  let odd = false;
  for (let i = 0, j = 6; i < 8; j = i, i += 2) {
    const [xi, yi, xj, yj] = [rings[at + i]!, rings[at + i + 1]!, rings[at + j]!, rings[at + j + 1]!];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

/** The box around some tiles, or around all of them; null when none has a place. */
export function boundsOf(footprints: Footprints, ids?: Iterable<string>): Bounds | null {
  const rows = ids ? [...ids].map((id) => footprints.rowOf.get(id)) : [...footprints.ids.keys()];
  const out: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const row of rows) {
    if (row === undefined || Number.isNaN(footprints.boxes[row * 4])) continue;
    out[0] = Math.min(out[0], footprints.boxes[row * 4]!);
    out[1] = Math.min(out[1], footprints.boxes[row * 4 + 1]!);
    out[2] = Math.max(out[2], footprints.boxes[row * 4 + 2]!);
    out[3] = Math.max(out[3], footprints.boxes[row * 4 + 3]!);
  }
  return out[0] <= out[2] ? out : null;
}
