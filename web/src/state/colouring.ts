// How well every tile fits, for the map: one number a tile, fetched after the results themselves have come.
import { api } from "../api/client";
import { searchBody } from "./query";
import { halvesToFloats } from "./scores";
import { allScores, answer, asked, footprints, image, query } from "./session";

let running: AbortController | null = null;

/** Colours every footprint by its score. Without an answer the results' own colours stay, so nothing is said. */
export async function colourAll(): Promise<void> {
  running?.abort();
  running = new AbortController();
  const { rows } = footprints.value;
  const found = answer.value;
  if (!found || !asked.value || !rows) return;
  try {
    const column = await api.scores(searchBody(query.value), image.value, running.signal);
    if (column.rows === footprints.value.rows && answer.value) allScores.value = halvesToFloats(new Uint16Array(column.scores));
  } catch {
    // Aborted, or the server is gone: the next search will say so.
  }
}
