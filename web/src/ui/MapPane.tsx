// The right side: the map, its tools, the legend, the dates and the card of the selected tile.
import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { MapView } from "../map/mapView";
import type { SketchKind } from "../map/sketch";
import { change, footprints, footprintStatus, hovered, query, selected, tell, tileValues, view } from "../state/session";
import { DateBrush } from "./DateBrush";
import { Detail } from "./Detail";
import { BoxIcon, FitIcon, LayersIcon, PolygonIcon, ViewIcon } from "./icons";
import { Legend } from "./Legend";
import { mapCommands } from "./mapCommands";
import { theme } from "./theme";

export function MapPane() {
  const frame = useRef<HTMLDivElement>(null);
  const [map, setMap] = useState<MapView | null>(null);
  const [drawing, setDrawing] = useState<SketchKind | null>(null);
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    let made: MapView | null = null;
    let gone = false;
    void import("../map/mapView").then(({ MapView }) => {
      if (gone) return;
      try {
        made = new MapView(frame.current!, view.value, {
          hover: (tile) => (hovered.value = tile),
          select: (tile) => (selected.value = tile),
          move: (now) => (view.value = now),
        });
        setMap(made);
      } catch {
        setBroken(true);
      }
    });
    return () => {
      gone = true;
      made?.destroy();
    };
  }, []);
  const draw = (kind: SketchKind) => {
    if (!map) return;
    setDrawing(kind);
    map.draw(kind, (area) => {
      setDrawing(null);
      if (area) change({ area });
      else map.setArea(query.value.area);
    });
  };
  const useView = () => map && change({ area: { kind: "box", bounds: map.viewBox() } });
  useEffect(() => {
    if (!map) return;
    mapCommands.value = { draw, useView: () => void useView(), reveal: (tile) => map.reveal(tile), fit: (tiles) => map.fit(tiles) };
    const stop = follow(map);
    const sized = new ResizeObserver(() => map.resize());
    sized.observe(frame.current!);
    return () => {
      stop();
      sized.disconnect();
      mapCommands.value = null;
    };
  }, [map]);
  return (
    <section class="map-pane" aria-label="Map">
      <div class="map-frame">
        <div class="map" ref={frame} />
        {broken && <p class="map-note">This browser cannot draw the map (WebGL 2 is off). Searching, labelling and export work without it.</p>}
        {map && <Tools map={map} drawing={drawing} draw={draw} useView={() => void useView()} />}
        {drawing && <p class="map-note" role="status">{drawing === "box" ? "Drag a box on the map. Esc stops." : "Click the corners; double-click or Enter closes the polygon. Esc stops."}</p>}
        {footprintStatus.value === "loading" && <p class="map-note" role="status">Loading the outlines…</p>}
        {footprintStatus.value === "ready" && footprints.value.count > 0 && !drawing && <Legend />}
        <Detail />
      </div>
      <DateBrush />
    </section>
  );
}

/** Keeps the map showing what the session holds. */
function follow(map: MapView): () => void {
  let fitted = view.value ? query.value.gallery : "";
  const stops = [
    effect(() => {
      map.setFootprints(query.peek().gallery, footprints.value);
      const { gallery } = query.peek();
      if (footprints.value.count && gallery !== fitted) map.fit();
      if (footprints.value.count) fitted = gallery;
    }),
    effect(() => map.setValues(tileValues.value)),
    effect(() => map.setSelected(selected.value)),
    effect(() => map.setHovered(hovered.value)),
    effect(() => map.setArea(query.value.area)),
    effect(() => {
      void theme.value;
      map.recolour();
    }),
  ];
  return () => stops.forEach((stop) => stop());
}

interface ToolProps {
  map: MapView;
  drawing: SketchKind | null;
  draw: (kind: SketchKind) => void;
  useView: () => void;
}

function Tools({ map, drawing, draw, useView }: ToolProps) {
  const [pictures, setPictures] = useState(true);
  const toggle = (kind: SketchKind) => () => (drawing === kind ? map.stopDrawing() : draw(kind));
  return (
    <div class="map-tools" role="toolbar" aria-label="Map tools">
      <button type="button" aria-pressed={drawing === "box"} onClick={toggle("box")} title="Search inside a box"><BoxIcon /> <span>Box</span></button>
      <button type="button" aria-pressed={drawing === "polygon"} onClick={toggle("polygon")} title="Search inside a polygon"><PolygonIcon /> <span>Polygon</span></button>
      <button type="button" onClick={() => { useView(); tell("Searching only what the map shows."); }} title="Search what the map shows now"><ViewIcon /> <span>This view</span></button>
      <span class="divider" />
      <button type="button" aria-pressed={pictures} aria-label="Show the scenes" title="Show the scenes" onClick={() => { map.setPictures(!pictures); setPictures(!pictures); }}><LayersIcon /></button>
      <button type="button" aria-label="Show the whole gallery" title="Show the whole gallery" onClick={() => map.fit()}><FitIcon /></button>
    </div>
  );
}
