// One value that says what is being looked for. It becomes a search body for the server and a link for people.
import type { Bounds, SearchBody } from "../api/types";

export type Position = [lon: number, lat: number];
export type Area = { kind: "box"; bounds: Bounds } | { kind: "polygon"; ring: Position[] };

export interface Query {
  gallery: string;
  text: string;
  /** Tiles to resemble, and tiles to keep away from. */
  like: string[];
  unlike: string[];
  /** Words to keep away from. */
  not: string[];
  area: Area | null;
  /** First and last day, ISO; an empty string is an open end. */
  days: [string, string] | null;
  /** Metres a pixel, smallest and largest. */
  gsd: [number, number] | null;
  scenes: string[];
  minScore: number | null;
  /** Also show matches that lie on top of a better one. */
  overlapping: boolean;
  /** Rank with a probe trained on the thumbs of the topic. */
  probe: boolean;
  /** What the thumbs are filed under; empty means: after the words. */
  topic: string;
}

export const EMPTY: Query = {
  gallery: "",
  text: "",
  like: [],
  unlike: [],
  not: [],
  area: null,
  days: null,
  gsd: null,
  scenes: [],
  minScore: null,
  overlapping: false,
  probe: false,
  topic: "",
};

export const PAGE_SIZE = 120;

export function topicOf(query: Query): string {
  return query.topic || query.text.trim() || query.like[0] || "untitled";
}

/** Whether anything is asked that can be scored. */
export function asksForSomething(query: Query): boolean {
  return query.text.trim() !== "" || query.like.length > 0 || query.probe;
}

export function hasFilters(query: Query): boolean {
  return query.area !== null || query.days !== null || query.gsd !== null || query.scenes.length > 0;
}

/** The body of POST /search for a query. */
export function searchBody(query: Query, limit = PAGE_SIZE): SearchBody {
  const body: SearchBody = { collections: [query.gallery], limit, "landsift:explain": true };
  const text = query.text.trim();
  if (text) body.q = [text];
  if (query.like.length) body["landsift:like"] = query.like;
  if (query.not.length || query.unlike.length) body["landsift:not"] = [...query.not, ...query.unlike];
  if (query.area?.kind === "box") body.bbox = query.area.bounds;
  if (query.area?.kind === "polygon") body.intersects = polygon(query.area.ring);
  if (query.days) body.datetime = interval(query.days);
  const filter = cql2(query);
  if (filter) body.filter = filter;
  if (query.minScore !== null) body["landsift:min_score"] = query.minScore;
  body["landsift:overlapping"] = query.overlapping ? "keep" : "merge";
  if (query.probe) body["landsift:probe"] = topicOf(query);
  return body;
}

function polygon(ring: Position[]): object {
  return { type: "Polygon", coordinates: [[...ring, ring[0]]] };
}

function interval([first, last]: [string, string]): string {
  return `${first ? `${first}T00:00:00Z` : ".."}/${last ? `${last}T23:59:59Z` : ".."}`;
}

function cql2(query: Query): object | null {
  const parts: object[] = [];
  if (query.gsd) {
    parts.push({ op: ">=", args: [{ property: "gsd" }, query.gsd[0]] }, { op: "<=", args: [{ property: "gsd" }, query.gsd[1]] });
  }
  if (query.scenes.length) {
    parts.push(any(query.scenes.map((scene) => ({ op: "=", args: [{ property: "landsift:scene" }, scene] }))));
  }
  return parts.length > 1 ? { op: "and", args: parts } : (parts[0] ?? null);
}

function any(parts: object[]): object {
  return parts.length > 1 ? { op: "or", args: parts } : (parts[0] as object);
}

/** The query that made a search body; what the body does not say stays empty. */
export function queryFrom(body: SearchBody, gallery: string): Query {
  const list = (key: string) => (Array.isArray(body[key]) ? (body[key] as string[]) : []);
  const box = body.bbox as Bounds | undefined;
  const shape = body.intersects as { coordinates: Position[][] } | undefined;
  const not = list("landsift:not");
  return {
    ...EMPTY,
    gallery: list("collections")[0] ?? gallery,
    text: Array.isArray(body.q) ? (body.q as string[]).join(" ") : ((body.q as string | undefined) ?? ""),
    like: list("landsift:like"),
    not: not.filter((entry) => !looksLikeTile(entry)),
    unlike: not.filter(looksLikeTile),
    area: box ? { kind: "box", bounds: box } : shape ? { kind: "polygon", ring: shape.coordinates[0]!.slice(0, -1) } : null,
    days: daysFrom(body.datetime as string | undefined),
    ...filterFrom(body.filter),
    minScore: (body["landsift:min_score"] as number | undefined) ?? null,
    overlapping: body["landsift:overlapping"] === "keep",
    probe: body["landsift:probe"] !== undefined,
    topic: (body["landsift:probe"] as string | undefined) ?? "",
  };
}

/** Tile names end in scale and window, e.g. "harbour-1a2b3c4d_s1_x512_y0". */
const looksLikeTile = (text: string): boolean => /_s[\d.]+_x-?\d+_y-?\d+$/.test(text);

function daysFrom(text: string | undefined): Query["days"] {
  if (!text) return null;
  const [first, last] = text.split("/").map((end) => (end === ".." ? "" : end.slice(0, 10)));
  return [first ?? "", last ?? ""];
}

interface Clause {
  op: string;
  args: (Clause | { property: string } | number | string)[];
}

function filterFrom(filter: unknown): Pick<Query, "gsd" | "scenes"> {
  const bounds: Record<string, number> = {};
  const scenes: string[] = [];
  const read = ({ op, args }: Clause): void => {
    if (op === "and" || op === "or") return (args as Clause[]).forEach(read);
    const { property } = args[0] as { property: string };
    if (property === "gsd") bounds[op] = args[1] as number;
    if (property === "landsift:scene") scenes.push(args[1] as string);
  };
  if (filter) read(filter as Clause);
  return { gsd: ">=" in bounds && "<=" in bounds ? [bounds[">="]!, bounds["<="]!] : null, scenes };
}
