// The world without a network: land and borders from the file that scripts/world.mjs packs.
import type { MultiLineString, MultiPolygon, Position } from "geojson";
import worldUrl from "./world.json?url";

export interface PackedWorld {
  steps: number;
  land: number[][][];
  borders: number[][];
}

export interface World {
  land: MultiPolygon;
  coast: MultiLineString;
  borders: MultiLineString;
}

export async function loadWorld(): Promise<World> {
  const response = await fetch(new URL(worldUrl, import.meta.url));
  return unpackWorld((await response.json()) as PackedWorld);
}

export function unpackWorld({ steps, land, borders }: PackedWorld): World {
  const line = (packed: number[]) => unpack(packed, steps);
  const polygons = land.map((rings) => rings.map(line));
  return {
    land: { type: "MultiPolygon", coordinates: polygons },
    coast: { type: "MultiLineString", coordinates: polygons.flat().flatMap(shores) },
    borders: { type: "MultiLineString", coordinates: borders.map(line) },
  };
}

function unpack(packed: number[], steps: number): Position[] {
  const points: Position[] = [];
  let [x, y] = [0, 0];
  for (let i = 0; i < packed.length; i += 2) {
    x += packed[i]!;
    y += packed[i + 1]!;
    points.push([x / steps, y / steps]);
  }
  return points;
}

/** A ring without its stretches along the map's edge, which are no shore. */
function shores(ring: Position[]): Position[][] {
  const onEdge = ([lon, lat]: Position) => Math.abs(lon!) === 180 || lat! <= -90;
  const lines: Position[][] = [[]];
  ring.forEach((point, i) => {
    if (i > 0 && onEdge(point) && onEdge(ring[i - 1]!)) lines.push([]);
    lines.at(-1)!.push(point);
  });
  return lines.filter((line) => line.length > 1);
}
