// A query, and where the map looks, as the part of the address after "#", and back. Anything unreadable is left out.
import type { Bounds } from "../api/types";
import { type Area, EMPTY, type Position, type Query } from "./query";

export interface View {
  lon: number;
  lat: number;
  zoom: number;
}

export function toHash(query: Query, view: View | null): string {
  const params = new URLSearchParams();
  const put = (key: string, value: string) => value && params.set(key, value);
  put("g", query.gallery);
  put("q", query.text.trim());
  for (const tile of query.like) params.append("like", tile);
  for (const tile of query.unlike) params.append("unlike", tile);
  for (const words of query.not) params.append("not", words);
  if (query.area?.kind === "box") put("box", query.area.bounds.map(short).join(","));
  if (query.area?.kind === "polygon") put("poly", query.area.ring.map((point) => point.map(short).join(",")).join(";"));
  if (query.days) put("days", query.days.join("/"));
  if (query.gsd) put("gsd", query.gsd.join(","));
  for (const scene of query.scenes) params.append("scene", scene);
  if (query.minScore !== null) put("min", query.minScore.toFixed(4));
  if (query.overlapping) put("overlapping", "1");
  if (query.probe) put("probe", "1");
  put("topic", query.topic);
  if (view) put("map", `${view.lon.toFixed(5)},${view.lat.toFixed(5)},${view.zoom.toFixed(2)}`);
  return `#${params.toString()}`;
}

export function fromHash(hash: string): { query: Query; view: View | null } {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const min = numbers(params.get("min"), 1);
  const gsd = numbers(params.get("gsd"), 2);
  const map = numbers(params.get("map"), 3);
  const query: Query = {
    ...EMPTY,
    gallery: params.get("g") ?? "",
    text: params.get("q") ?? "",
    like: params.getAll("like"),
    unlike: params.getAll("unlike"),
    not: params.getAll("not"),
    area: area(params),
    days: days(params.get("days")),
    gsd: gsd && (gsd as [number, number]),
    scenes: params.getAll("scene"),
    minScore: min ? (min[0] as number) : null,
    overlapping: params.get("overlapping") === "1",
    probe: params.get("probe") === "1",
    topic: params.get("topic") ?? "",
  };
  return { query, view: map && { lon: map[0]!, lat: map[1]!, zoom: map[2]! } };
}

const short = (degrees: number): string => String(Number(degrees.toFixed(6)));

function numbers(text: string | null, count: number): number[] | null {
  if (!text) return null;
  const values = text.split(",").map(Number);
  return values.length === count && values.every(Number.isFinite) ? values : null;
}

function area(params: URLSearchParams): Area | null {
  const box = numbers(params.get("box"), 4);
  if (box) return { kind: "box", bounds: box as Bounds };
  const ring = (params.get("poly") ?? "").split(";").map((point) => numbers(point, 2));
  return ring.length > 2 && ring.every((point) => point !== null) ? { kind: "polygon", ring: ring as Position[] } : null;
}

function days(text: string | null): [string, string] | null {
  const match = /^(\d{4}-\d\d-\d\d)?\/(\d{4}-\d\d-\d\d)?$/.exec(text ?? "");
  return match && (match[1] || match[2]) ? [match[1] ?? "", match[2] ?? ""] : null;
}
