// Requests to the server, all relative to where the page lies. Knows addresses and errors, nothing of what is on screen.
import type { Answer, Config, DateCounts, ExportFormat, FootprintData, Item, Label, LabelImport, SavedQuery, ScoreColumn, SearchBody } from "./types";

/** What went wrong, in words for a person; `status` is 0 when the server could not be reached at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The address of a server path such as "search", from the page's own address. */
export function address(path: string): string {
  return new URL(`../${path}`, new URL(".", document.baseURI)).href;
}

async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(path), options);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(0, "The Landsift server does not answer. Check that it still runs, then try again.");
  }
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  return response;
}

async function reason(response: Response): Promise<string> {
  try {
    const { description } = (await response.json()) as { description?: string };
    if (description) return description;
  } catch {
    // Not JSON: something between the page and the server answered.
  }
  return `The server answered with an error (${response.status}). Try again, or look at its log.`;
}

async function json<T>(path: string, options?: RequestInit): Promise<T> {
  return (await (await request(path, options)).json()) as T;
}

function sent(method: string, body: unknown, signal?: AbortSignal): RequestInit {
  return { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal: signal ?? null };
}

function sentWith(image: Blob, body: SearchBody, more: Record<string, string>, signal?: AbortSignal): RequestInit {
  const form = new FormData();
  form.append("image", image);
  form.append("request", JSON.stringify(body));
  for (const [name, value] of Object.entries(more)) form.append(name, value);
  return { method: "POST", body: form, signal: signal ?? null };
}

const part = encodeURIComponent;
const topicOf = (gallery: string, topic: string): string => `collection=${part(gallery)}&topic=${part(topic)}`;

export const api = {
  config: () => json<Config>("ui-config"),
  footprints: (gallery: string, signal: AbortSignal) => json<FootprintData>(`galleries/${part(gallery)}/footprints`, { signal }),
  dates: (gallery: string, signal: AbortSignal) => json<DateCounts>(`galleries/${part(gallery)}/dates`, { signal }),
  search: (body: SearchBody, signal?: AbortSignal) => json<Answer>("search", sent("POST", body, signal)),
  searchImage(image: Blob, body: SearchBody, signal?: AbortSignal): Promise<Answer> {
    return json<Answer>("search/image", sentWith(image, body, {}, signal));
  },
  async scores(body: SearchBody, image: Blob | null, signal: AbortSignal): Promise<ScoreColumn> {
    const found = await (image
      ? request("search/image/scores", sentWith(image, body, {}, signal))
      : request("search/scores", sent("POST", body, signal)));
    return { rows: found.headers.get("Landsift-Rows") ?? "", scores: await found.arrayBuffer() };
  },
  place: async (gallery: string, tile: string, signal: AbortSignal) =>
    (await json<{ tiles: Item[] }>(`galleries/${part(gallery)}/place/${part(tile)}`, { signal })).tiles,
  labels: async (gallery: string, topic: string) =>
    (await json<{ labels: Label[] }>(`feedback?${topicOf(gallery, topic)}`)).labels,
  label: (gallery: string, topic: string, tile: string, wanted: boolean | null) =>
    request("feedback", sent("POST", { collection: gallery, topic, tile, wanted })),
  labelFile: async (gallery: string, topic: string) => (await request(`feedback/export?${topicOf(gallery, topic)}`)).blob(),
  importLabels: (gallery: string, topic: string, points: unknown) =>
    json<LabelImport>("feedback/import", sent("POST", { collection: gallery, topic, labels: points })),
  saved: async () => (await json<{ queries: SavedQuery[] }>("queries")).queries,
  save: (name: string, body: SearchBody) => json<SavedQuery>("queries", sent("POST", { name, request: body })),
  forget: (id: string) => request(`queries/${part(id)}`, { method: "DELETE" }),
  runSaved: (id: string) => json<Answer>(`queries/${part(id)}/run`, sent("POST", { new_only: true })),
  export: async (format: ExportFormat, body: SearchBody, image: Blob | null) =>
    (await (image ? request("export/image", sentWith(image, body, { format })) : request("export", sent("POST", { format, request: body })))).blob(),
};

export function thumbnailOf(gallery: string, tile: string, size: number): string {
  return address(`tiles/${part(gallery)}/${part(tile)}/thumbnail?size=${size}`);
}

export function chipOf(gallery: string, tile: string): string {
  return address(`tiles/${part(gallery)}/${part(tile)}/chip.tif`);
}

export function scenePictures(gallery: string, scene: string): string {
  return `${address(`scenes/${part(gallery)}/${part(scene)}`)}/{z}/{x}/{y}.png`;
}
