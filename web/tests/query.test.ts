import { describe, expect, it } from "vitest";
import { fromHash, toHash } from "../src/state/permalink";
import { asksForSomething, EMPTY, hasFilters, type Query, queryFrom, searchBody, topicOf } from "../src/state/query";

const full: Query = {
  gallery: "coast & sea",
  text: "ships, moored; at #2 pier?",
  like: ["harbour-1a2b3c4d_s1_x512_y0"],
  unlike: ["field-00aa11bb_s2_x0_y256"],
  not: ["clouds, thin", "haze"],
  area: { kind: "box", bounds: [170, -10.5, -170, 12.25] },
  days: ["2019-01-01", ""],
  gsd: [0.3, 10],
  scenes: ["a/b=1.tif", "c.tif"],
  minScore: 0.25,
  overlapping: true,
  probe: true,
  topic: "ships",
};

describe("permalink", () => {
  it("holds the whole query and the map's place", () => {
    const view = { lon: -4.12345, lat: 51.5, zoom: 9.25 };
    expect(fromHash(toHash(full, view))).toEqual({ query: full, view });
  });

  it("holds a polygon and an open first day", () => {
    const query: Query = { ...full, area: { kind: "polygon", ring: [[1, 2], [3.5, 2], [3, 4]] }, days: ["", "2020-12-31"] };
    expect(fromHash(toHash(query, null))).toEqual({ query, view: null });
  });

  it.each(["", "#", "#box=1,2,3&poly=1,2;x,4;5,6&days=yesterday&gsd=fine&min=high&map=1,2", "#%E0%A4%A"])("leaves out what it cannot read: %s", (hash) => {
    expect(fromHash(hash).query).toEqual(EMPTY);
    expect(fromHash(hash).view).toBeNull();
  });
});

describe("search body", () => {
  it("keeps a sentence with a comma whole", () => {
    expect(searchBody({ ...EMPTY, gallery: "g", text: "ships, moored" }).q).toEqual(["ships, moored"]);
  });

  it("asks nothing of what is not set", () => {
    expect(searchBody({ ...EMPTY, gallery: "g", text: " a road " }, 7)).toEqual({
      collections: ["g"], limit: 7, q: ["a road"], "landsift:explain": true, "landsift:overlapping": "merge",
    });
  });

  it("closes a polygon's ring and leaves an open end of time open", () => {
    const body = searchBody({ ...EMPTY, area: { kind: "polygon", ring: [[0, 0], [1, 0], [1, 1]] }, days: ["2020-01-01", ""] });
    expect(body.intersects).toEqual({ type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] });
    expect(body.datetime).toBe("2020-01-01T00:00:00Z/..");
  });

  it("comes back as the query it was made from", () => {
    const { topic: _, ...rest } = full;
    expect(queryFrom(searchBody(full), "other")).toEqual({ ...rest, topic: "ships" });
    const one: Query = { ...EMPTY, gallery: "g", text: "x", scenes: ["only.tif"], days: ["", "2001-02-03"], area: { kind: "polygon", ring: [[0, 0], [1, 0], [1, 1]] } };
    expect(queryFrom(searchBody(one), "other")).toEqual(one);
  });

  it("understands a body with less in it than ours", () => {
    expect(queryFrom({ q: "a lake" }, "here")).toEqual({ ...EMPTY, gallery: "here", text: "a lake" });
  });
});

it("knows what can be scored and what only filters", () => {
  expect(asksForSomething({ ...EMPTY, text: "  " })).toBe(false);
  expect(asksForSomething({ ...EMPTY, like: ["t"] })).toBe(true);
  expect(asksForSomething({ ...EMPTY, not: ["clouds"] })).toBe(false);
  expect(hasFilters({ ...EMPTY, gsd: [0, 1] })).toBe(true);
  expect(hasFilters({ ...EMPTY, minScore: 0.2 })).toBe(false);
});

it("files thumbs under the words unless a topic is kept", () => {
  expect(topicOf({ ...EMPTY, text: " a dam " })).toBe("a dam");
  expect(topicOf({ ...EMPTY, text: "a dam", topic: "dams" })).toBe("dams");
  expect(topicOf({ ...EMPTY, like: ["t"] })).toBe("t");
});
