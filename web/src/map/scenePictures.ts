// Shows the scenes themselves under the outlines: only those in view and large enough to see, newest on top.
import type { Map as MapLibre } from "maplibre-gl";
import { scenePictures } from "../api/client";
import type { Bounds, SceneInfo } from "../api/types";
import { nativeZoom, zoomForWidth } from "./mercator";

const AT_ONCE = 24; // scenes; each is a source of its own
const SMALLEST = 40; // pixels

/** Scenes worth showing in a view, in drawing order: oldest first, `top` last. */
export function scenesInView(scenes: SceneInfo[], view: Bounds, zoom: number, top: string | null): SceneInfo[] {
  const seen = scenes.filter(
    ({ bounds }) => bounds !== null && overlap(bounds, view) && zoom >= zoomForWidth(width(bounds), SMALLEST),
  );
  seen.sort((a, b) => Number(a.id === top) - Number(b.id === top) || (a.date ?? "").localeCompare(b.date ?? ""));
  return seen.slice(-AT_ONCE);
}

const width = ([w, , e]: Bounds): number => (e >= w ? e - w : e - w + 360);

function overlap([w, s, e, n]: Bounds, view: Bounds): boolean {
  if (n < view[1] || s > view[3]) return false;
  const east = e >= w ? e : e + 360;
  return [-360, 0, 360].some((turn) => w + turn <= view[2] && east + turn >= view[0]);
}

export class ScenePictures {
  private shown: string[] = [];
  private visible = true;

  constructor(
    private readonly map: MapLibre,
    private readonly before: string,
  ) {}

  setVisible(visible: boolean): void {
    this.visible = visible;
    for (const id of this.shown) this.map.setLayoutProperty(id, "visibility", visible ? "visible" : "none");
  }

  update(gallery: string, scenes: SceneInfo[], top: string | null): void {
    const bounds = this.map.getBounds();
    const view: Bounds = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    const wanted = scenesInView(scenes, view, this.map.getZoom(), top);
    const ids = wanted.map((scene) => `scene:${gallery}/${scene.id}`);
    for (const id of this.shown.filter((id) => !ids.includes(id))) this.remove(id);
    wanted.forEach((scene, i) => {
      if (!this.shown.includes(ids[i]!)) this.add(ids[i]!, gallery, scene);
      this.map.moveLayer(ids[i]!, this.before);
    });
    this.shown = ids;
  }

  private add(id: string, gallery: string, scene: SceneInfo): void {
    const [w, s, e, n] = scene.bounds!;
    const maxzoom = scene.gsd ? nativeZoom(scene.gsd, (s + n) / 2) : 22;
    const crosses = w > e;
    this.map.addSource(id, {
      type: "raster",
      tiles: [scenePictures(gallery, scene.id)],
      tileSize: 256,
      maxzoom,
      ...(crosses ? {} : { bounds: [w, s, e, n] as Bounds }),
    });
    const visibility = this.visible ? "visible" : "none";
    this.map.addLayer({ id, type: "raster", source: id, layout: { visibility }, paint: { "raster-fade-duration": 120 } }, this.before);
  }

  private remove(id: string): void {
    this.map.removeLayer(id);
    this.map.removeSource(id);
  }
}
