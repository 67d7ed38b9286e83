import { render } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api } from "../src/api/client";
import type { Answer, Config } from "../src/api/types";
import { label, labelAndStep, rankWithProbe, refine, step, toggleLabel } from "../src/state/labelling";
import { EMPTY } from "../src/state/query";
import { loadMore, start } from "../src/state/running";
import { allScores, answer, config, counts, image, items, labels, panel, query, selected, setText, startError, status, tileValues } from "../src/state/session";
import { ResultsPane } from "../src/ui/ResultsPane";
import { SearchBox, takeImage } from "../src/ui/SearchBox";

const CONFIG: Config = {
  galleries: [{ id: "g", title: "g", tiles: 3, scenes: 1, bounds: null, dates: null, encoder: { name: "e", dim: 2 } }],
  read_only: false,
  examples: ["a road"],
  version: "1",
};
const found = (ids: string[], next?: string): Answer => ({
  features: ids.map((id, i) => ({ id, collection: "g", geometry: null, properties: { datetime: null, "landsift:score": 0.9 - i / 10 } })),
  numberMatched: 9,
  links: next ? [{ rel: "next", href: "http://x/search", body: { token: next } }] : [],
});

let asked: { path: string; body: Record<string, unknown> }[] = [];
let failing: number | null = null;
let outlines: { ids: string[]; rows?: string } = { ids: [] };

function server(url: string, options?: RequestInit): Response {
  const path = new URL(url).pathname;
  asked.push({ path, body: typeof options?.body === "string" ? JSON.parse(options.body) : {} });
  if (failing !== null && path === "/search") return Response.json({ code: "Bad", description: "The words are too long; shorten them." }, { status: failing });
  if (path === "/ui-config") return Response.json(CONFIG);
  if (path.endsWith("/footprints")) {
    const { ids } = outlines;
    return Response.json({ ...outlines, count: ids.length, scene: ids.map(() => 0), scenes: [], rings: ids.flatMap(() => [0, 1, 1, 1, 1, 0, 0, 0]), gsd: ids.map(() => 1), dates: [] });
  }
  if (path.endsWith("/scores")) return new Response(Uint16Array.of(0x3b33, 0x3a66, 0x399a, 0x3a00, 0x7e00), { headers: { "Landsift-Rows": "now" } });
  if (path.startsWith("/export")) return new Response("file");
  if (path.endsWith("/dates")) return Response.json({ days: [], tiles: [] });
  if (path.startsWith("/search")) return Response.json(asked.at(-1)!.body.token ? found(["d"]) : found(["a", "b", "c"], "2"));
  if (path === "/feedback") return Response.json({ labels: [] });
  return Response.json({ code: "NotFound", description: "none" }, { status: 404 });
}

