// Where, when and how sharp: the filters that narrow what is searched.
import { useState } from "preact/hooks";
import type { SketchKind } from "../map/sketch";
import { change, dateCounts, footprints, query } from "../state/session";
import { BoxIcon, CloseIcon, PolygonIcon, ViewIcon } from "./icons";
import { mapCommands } from "./mapCommands";
import { Popover } from "./Popover";
import { day, resolution, trim } from "./words";

/** A filter's button; with a value it is filled and has its own button to take the value away. */
export function FilterPill(props: { title: string; value: string | null; clear: () => void; children: (close: () => void) => preact.ComponentChildren }) {
  const { title, value, clear, children } = props;
  return (
    <span class={value === null ? "filter" : "filter set"}>
      <Popover label={value ?? title} name={value === null ? undefined! : `${title}: ${value}`}>{children}</Popover>
      {value !== null && (
        <button type="button" class="drop" aria-label={`Clear ${title.toLowerCase()}`} title={`Clear ${title.toLowerCase()}`} onClick={clear}>
          <CloseIcon />
        </button>
      )}
    </span>
  );
}

export function AreaFilter() {
  const { area } = query.value;
  const value = area === null ? null : area.kind === "box" ? "Inside a box" : "Inside a polygon";
  const draw = (kind: SketchKind, close: () => void) => () => {
    close();
    mapCommands.value?.draw(kind);
  };
  return (
    <FilterPill title="Area" value={value} clear={() => change({ area: null })}>
      {(close) => (
        <ul class="menu">
          <li><button type="button" onClick={draw("box", close)}><BoxIcon /> Draw a box</button></li>
          <li><button type="button" onClick={draw("polygon", close)}><PolygonIcon /> Draw a polygon</button></li>
          <li><button type="button" onClick={() => { close(); mapCommands.value?.useView(); }}><ViewIcon /> What the map shows now</button></li>
        </ul>
      )}
    </FilterPill>
  );
}

export function DatesFilter() {
  const { days } = query.value;
  const known = dateCounts.value.days;
  if (!known.length && !days) return null;
  const value = days && `${days[0] ? day(days[0]) : "any time"} – ${days[1] ? day(days[1]) : "now"}`;
  const set = (at: 0 | 1) => (event: Event) => {
    const next: [string, string] = days ? [...days] : ["", ""];
    next[at] = (event.currentTarget as HTMLInputElement).value;
    change({ days: next[0] || next[1] ? next : null });
  };
  return (
    <FilterPill title="Dates" value={value} clear={() => change({ days: null })}>
      {() => (
        <div class="stack">
          <label class="field">From <input type="date" value={days?.[0] ?? ""} min={known[0]} max={known.at(-1)} onChange={set(0)} /></label>
          <label class="field">Until <input type="date" value={days?.[1] ?? ""} min={known[0]} max={known.at(-1)} onChange={set(1)} /></label>
          <p class="hint">Tiles without a date are left out while dates are set.</p>
        </div>
      )}
    </FilterPill>
  );
}

export function ResolutionFilter() {
  const { gsd } = query.value;
  const value = gsd && `${trim(gsd[0])} – ${trim(gsd[1])} m/px`;
  return (
    <FilterPill title="Resolution" value={value} clear={() => change({ gsd: null })}>
      {(close) => <ResolutionForm close={close} />}
    </FilterPill>
  );
}

/** The finest and coarsest resolution among the tiles, metres a pixel. */
export function resolutionRange(gsd: Float32Array): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const value of gsd) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

function ResolutionForm({ close }: { close: () => void }) {
  const range = resolutionRange(footprints.value.gsd);
  const [low, setLow] = useState(String(query.value.gsd?.[0] ?? (range ? trim(range[0] * 0.99) : "")));
  const [high, setHigh] = useState(String(query.value.gsd?.[1] ?? (range ? trim(range[1] * 1.01) : "")));
  const wanted: [number, number] = [Number(low || 0), Number(high || 1e9)];
  const good = wanted.every(Number.isFinite) && wanted[0] <= wanted[1];
  const apply = (event: Event) => {
    event.preventDefault();
    if (good) change({ gsd: wanted });
    close();
  };
  if (!range) return <p class="hint">No scene here says how large its pixels are.</p>;
  return (
    <form class="stack" onSubmit={apply}>
      <p class="hint">This gallery holds {resolution(range[0])} to {resolution(range[1])}.</p>
      <div class="pair">
        <label class="field">Finest, m/px <input type="number" min="0" step="any" value={low} onInput={(event) => setLow(event.currentTarget.value)} /></label>
        <label class="field">Coarsest, m/px <input type="number" min="0" step="any" value={high} onInput={(event) => setHigh(event.currentTarget.value)} /></label>
      </div>
      {!good && <p class="wrong" role="alert">The finest must not be above the coarsest.</p>}
      <button type="submit" class="primary" disabled={!good}>Apply</button>
    </form>
  );
}
