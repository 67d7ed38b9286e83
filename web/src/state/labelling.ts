// Thumbs up and down: kept by the server under the search's topic, turned into a better search on request.
import { api } from "../api/client";
import { topicOf } from "./query";
import { change, config, counts, items, labels, query, selected, tell } from "./session";

export const ENOUGH_FOR_PROBE = 5; // of each kind

export async function loadLabels(): Promise<void> {
  const { gallery } = query.value;
  const topic = topicOf(query.value);
  try {
    const found = await api.labels(gallery, topic);
    if (gallery === query.value.gallery && topic === topicOf(query.value)) {
      labels.value = new Map(found.map(({ tile, wanted }) => [tile, wanted]));
    }
  } catch {
    labels.value = new Map(); // Searching goes on without thumbs.
  }
}

/** Gives a tile a thumb, or with the same thumb again takes it back. */
export function toggleLabel(tile: string, wanted: boolean): Promise<void> {
  return label(tile, labels.value.get(tile) === wanted ? null : wanted);
}

/** Sets the label of a tile; null takes it back. Shown at once, undone if the server refuses. */
export async function label(tile: string, next: boolean | null): Promise<void> {
  if (config.value?.read_only) return tell("This server is read-only, so thumbs cannot be kept.", "error");
  const before = labels.value;
  const after = new Map(before);
  if (next === null) after.delete(tile);
  else after.set(tile, next);
  labels.value = after;
  try {
    await api.label(query.value.gallery, topicOf(query.value), tile, next);
  } catch (error) {
    labels.value = before;
    tell(error instanceof Error ? error.message : String(error), "error");
  }
}

/** Moves the search towards the wanted tiles and away from the others. */
export function refine(): void {
  const [wanted, unwanted] = [true, false].map((side) => [...labels.value].filter(([, is]) => is === side).map(([tile]) => tile));
  change({ topic: topicOf(query.value), like: wanted!, unlike: unwanted!, probe: false, minScore: null });
}

export function rankWithProbe(): void {
  change({ topic: topicOf(query.value), probe: true, minScore: null });
}

export const probeReady = (): boolean => counts.value.wanted >= ENOUGH_FOR_PROBE && counts.value.unwanted >= ENOUGH_FOR_PROBE;

/** Moves the selection through the results; the first press selects the first. */
export function step(by: number): void {
  const list = items.value;
  if (!list.length) return;
  const at = list.findIndex(({ id }) => id === selected.value);
  const to = at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by));
  selected.value = list[to]!.id;
}

/** Labels the selected tile and goes on to the next. */
export function labelAndStep(wanted: boolean): void {
  if (!selected.value) return step(1);
  void label(selected.value, wanted);
  step(1);
}
