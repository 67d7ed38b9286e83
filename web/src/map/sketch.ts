// Drawing an area by hand: drag a box, or click the corners of a polygon. Tells its listener; keeps nothing.
import type { Map as MapLibre } from "maplibre-gl";
import type { Area, Position } from "../state/query";

const CLOSE = 12; // pixels from the first corner that close a polygon
const TINY = 4; // pixels below which a drag was a click

export type SketchKind = "box" | "polygon";

export interface SketchEvents {
  draft: (area: Area | null) => void;
  done: (area: Area | null) => void;
}

/** Starts drawing; the returned function gives up. */
export function sketch(map: MapLibre, kind: SketchKind, events: SketchEvents): () => void {
  const canvas = map.getCanvasContainer();
  const stop = new AbortController();
  const listen = <K extends keyof HTMLElementEventMap>(type: K, run: (event: HTMLElementEventMap[K]) => void) =>
    canvas.addEventListener(type, run, { signal: stop.signal, capture: true });
  const end = (area: Area | null) => {
    stop.abort();
    map.dragPan.enable();
    map.doubleClickZoom.enable();
    map.touchZoomRotate.enable();
    canvas.classList.remove("drawing");
    events.done(area);
  };
  map.dragPan.disable();
  map.doubleClickZoom.disable();
  map.touchZoomRotate.disable();
  canvas.classList.add("drawing");
  window.addEventListener("keydown", (event) => event.key === "Escape" && end(null), { signal: stop.signal });

  const pixel = (event: MouseEvent): [number, number] => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  const position = (point: [number, number]): Position => {
    const { lng, lat } = map.unproject(point);
    return [lng, lat];
  };
  if (kind === "box") box();
  else polygon();
  return () => end(null);

  function box(): void {
    let from: [number, number] | null = null;
    listen("pointerdown", (event) => {
      from = pixel(event);
      canvas.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    listen("pointermove", (event) => from && events.draft(boxBetween(position(from), position(pixel(event)))));
    listen("pointerup", (event) => {
      if (!from) return;
      const to = pixel(event);
      const size = Math.min(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
      end(size < TINY ? null : boxBetween(position(from), position(to)));
    });
  }

  function polygon(): void {
    const corners: [number, number][] = [];
    const ring = (): Position[] => corners.map(position);
    listen("pointermove", (event) => {
      if (corners.length) events.draft({ kind: "polygon", ring: [...ring(), position(pixel(event))] });
    });
    listen("click", (event) => {
      event.stopPropagation();
      const at = pixel(event);
      const first = corners[0];
      if (first && corners.length > 2 && Math.hypot(at[0] - first[0], at[1] - first[1]) < CLOSE) return finish();
      corners.push(at);
      events.draft({ kind: "polygon", ring: ring() });
    });
    listen("dblclick", (event) => {
      event.stopPropagation();
      corners.pop(); // The second click of the pair put a corner on top of the first.
      finish();
    });
    const onEnter = (event: KeyboardEvent) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // or the tool's button, which still has the focus, would start anew
      finish();
    };
    window.addEventListener("keydown", onEnter, { signal: stop.signal });
    function finish(): void {
      end(corners.length > 2 ? { kind: "polygon", ring: ring() } : null);
    }
  }
}

export function boxBetween(a: Position, b: Position): Area {
  return { kind: "box", bounds: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])] };
}

/** An area's outline as a ring of lon, lat. */
export function ringOf(area: Area): Position[] {
  if (area.kind === "polygon") return area.ring;
  const [w, s, e, n] = area.bounds;
  return [[w, s], [e, s], [e, n], [w, n]];
}
