// The shapes that the server's JSON has, as far as the page reads them.
import type { Geometry } from "geojson";

export type Bounds = [west: number, south: number, east: number, north: number];

export interface GalleryInfo {
  id: string;
  title: string;
  tiles: number;
  scenes: number;
  bounds: Bounds | null;
  dates: [string, string] | null;
  encoder: { name: string; dim: number };
}

export interface Config {
  galleries: GalleryInfo[];
  read_only: boolean;
  examples: string[];
  version: string;
}

export interface SceneInfo {
  id: string;
  name: string;
  date: string | null;
  gsd: number | null;
  bounds: Bounds | null;
  tiles: number;
}

export interface FootprintData {
  count: number;
  /** Which tiles these are: a column of scores with the same key is about the same ones. */
  rows?: string;
  ids: string[];
  scene: number[];
  scenes: SceneInfo[];
  rings: (number | null)[];
  gsd: (number | null)[];
  dates: (string | null)[];
}

/** Scores as float16, one a tile in the order of the footprints. */
export interface ScoreColumn {
  rows: string;
  scores: ArrayBuffer;
}

export interface DateCounts {
  days: string[];
  tiles: number[];
}

export interface Item {
  id: string;
  collection: string;
  geometry: Geometry | null;
  properties: {
    datetime: string | null;
    gsd?: number | null;
    "landsift:score"?: number | null;
    /** 100 is the best of what was searched. */
    "landsift:percentile"?: number | null;
    "landsift:rank"?: number | null;
    "landsift:scene"?: string;
    /** As exact as the scene knows it: a day, a month or a year. */
    "landsift:date"?: string | null;
    "landsift:window"?: number[];
  };
  assets?: Record<string, { href: string }>;
}

export interface Explanation {
  path: string;
  searched: number;
  total: number;
  encode_ms: number | null;
  search_ms: number | null;
  bytes: number | null;
  notes: string[];
}

export interface Histogram {
  edges: number[];
  counts: number[];
}

export interface Link {
  rel: string;
  href: string;
  method?: string;
  body?: Record<string, unknown>;
}

export interface Answer {
  features: Item[];
  numberMatched?: number;
  numberReturned?: number;
  links?: Link[];
  "landsift:explain"?: Explanation;
  "landsift:histogram"?: Histogram;
}

export interface Label {
  tile: string;
  wanted: boolean;
}

export interface LabelImport {
  imported: number;
  without_tile: number;
}

export interface SavedQuery {
  id: string;
  name: string;
  request: SearchBody;
  made: string;
  /** Tiles indexed since the search was last watched. */
  new_tiles: number;
}

/** The body of POST /search. */
export type SearchBody = Record<string, unknown>;

export type ExportFormat = "geojson" | "gpkg" | "parquet" | "csv";
