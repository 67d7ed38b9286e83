// The map as one object: what the page tells it to show, and what people do on it. Knows no search and no server state.
import "maplibre-gl/dist/maplibre-gl.css";
import { type GeoJSONSource, type LngLatBoundsLike, Map as MapLibre, NavigationControl, type PaddingOptions, ScaleControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import type { Bounds, SceneInfo } from "../api/types";
import { boundsOf, type Footprints, NO_FOOTPRINTS, tileAt } from "../state/footprints";
import type { View } from "../state/permalink";
import type { Area } from "../state/query";
import { FootprintLayer } from "./footprintLayer";
import { zoomForWidth } from "./mercator";
import { ScenePictures } from "./scenePictures";
import { ringOf, sketch, type SketchKind } from "./sketch";
import { baseStyle, feature, NOTHING, rampExpression, token } from "./style";
import { loadWorld } from "./world";

setWorkerUrl(new URL(workerUrl, import.meta.url).href);

const TOOLS = 44; // pixels: the height of the tools over the map
const CARD = 320; // pixels: the width of the selected tile's card
const POINT_UNTIL = 14; // pixels: scenes narrower than this are shown as a point

export interface MapEvents {
  hover: (tile: string | null) => void;
  select: (tile: string | null) => void;
  move: (view: View) => void;
}

const calm = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class MapView {
  private readonly map: MapLibre;
  private readonly layer = new FootprintLayer();
  private readonly pictures: ScenePictures;
  private readonly ready: Promise<unknown>;
  private footprints: Footprints = NO_FOOTPRINTS;
  private values: Float32Array = new Float32Array();
  private gallery = "";
  private topScene: string | null = null;
  private giveUp: (() => void) | null = null;
  /** Pixels on the right that a card hides. */
  private covered = 0;

  constructor(container: HTMLElement, start: View | null, private readonly events: MapEvents) {
    this.map = new MapLibre({
      container,
      style: baseStyle(),
      center: start ? [start.lon, start.lat] : [0, 20],
      zoom: start?.zoom ?? 1,
      maxZoom: 22,
      minZoom: 0.4,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-left");
    this.map.addControl(new ScaleControl({}), "bottom-right");
    this.pictures = new ScenePictures(this.map, "footprints");
    // A scene picture that cannot be read leaves a gap; the outlines still say what is there.
    this.map.on("error", () => undefined);
    this.ready = new Promise((done) => {
      this.map.once("style.load", () => {
        this.map.addLayer(this.layer, "area-fill");
        this.recolour();
        done(null);
      });
    });
    void this.ready.then(() => this.drawWorld());
    this.watch();
  }

  setFootprints(gallery: string, footprints: Footprints): void {
    this.gallery = gallery;
    this.footprints = footprints;
    void this.ready.then(() => {
      this.layer.setFootprints(footprints);
      this.updatePictures();
    });
  }

  /** One value a tile: below 0 filtered out, 0 no result, else a result of that shade. */
  setValues(values: Float32Array): void {
    this.values = values;
    void this.ready.then(() => {
      this.layer.setValues(values);
      this.set("scene-points", this.scenePoints());
    });
  }

  setSelected(tile: string | null): void {
    this.covered = tile === null ? 0 : CARD;
    const row = tile === null ? undefined : this.footprints.rowOf.get(tile);
    this.topScene = row === undefined ? null : (this.footprints.scenes[this.footprints.scene[row]!]?.id ?? null);
    void this.ready.then(() => {
      this.set("picked", this.outline(tile));
      this.updatePictures();
    });
  }

  setHovered(tile: string | null): void {
    void this.ready.then(() => this.set("near", this.outline(tile)));
  }

  setArea(area: Area | null): void {
    void this.ready.then(() => this.set("area", area ? areaFeature(area) : NOTHING));
  }

  setPictures(visible: boolean): void {
    this.pictures.setVisible(visible);
  }

  /** Takes the theme's colours anew. */
  recolour(): void {
    const paint = this.map.setPaintProperty.bind(this.map);
    paint("sea", "background-color", token("sea"));
    paint("land", "fill-color", token("land"));
    for (const id of ["coast", "borders"]) paint(id, "line-color", token("border"));
    paint("area-fill", "fill-color", token("accent"));
    paint("area-line", "line-color", token("accent"));
    paint("scene-points", "circle-stroke-color", token("surface"));
    paint("scene-points", "circle-color", ["case", [">", ["get", "value"], 0], rampExpression, token("muted")]);
    this.layer.setNeutral(rgb(token("muted")));
  }

  draw(kind: SketchKind, done: (area: Area | null) => void): void {
    this.giveUp?.();
    this.giveUp = sketch(this.map, kind, {
      draft: (area) => this.setArea(area),
      done: (area) => {
        this.giveUp = null;
        done(area);
      },
    });
  }

  stopDrawing(): void {
    this.giveUp?.();
  }

  viewBox(): Bounds {
    const bounds = this.map.getBounds();
    const wide = bounds.getEast() - bounds.getWest() >= 360;
    const turn = (lon: number) => ((((lon + 180) % 360) + 360) % 360) - 180;
    const [west, east] = wide ? [-180, 180] : [turn(bounds.getWest()), turn(bounds.getEast())];
    return [west, bounds.getSouth(), east, bounds.getNorth()];
  }

  /** Shows all tiles, or the ones named. */
  fit(tiles?: Iterable<string>, padding = 60): void {
    const bounds = boundsOf(this.footprints, tiles);
    if (bounds) this.map.fitBounds(bounds as LngLatBoundsLike, { padding: this.room(padding), maxZoom: 18, duration: calm() ? 0 : 700, linear: true });
  }

  /** Brings a tile into view if it is outside it, or too small to see. */
  reveal(tile: string): void {
    const bounds = boundsOf(this.footprints, [tile]);
    if (!bounds) return;
    const view = this.map.getBounds();
    const inside = view.contains([bounds[0], bounds[1]]) && view.contains([bounds[2], bounds[3]]);
    const small = this.map.getZoom() < zoomForWidth(bounds[2] - bounds[0], 24);
    if (!inside || small) this.fit([tile], 140);
  }

  jump({ lon, lat, zoom }: View): void {
    this.map.jumpTo({ center: [lon, lat], zoom });
  }

  resize(): void {
    this.map.resize();
  }

  destroy(): void {
    this.map.remove();
  }

  private watch(): void {
    let frame = 0;
    this.map.on("mousemove", ({ lngLat }) => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        const tile = this.giveUp ? null : this.tileAt(lngLat.lng, lngLat.lat);
        this.map.getCanvas().style.cursor = tile ? "pointer" : "";
        this.events.hover(tile);
      });
    });
    this.map.on("mouseout", () => this.events.hover(null));
    this.map.on("click", ({ lngLat, point }) => {
      if (this.giveUp) return;
      const dot = this.map.getLayer("scene-points") && this.map.queryRenderedFeatures(point, { layers: ["scene-points"] })[0];
      if (dot) this.fitScene(String(dot.properties.id));
      else this.events.select(this.tileAt(lngLat.lng, lngLat.lat));
    });
    this.map.on("moveend", () => {
      const { lng, lat } = this.map.getCenter();
      this.updatePictures();
      this.events.move({ lon: lng, lat, zoom: this.map.getZoom() });
    });
  }

  private tileAt(lon: number, lat: number): string | null {
    return tileAt(this.footprints, this.values, lon, lat);
  }

  private fitScene(id: string): void {
    const bounds = this.footprints.scenes.find((scene) => scene.id === id)?.bounds;
    if (bounds) this.map.fitBounds(unwrapped(bounds), { padding: this.room(60), duration: calm() ? 0 : 900 });
  }

  /** Room around what is to be seen; more on the side where a card lies over the map. */
  private room(wanted: number): PaddingOptions {
    const { clientWidth, clientHeight } = this.map.getContainer();
    const pad = Math.min(wanted, clientWidth / 6, clientHeight / 6);
    return { top: pad + TOOLS, bottom: pad, left: pad, right: Math.min(pad + this.covered, clientWidth / 2) };
  }

  private updatePictures(): void {
    if (this.map.getLayer("footprints")) this.pictures.update(this.gallery, this.footprints.scenes, this.topScene);
  }

  private scenePoints(): GeoJSON.FeatureCollection {
    const best = new Float32Array(this.footprints.scenes.length).fill(-1);
    this.values.forEach((value, row) => {
      const scene = this.footprints.scene[row]!;
      if (value > best[scene]!) best[scene] = value;
    });
    const features = this.footprints.scenes.flatMap((scene, i) => (scene.bounds && best[i]! >= 0 ? [point(scene, scene.bounds, best[i]!)] : []));
    return { type: "FeatureCollection", features };
  }

  private outline(tile: string | null): GeoJSON.FeatureCollection {
    const row = tile === null ? undefined : this.footprints.rowOf.get(tile);
    if (row === undefined || Number.isNaN(this.footprints.rings[row * 8])) return NOTHING;
    const corners = [0, 2, 4, 6, 0].map((at) => [this.footprints.rings[row * 8 + at]!, this.footprints.rings[row * 8 + at + 1]!]);
    return { type: "FeatureCollection", features: [feature({ type: "Polygon", coordinates: [corners] })] };
  }

  private async drawWorld(): Promise<void> {
    const { land, coast, borders } = await loadWorld();
    this.set("land", { type: "FeatureCollection", features: [feature(land)] });
    this.set("coast", { type: "FeatureCollection", features: [feature(coast)] });
    this.set("borders", { type: "FeatureCollection", features: [feature(borders)] });
  }

  private set(source: string, data: GeoJSON.FeatureCollection): void {
    void this.map.getSource<GeoJSONSource>(source)?.setData(data);
  }
}

function unwrapped([w, s, e, n]: Bounds): [number, number, number, number] {
  return [w, s, e < w ? e + 360 : e, n];
}

function point(scene: SceneInfo, bounds: Bounds, value: number): GeoJSON.Feature {
  const [w, s, e, n] = unwrapped(bounds);
  const until = zoomForWidth(e - w, POINT_UNTIL);
  return feature({ type: "Point", coordinates: [(w + e) / 2, (s + n) / 2] }, { id: scene.id, value, until });
}

function areaFeature(area: Area): GeoJSON.FeatureCollection {
  const ring = ringOf(area);
  return { type: "FeatureCollection", features: [feature({ type: "Polygon", coordinates: [[...ring, ring[0]!]] })] };
}

/** "#rrggbb" as three parts in 0..1. */
function rgb(hex: string): [number, number, number] {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255) as [number, number, number];
}
