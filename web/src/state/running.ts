// The page at work: loads galleries, runs the search a moment after the last change, keeps the address in step.
import { batch, effect } from "@preact/signals";
import { api, ApiError } from "../api/client";
import type { Answer, SavedQuery } from "../api/types";
import { colourAll } from "./colouring";
import { footprintsFrom, NO_FOOTPRINTS } from "./footprints";
import { loadLabels } from "./labelling";
import { fromHash, toHash } from "./permalink";
import { asksForSomething, hasFilters, queryFrom, searchBody } from "./query";
import {
  allScores, answer, config, dateCounts, footprints, footprintStatus, image, openGallery, panel, problem, query, selected,
  startError, status, tell, view,
} from "./session";

const TYPING_PAUSE = 250; // ms
const ADDRESS_PAUSE = 300; // ms

let moving = false;
let searching: AbortController | null = null;
let loading: AbortController | null = null;

/** Reads the address, asks the server what it serves and sets everything moving. */
export async function start(): Promise<void> {
  startError.value = null;
  const linked = fromHash(location.hash);
  try {
    const found = await api.config();
    batch(() => {
      config.value = found;
      const known = found.galleries.some(({ id }) => id === linked.query.gallery);
      query.value = { ...linked.query, gallery: known ? linked.query.gallery : (found.galleries[0]?.id ?? "") };
      view.value = linked.view;
      if (linked.query.gallery && !known) tell(`This server has no gallery called "${linked.query.gallery}".`, "error");
    });
    if (!moving) {
      moving = true;
      followGallery();
      followQuery();
      followAddress();
    }
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) panel.value = "token";
    startError.value = messageOf(error);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function followGallery(): void {
  let shown = "";
  effect(() => {
    const { gallery } = query.value;
    if (gallery === shown) return;
    shown = gallery;
    if (gallery) void loadGallery(gallery);
  });
}

async function loadGallery(id: string): Promise<void> {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  batch(() => {
    footprints.value = NO_FOOTPRINTS;
    footprintStatus.value = "loading";
    dateCounts.value = { days: [], tiles: [] };
  });
  try {
    const [outlines, days] = await Promise.all([api.footprints(id, signal), api.dates(id, signal)]);
    batch(() => {
      footprints.value = footprintsFrom(outlines);
      dateCounts.value = days;
      footprintStatus.value = "ready";
    });
    void colourAll();
  } catch (error) {
    if (isAbort(error)) return;
    footprintStatus.value = "error";
    tell(`The map's outlines could not be loaded. ${messageOf(error)}`, "error");
  }
}

let searchTimer = 0;
function followQuery(): void {
  effect(() => {
    const [now, picture] = [query.value, image.value]; // both are read every time, so that any change of them counts
    const runnable = picture !== null || asksForSomething(now) || hasFilters(now);
    clearTimeout(searchTimer);
    if (!runnable) {
      searching?.abort();
      batch(() => {
        answer.value = null;
        allScores.value = null;
        status.value = "idle";
      });
      return;
    }
    status.value = "loading";
    searchTimer = window.setTimeout(() => void runSearch(), TYPING_PAUSE);
  });
}

/** Searches now. The latest call wins; an answer that is overtaken is dropped. */
export async function runSearch(): Promise<void> {
  searching?.abort();
  searching = new AbortController();
  const { signal } = searching;
  status.value = "loading";
  try {
    const body = searchBody(query.value);
    const found = await (image.value ? api.searchImage(image.value, body, signal) : api.search(body, signal));
    batch(() => {
      answer.value = found;
      allScores.value = null;
      status.value = "ready";
      if (selected.value && !found.features.some(({ id }) => id === selected.value)) selected.value = null;
    });
    void loadLabels();
    void colourAll();
  } catch (error) {
    if (isAbort(error)) return;
    if (error instanceof ApiError && error.status === 401) panel.value = "token";
    batch(() => {
      status.value = "error";
      problem.value = messageOf(error);
    });
  }
}

/** Adds the next page of results; true while there are more. */
export async function loadMore(): Promise<void> {
  const next = nextLink(answer.value);
  const before = answer.value;
  if (!next || !before) return;
  try {
    const body = { ...searchBody(query.value), ...next };
    const found = await (image.value ? api.searchImage(image.value, body) : api.search(body));
    if (answer.value === before) answer.value = { ...before, links: found.links ?? [], features: [...before.features, ...found.features] };
  } catch (error) {
    tell(messageOf(error), "error");
  }
}

/** What to send for the next page, or null on the last. */
export function nextLink(found: Answer | null): Record<string, unknown> | null {
  const link = found?.links?.find(({ rel }) => rel === "next");
  if (!link) return null;
  return link.body ?? { token: new URL(link.href, location.href).searchParams.get("token") };
}

/** Shows a saved search as it was saved. */
export function showSaved({ request }: SavedQuery): void {
  image.value = null;
  selected.value = null;
  query.value = queryFrom(request, query.value.gallery);
}

/** Opens a saved search and shows only its matches among scenes indexed since it last ran. */
export async function watch(saved: SavedQuery): Promise<void> {
  showSaved(saved);
  clearTimeout(searchTimer);
  status.value = "loading";
  try {
    const found = await api.runSaved(saved.id);
    batch(() => {
      answer.value = found;
      allScores.value = null;
      status.value = "ready";
    });
    tell(found.features.length ? `${found.features.length} new since "${saved.name}" last ran.` : `Nothing new for "${saved.name}" since it last ran.`);
  } catch (error) {
    batch(() => {
      status.value = "error";
      problem.value = messageOf(error);
    });
  }
}

function followAddress(): void {
  let timer = 0;
  let written = "";
  effect(() => {
    const hash = toHash(query.value, view.value);
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      written = hash;
      history.replaceState(null, "", hash);
    }, ADDRESS_PAUSE);
  });
  window.addEventListener("hashchange", () => {
    if (location.hash === written) return; // our own doing
    const { query: linked } = fromHash(location.hash);
    if (!config.value?.galleries.some(({ id }) => id === linked.gallery)) return;
    if (linked.gallery !== query.value.gallery) openGallery(linked.gallery);
    query.value = linked;
  });
}
