// What other parts of the page may ask of the map, once it is there.
import { signal } from "@preact/signals";
import type { SketchKind } from "../map/sketch";

export interface MapCommands {
  draw: (kind: SketchKind) => void;
  useView: () => void;
  reveal: (tile: string) => void;
  fit: (tiles?: Iterable<string>) => void;
}

export const mapCommands = signal<MapCommands | null>(null);