beforeEach(async () => {
  asked = [];
  failing = null;
  outlines = { ids: [] };
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (url: string, options?: RequestInit) => server(url, options));
  history.replaceState(null, "", "#");
  config.value = null;
  query.value = EMPTY;
  labels.value = new Map();
  selected.value = null;
  await start();
  await vi.runAllTimersAsync();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const searches = () => asked.filter(({ path }) => path === "/search");
const type = async (text: string) => {
  setText(text);
  await vi.runAllTimersAsync();
};

describe("searching", () => {
  it("opens the first gallery and asks nothing until words come", () => {
    expect(query.value.gallery).toBe("g");
    expect(searches()).toHaveLength(0);
    expect(status.value).toBe("idle");
  });

  it("waits for a pause in typing", async () => {
    for (const text of ["a", "a r", "a ro", "a road"]) {
      setText(text);
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.runAllTimersAsync();
    expect(searches().map(({ body }) => body.q)).toEqual([["a road"]]);
    expect(items.value.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(location.hash).toContain("q=a+road");
  });

  it("says what the server says when it fails, and recovers", async () => {
    failing = 400;
    const host = document.createElement("div");
    render(<ResultsPane />, host);
    await type("long");
    await vi.runAllTimersAsync();
    expect(host.textContent).toContain("The words are too long; shorten them.");
    failing = null;
    await type("short");
    await vi.runAllTimersAsync();
    expect(host.querySelectorAll(".card")).toHaveLength(3);
    render(null, host);
  });

  it("goes back to the welcome when the words are cleared", async () => {
    await type("a road");
    await type("");
    expect(status.value).toBe("idle");
    expect(answer.value).toBeNull();
  });

  it("adds the next page and stops at the last", async () => {
    await type("a road");
    await loadMore();
    expect(items.value.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    const before = searches().length;
    await loadMore();
    expect(searches()).toHaveLength(before);
  });

  it("takes a picture beside the words, and searches again without it", async () => {
    await type("a road");
    takeImage(new File(["x"], "lake.tif"));
    await vi.runAllTimersAsync();
    expect(asked.filter(({ path }) => path === "/search/image")).toHaveLength(1);
    image.value = null;
    await vi.runAllTimersAsync();
    expect(searches()).toHaveLength(2);
  });

  it.each(["now", "before the last scene came"])("colours tiles beyond the results if the outlines are those of the scores: %s", async (rows) => {
    outlines = { ids: ["a", "b", "c", "between", "left out"], rows };
    for (const gallery of ["none", "g"]) {
      query.value = { ...EMPTY, gallery };
      await vi.runAllTimersAsync();
    }
    await type("a road");
    const [a, b, c, between, leftOut] = tileValues.value;
    expect(a! > b! && b! > c! && c! > 0).toBe(true);
    expect(leftOut).toBe(0);
    if (rows === "now") expect(between! > c! && between! < b!).toBe(true);
    else expect(between).toBe(0);
    await type("");
    expect(allScores.value).toBeNull();
  });

  it("exports a search with a picture with the picture", async () => {
    takeImage(new File(["x"], "lake view.tif"));
    await vi.runAllTimersAsync();
    await api.export("csv", { limit: 3 }, image.value);
    expect(asked.at(-1)!.path).toBe("/export/image");
    await api.export("csv", { limit: 3 }, null);
    expect(asked.at(-1)).toEqual({ path: "/export", body: { format: "csv", request: { limit: 3 } } });
    image.value = null;
  });

  it("asks for the token again when the server no longer knows it", async () => {
    failing = 401;
    await type("a road");
    expect(panel.value).toBe("token");
    panel.value = null;
  });

  it("explains itself when the server cannot be reached", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("failed")));
    await start();
    expect(startError.value).toMatch(/does not answer/);
  });
});

describe("labelling", () => {
  beforeEach(() => type("a road"));

  it("steps through the results and stays inside them", () => {
    step(1);
    expect(selected.value).toBe("a");
    step(1);
    step(1);
    step(1);
    expect(selected.value).toBe("c");
    step(-1);
    expect(selected.value).toBe("b");
  });

  it("labels and goes on, and takes the same thumb back", async () => {
    step(1);
    labelAndStep(true);
    expect(selected.value).toBe("b");
    labelAndStep(false);
    await vi.runAllTimersAsync();
    expect(counts.value).toEqual({ wanted: 1, unwanted: 1 });
    expect(asked.filter(({ path }) => path === "/feedback" && true).map(({ body }) => body).filter(({ tile }) => tile)).toEqual([
      { collection: "g", topic: "a road", tile: "a", wanted: true },
      { collection: "g", topic: "a road", tile: "b", wanted: false },
    ]);
    await toggleLabel("a", true);
    expect(labels.value.has("a")).toBe(false);
  });

  it("keeps the last result's thumb when the same key is pressed again at the end", async () => {
    for (let i = 0; i < 5; i++) labelAndStep(false);
    await vi.runAllTimersAsync();
    expect(counts.value).toEqual({ wanted: 0, unwanted: 3 });
  });

  it("takes a thumb back when the server refuses it", async () => {
    vi.stubGlobal("fetch", async () => Response.json({ description: "no" }, { status: 403 }));
    await label("a", true);
    expect(labels.value.size).toBe(0);
  });

  it("refines towards the wanted and away from the others, under the same topic", async () => {
    labels.value = new Map([["a", true], ["b", false]]);
    refine();
    await vi.runAllTimersAsync();
    expect(searches().at(-1)!.body).toMatchObject({ q: ["a road"], "landsift:like": ["a"], "landsift:not": ["b"] });
    rankWithProbe();
    await vi.runAllTimersAsync();
    expect(searches().at(-1)!.body).toMatchObject({ "landsift:probe": "a road" });
  });
});

it("the search box says what it is, and refuses a file that is no picture", () => {
  const host = document.createElement("div");
  render(<SearchBox />, host);
  expect(host.querySelector("label[for=words]")!.textContent).toBe("Describe what to find");
  takeImage(new File(["x"], "notes.docx"));
  expect(searches()).toHaveLength(0);
  render(null, host);
});
