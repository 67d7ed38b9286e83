import { describe, expect, it } from "vitest";
import { nativeZoom, zoomForWidth } from "../src/map/mercator";
import { rampColour } from "../src/map/ramp";
import { scenesInView } from "../src/map/scenePictures";
import { boxBetween, ringOf } from "../src/map/sketch";
import { unpackWorld } from "../src/map/world";
import world from "../src/map/world.json";
import { shade } from "../src/state/session";
import { resolutionRange } from "../src/ui/Filters";
import { countAtLeast } from "../src/ui/Threshold";
import { dayAt, shareOf, ticksOf, timelineOf } from "../src/ui/timeline";
import { day, place, resolution, several, standing } from "../src/ui/words";

describe("the threshold's count", () => {
  const histogram = { edges: [0, 0.1, 0.2, 0.3], counts: [10, 20, 30] };
  it("is exact at the edges and proportional between them", () => {
    expect(countAtLeast(histogram, 0)).toBe(60);
    expect(countAtLeast(histogram, 0.1)).toBe(50);
    expect(countAtLeast(histogram, 0.25)).toBe(15);
    expect(countAtLeast(histogram, 0.4)).toBe(0);
  });
  it("counts a bin without width whole", () => {
    expect(countAtLeast({ edges: [0.2, 0.2], counts: [7] }, 0.2)).toBe(7);
    expect(countAtLeast({ edges: [0.2, 0.2], counts: [7] }, 0.3)).toBe(0);
  });
});

describe("the timeline", () => {
  const line = timelineOf({ days: ["2009-08-18", "2012-07-31", "2020-08-31"], tiles: [5, 7, 11] }, 96)!;
  it("loses no tile", () => expect(line.bins.reduce((a, b) => a + b)).toBe(23));
  it("finds a day again from its place", () => expect(dayAt(line, shareOf(line, "2012-07-31"))).toBe("2012-07-31"));
  it("stays inside", () => {
    expect(shareOf(line, "1900-01-01")).toBe(0);
    expect(shareOf(line, "2100-01-01")).toBe(1);
  });
  it("writes few, rising ticks", () => {
    const ticks = ticksOf(line, 8);
    expect(ticks.length).toBeGreaterThan(2);
    expect(ticks.length).toBeLessThanOrEqual(9);
    expect(ticks.map(([share]) => share)).toEqual(ticks.map(([share]) => share).sort((a, b) => a - b));
    expect(ticks.every(([share]) => share >= 0 && share <= 1)).toBe(true);
  });
  it("takes a single day and none", () => {
    expect(timelineOf({ days: ["2020-01-01"], tiles: [3] }, 10)!.bins.reduce((a, b) => a + b)).toBe(3);
    expect(timelineOf({ days: [], tiles: [] }, 10)).toBeNull();
  });
});

describe("scenes on the map", () => {
  const scene = (id: string, date: string | null, bounds: [number, number, number, number] | null) => ({ id, name: id, date, gsd: 1, bounds, tiles: 1 });
  it("lie oldest first with the chosen one on top, and only where seen", () => {
    const scenes = [scene("new", "2020-01-01", [0, 0, 1, 1]), scene("old", "2000-01-01", [0, 0, 1, 1]), scene("away", "2010-01-01", [50, 0, 51, 1]), scene("nowhere", null, null)];
    expect(scenesInView(scenes, [-1, -1, 2, 2], 9, null).map(({ id }) => id)).toEqual(["old", "new"]);
    expect(scenesInView(scenes, [-1, -1, 2, 2], 9, "old").map(({ id }) => id)).toEqual(["new", "old"]);
    expect(scenesInView(scenes, [-180, -80, 180, 80], 1, null)).toEqual([]);
  });
  it("are found across the antimeridian", () => {
    const scenes = [scene("far", null, [179, 0, -179, 1])];
    expect(scenesInView(scenes, [179.5, 0, 181, 1], 9, null)).toHaveLength(1);
    expect(scenesInView(scenes, [-181, 0, -179.5, 1], 9, null)).toHaveLength(1);
    expect(scenesInView(scenes, [0, 0, 1, 1], 9, null)).toHaveLength(0);
  });
  it("are asked for no finer than they are", () => {
    expect(nativeZoom(156544, 0)).toBe(0);
    expect(nativeZoom(10, 0)).toBe(14);
    expect(nativeZoom(0.0001, 0)).toBe(22);
  });
});

