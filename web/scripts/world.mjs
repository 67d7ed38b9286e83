// Natural Earth's land and borders (1:50 million), from TopoJSON to lines of whole hundredths of a degree: each line is
// its first point and then the steps to the next ones, which makes the file a third of what GeoJSON would be.
import { readFileSync, writeFileSync } from "node:fs";
import { feature, mesh } from "topojson-client";

const TARGET = new URL("../src/map/world.json", import.meta.url);
const STEPS = 100; // a degree: finer than the source's own generalisation

const atlas = JSON.parse(readFileSync(new URL("../node_modules/world-atlas/countries-50m.json", import.meta.url), "utf8"));

/** A ring over the antimeridian runs on past 180 degrees instead of jumping round the Earth (but not round a pole). */
function continuous(ring) {
  let turn = 0;
  const points = ring.map(([lon, lat], i) => {
    if (i > 0) turn -= 360 * Math.round((lon - ring[i - 1][0]) / 360);
    return [lon + turn, lat];
  });
  return turn === 0 ? points : ring;
}

function packed(line) {
  const out = [];
  let [x, y] = [0, 0];
  for (const [lon, lat] of line) {
    const [nextX, nextY] = [Math.round(lon * STEPS), Math.round(lat * STEPS)];
    if (out.length && nextX === x && nextY === y) continue;
    out.push(nextX - x, nextY - y);
    [x, y] = [nextX, nextY];
  }
  return out;
}

const land = feature(atlas, atlas.objects.land);
const polygons = (land.features ?? [land]).flatMap(({ geometry }) =>
  geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates,
);
const borders = mesh(atlas, atlas.objects.countries, (a, b) => a !== b);

const world = {
  steps: STEPS,
  land: polygons.map((rings) => rings.map((ring) => packed(continuous(ring))).filter((ring) => ring.length > 6)).filter((rings) => rings.length > 0),
  borders: borders.coordinates.map((line) => packed(continuous(line))).filter((line) => line.length > 2),
};
writeFileSync(TARGET, JSON.stringify(world));
