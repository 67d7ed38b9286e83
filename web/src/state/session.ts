// What the page knows right now, as signals, and the small changes people make to it. Sends nothing itself.
import { computed, signal } from "@preact/signals";
import type { Answer, Config, DateCounts, GalleryInfo, Item } from "../api/types";
import { type Footprints, NO_FOOTPRINTS, passing } from "./footprints";
import { asksForSomething, EMPTY, type Query } from "./query";
import type { View } from "./permalink";
import { colouredFrom } from "./scores";

export type Status = "idle" | "loading" | "ready" | "error";
export type Panel = "help" | "saved" | "token" | null;
export interface Notice {
  text: string;
  kind: "info" | "error";
}

export const config = signal<Config | null>(null);
export const startError = signal<string | null>(null);
export const query = signal<Query>(EMPTY);
export const image = signal<File | null>(null);
export const view = signal<View | null>(null);
export const footprints = signal<Footprints>(NO_FOOTPRINTS);
export const footprintStatus = signal<Status>("idle");
export const dateCounts = signal<DateCounts>({ days: [], tiles: [] });
export const answer = signal<Answer | null>(null);
/** A score for every tile, NaN where the search leaves it out; null until they have come. */
export const allScores = signal<Float32Array | null>(null);
export const status = signal<Status>("idle");
export const problem = signal<string>("");
export const selected = signal<string | null>(null);
export const hovered = signal<string | null>(null);
export const labels = signal<ReadonlyMap<string, boolean>>(new Map());
export const panel = signal<Panel>(null);
export const notice = signal<Notice | null>(null);

export const gallery = computed<GalleryInfo | null>(
  () => config.value?.galleries.find(({ id }) => id === query.value.gallery) ?? null,
);
export const items = computed<Item[]>(() => answer.value?.features ?? []);
export const itemOf = computed(() => new Map(items.value.map((item) => [item.id, item])));
export const asked = computed(() => image.value !== null || asksForSomething(query.value));
export const scoreRange = computed<[number, number] | null>(() => {
  const scores = items.value.map(scoreOf).filter((score) => score !== null);
  if (!scores.length) return null;
  const lowest = Math.min(...scores);
  const all = allScores.value;
  return [all ? colouredFrom(all, lowest, query.value.minScore !== null) : lowest, Math.max(...scores)];
});
export const counts = computed(() => {
  const wanted = [...labels.value.values()].filter(Boolean).length;
  return { wanted, unwanted: labels.value.size - wanted };
});

/** What the map shows of each tile: -1 filtered out, 0 not coloured, up to 1 for the best. */
export const tileValues = computed<Float32Array>(() => {
  const values = Float32Array.from(passing(footprints.value, query.value), (ok) => ok - 1);
  const range = scoreRange.value;
  const all = allScores.value;
  if (all && range) {
    for (let row = 0; row < values.length; row++) if (values[row] === 0 && all[row]! >= range[0]) values[row] = shade(all[row]!, range);
  }
  for (const item of items.value) {
    const row = footprints.value.rowOf.get(item.id);
    const score = scoreOf(item);
    if (row !== undefined) values[row] = range && score !== null ? shade(score, range) : 0.6;
  }
  return values;
});

/** A score's place between the worst and the best shown, kept above 0 so that a result never looks like no result. */
export function shade(score: number, [low, high]: [number, number]): number {
  return high > low ? Math.min(1, 0.05 + (0.95 * (score - low)) / (high - low)) : 1;
}

export function scoreOf(item: Item): number | null {
  return item.properties["landsift:score"] ?? null;
}

export function change(part: Partial<Query>): void {
  query.value = { ...query.value, ...part };
}

/** New words end a probe and the file that its thumbs went to. */
export function setText(text: string): void {
  change({ text, probe: false, topic: "" });
}

export function openGallery(id: string): void {
  query.value = { ...EMPTY, gallery: id, text: query.value.text };
  selected.value = null;
}

export function moreLike(tile: string): void {
  image.value = null;
  change({ text: "", like: [tile], unlike: [], not: [], minScore: null, probe: false, topic: "" });
  selected.value = null;
}

export function lessLike(tile: string): void {
  if (!query.value.unlike.includes(tile)) change({ unlike: [...query.value.unlike, tile] });
}

export function clearFilters(): void {
  change({ area: null, days: null, gsd: null, scenes: [], minScore: null });
}

export function startOver(): void {
  image.value = null;
  selected.value = null;
  query.value = { ...EMPTY, gallery: query.value.gallery };
}

let noticeTimer = 0;
export function tell(text: string, kind: Notice["kind"] = "info"): void {
  notice.value = { text, kind };
  clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => (notice.value = null), kind === "error" ? 9000 : 5000);
}
