import { describe, expect, it } from "vitest";
import type { FootprintData } from "../src/api/types";
import { cornerFloats, resultRows, runBoxes, stretchesInView } from "../src/map/footprintLayer";
import { mercatorX, mercatorY } from "../src/map/mercator";
import { boundsOf, footprintsFrom, passing, tileAt } from "../src/state/footprints";
import { EMPTY } from "../src/state/query";

const square = (w: number, s: number, size: number) => [w, s + size, w + size, s + size, w + size, s, w, s];

function data(squares: [number, number, number][], part: Partial<FootprintData> = {}): FootprintData {
  return {
    count: squares.length,
    ids: squares.map((_, i) => `t${i}`),
    scene: squares.map(() => 0),
    scenes: [{ id: "s", name: "s.tif", date: null, gsd: 1, bounds: null, tiles: squares.length }],
    rings: squares.flatMap(([w, s, size]) => square(w, s, size)),
    gsd: squares.map(() => 1),
    dates: [null],
    ...part,
  };
}

/** Numbers in 0..1 that are the same in every run. */
function* numbers(): Generator<number> {
  for (let state = 1; ; ) {
    state = (state * 48271) % 2147483647;
    yield state / 2147483647;
  }
}

describe("the tile under a place", () => {
  it("is the best of those whose outline holds it, else the smallest", () => {
    const random = numbers();
    const next = () => random.next().value as number;
    const squares = Array.from({ length: 300 }, () => [next() * 20, next() * 20, 0.5 + 3 * next()] as [number, number, number]);
    const all = footprintsFrom(data(squares));
    const values = Float32Array.from(squares, () => Math.floor(next() * 4) / 3 - (next() < 0.2 ? 2 : 0));
    for (let i = 0; i < 500; i++) {
      const [x, y] = [next() * 22, next() * 22];
      const holding = squares
        .map(([w, s, size], row) => ({ row, size, value: values[row]!, holds: x > w && x < w + size && y > s && y < s + size }))
        .filter(({ holds, value }) => holds && value >= 0)
        .sort((a, b) => b.value - a.value || a.size - b.size);
      expect(tileAt(all, values, x, y)).toBe(holding.length ? `t${holding[0]!.row}` : null);
    }
  });

  it("is found from both sides of the antimeridian", () => {
    const all = footprintsFrom(data([], { count: 1, ids: ["t"], scene: [0], gsd: [1], rings: [179.5, 1, -179.5, 1, -179.5, 0, 179.5, 0] }));
    const values = new Float32Array(1);
    for (const lon of [179.8, -179.8, 180.2, -180.2]) expect(tileAt(all, values, lon, 0.5)).toBe("t");
    for (const lon of [179.2, -179.2, 0]) expect(tileAt(all, values, lon, 0.5)).toBeNull();
  });

  it("follows a rotated outline, not its box", () => {
    const all = footprintsFrom(data([], { count: 1, ids: ["t"], scene: [0], gsd: [1], rings: [1, 2, 2, 1, 1, 0, 0, 1] }));
    expect(tileAt(all, new Float32Array(1), 1, 1)).toBe("t");
    expect(tileAt(all, new Float32Array(1), 0.1, 0.1)).toBeNull();
  });
});

it("a tile without a place is nowhere, and harms no other", () => {
  const all = footprintsFrom(data([[3, 4, 1]], { count: 2, ids: ["t0", "nowhere"], scene: [0, 0], gsd: [1, null], rings: [...square(3, 4, 1), ...new Array(8).fill(null)] }));
  expect(boundsOf(all)).toEqual([3, 4, 4, 5]);
  expect(boundsOf(all, ["nowhere"])).toBeNull();
  expect(tileAt(all, new Float32Array(2), 3.5, 4.5)).toBe("t0");
});

it("filters by days, resolution and scene, and leaves out what has no date", () => {
  const scenes = ["2019-05-01", "2020-05-01", null].map((date, i) => ({ id: `s${i}`, name: `n${i}`, date, gsd: null, bounds: null, tiles: 1 }));
  const all = footprintsFrom(data([[0, 0, 1], [0, 0, 1], [0, 0, 1]], { scene: [0, 1, 2], scenes, dates: ["2019-05-01", "2020-05-01", null], gsd: [0.5, 10, null] }));
  const rows = (part: object) => [...passing(all, { ...EMPTY, ...part })];
  expect(rows({})).toEqual([1, 1, 1]);
  expect(rows({ days: ["2020-01-01", ""] })).toEqual([0, 1, 0]);
  expect(rows({ days: ["", "2019-05-01"] })).toEqual([1, 0, 0]);
  expect(rows({ gsd: [1, 20] })).toEqual([0, 1, 0]);
  expect(rows({ scenes: ["n2"] })).toEqual([0, 0, 1]);
});

describe("what the GPU is given", () => {
  it("keeps corners to a millimetre although each part is a 32-bit float", () => {
    const ring = Float64Array.from(square(151.2093001, -33.8688002, 0.0000013));
    const floats = cornerFloats(ring);
    for (let corner = 0; corner < 4; corner++) {
      const metres = 40_075_016;
      const x = floats[corner * 5]! + floats[corner * 5 + 2]!;
      const y = floats[corner * 5 + 1]! + floats[corner * 5 + 3]!;
      expect(Math.abs(x - mercatorX(ring[corner * 2]!)) * metres).toBeLessThan(0.001);
      expect(Math.abs(y - mercatorY(ring[corner * 2 + 1]!)) * metres).toBeLessThan(0.001);
    }
  });

  it("draws the best result last", () => {
    expect(resultRows(Float32Array.from([0, 0.9, -1, 0.2, 0.5]))).toEqual([3, 4, 1]);
  });

  it("draws every tile in view and joins neighbours", () => {
    const squares = Array.from({ length: 2000 }, (_, i) => [i * 0.01, 0, 0.01] as [number, number, number]);
    const all = footprintsFrom(data(squares));
    const runs = runBoxes(all.boxes);
    expect(stretchesInView(runs, 2000, [-180, -90, 180, 90])).toEqual([[0, 2000]]);
    expect(stretchesInView(runs, 2000, [50, -1, 60, 1])).toEqual([]);
    const view: [number, number, number, number] = [6.005, -1, 9.5, 1];
    const drawn = new Set(stretchesInView(runs, 2000, view).flatMap(([first, tiles]) => Array.from({ length: tiles }, (_, i) => first + i)));
    squares.forEach(([w], row) => w < view[2] && w + 0.01 > view[0] && expect(drawn.has(row)).toBe(true));
    expect(drawn.size).toBeLessThan(2000);
  });
});