it("the packed world unfolds to the Earth's extent, with Africa on land", () => {
  const { land, coast, borders } = unpackWorld(world);
  const points = land.coordinates.flat(2);
  const leaps = land.coordinates.flat().flatMap((ring) => ring.slice(1).filter(([, lat], i) => Math.abs(ring[i + 1]![0]! - ring[i]![0]!) > 180 && lat! > -80));
  expect(leaps).toEqual([]);
  expect(Math.min(...points.map(([, lat]) => lat!))).toBeGreaterThanOrEqual(-90);
  const holds = (ring: number[][], x: number, y: number) =>
    ring.reduce((odd, [xi, yi], i) => {
      const [xj, yj] = ring[(i + ring.length - 1) % ring.length]!;
      return yi! > y !== yj! > y && x < ((xj! - xi!) * (y - yi!)) / (yj! - yi!) + xi! ? !odd : odd;
    }, false);
  expect(land.coordinates.some(([outer]) => holds(outer!, 20, 5))).toBe(true);
  expect(land.coordinates.some(([outer]) => holds(outer!, -30, 0))).toBe(false);
  expect(coast.coordinates.length).toBeGreaterThan(500);
  expect(borders.coordinates.length).toBeGreaterThan(100);
});

it("a box is the same whichever corner was pressed first", () => {
  expect(boxBetween([3, 4], [1, 2])).toEqual({ kind: "box", bounds: [1, 2, 3, 4] });
  expect(ringOf(boxBetween([1, 4], [3, 2]))).toEqual([[1, 2], [3, 2], [3, 4], [1, 4]]);
});

it("the zoom for a width shows that width", () => {
  expect(512 * 2 ** zoomForWidth(0.5, 40) * (0.5 / 360)).toBeCloseTo(40);
});

it("a result never has the shade of no result", () => {
  expect(shade(0.1, [0.1, 0.9])).toBeGreaterThan(0);
  expect(shade(0.9, [0.1, 0.9])).toBe(1);
  expect(shade(0.4, [0.4, 0.4])).toBe(1);
  expect(rampColour(2)).toBe(rampColour(1));
});

it("the resolution's range leaves out what is unknown", () => {
  expect(resolutionRange(Float32Array.from([NaN, 10, 0.5, NaN]))).toEqual([0.5, 10]);
  expect(resolutionRange(Float32Array.from([NaN]))).toBeNull();
});

describe("words", () => {
  it("say dates as exactly as they are known", () => {
    expect(day("1985")).toBe("1985");
    expect(day("2020-08")).toBe("Aug 2020");
    expect(day("2020-08-31")).toBe("31 Aug 2020");
    expect(day("2020-08-31T23:00:00Z")).toBe("31 Aug 2020");
    expect(day(null)).toBe("no date");
    expect(day("soon")).toBe("no date");
  });
  it("say places, resolutions and standings", () => {
    expect(place(-99.1, 47)).toBe("47.0000° N, 99.1000° W");
    expect(resolution(0.6)).toBe("60 cm/px");
    expect(resolution(null)).toBe("unknown resolution");
    expect(standing(100)).toBe("the best of all searched");
    expect(standing(98.76)).toBe("better than 98.7 % of all searched");
    expect(several(1, "tile")).toBe("1 tile");
    expect(several(1200, "match", "matches")).toBe("1,200 matches");
  });
});
