// The map's own look: sea, land, borders, and empty places for what is drawn over them. No glyphs, no sprites, no tiles.
import type { ExpressionSpecification, StyleSpecification } from "maplibre-gl";
import type { FeatureCollection, Geometry } from "geojson";
import { RAMP } from "./ramp";

export const NOTHING: FeatureCollection = { type: "FeatureCollection", features: [] };

/** A colour of the page's theme, as CSS text. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function feature(geometry: Geometry, properties: Record<string, unknown> = {}): FeatureCollection["features"][number] {
  return { type: "Feature", geometry, properties };
}

export const rampExpression = [
  "interpolate-lab",
  ["linear"],
  ["get", "value"],
  ...RAMP.flatMap((colour, i) => [i / (RAMP.length - 1), `rgb(${colour.join(",")})`]),
] as unknown as ExpressionSpecification;

export function baseStyle(): StyleSpecification {
  const geojson = { type: "geojson" as const, data: NOTHING };
  const world = { ...geojson, maxzoom: 6, tolerance: 0.5 }; // 1:50 million has nothing finer to show
  return {
    version: 8,
    sources: { land: world, coast: world, borders: world, "scene-points": geojson, area: geojson, picked: geojson, near: geojson },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": token("sea") } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": token("land"), "fill-antialias": true } },
      { id: "coast", type: "line", source: "coast", paint: { "line-color": token("border"), "line-width": 0.7 } },
      { id: "borders", type: "line", source: "borders", paint: { "line-color": token("border"), "line-width": 0.6, "line-dasharray": [3, 2] } },
      {
        id: "scene-points",
        type: "circle",
        source: "scene-points",
        filter: ["<", ["zoom"], ["get", "until"]],
        paint: {
          "circle-radius": ["case", [">", ["get", "value"], 0], 6.5, 4.5],
          "circle-color": ["case", [">", ["get", "value"], 0], rampExpression, token("muted")],
          "circle-stroke-color": token("surface"),
          "circle-stroke-width": 1.5,
        },
      },
      { id: "area-fill", type: "fill", source: "area", paint: { "fill-color": token("accent"), "fill-opacity": 0.08 } },
      { id: "area-line", type: "line", source: "area", paint: { "line-color": token("accent"), "line-width": 2, "line-dasharray": [2, 1.5] } },
      { id: "near-case", type: "line", source: "near", paint: { "line-color": "#06120f", "line-width": 5, "line-opacity": 0.55 } },
      { id: "near-line", type: "line", source: "near", paint: { "line-color": "#ffffff", "line-width": 2.5 } },
      { id: "picked-case", type: "line", source: "picked", paint: { "line-color": "#06120f", "line-width": 7, "line-opacity": 0.6 } },
      { id: "picked-line", type: "line", source: "picked", paint: { "line-color": "#5ee0ff", "line-width": 3.5 } },
    ],
  };
}
