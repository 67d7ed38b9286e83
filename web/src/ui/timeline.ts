// Days on a line: where a day lies between the first and the last, and how many tiles fall into each stretch of it.
import type { DateCounts } from "../api/types";

const DAY = 86_400_000; // ms

export interface Timeline {
  first: number;
  last: number;
  /** Tiles in each of the equal stretches between `first` and `last`. */
  bins: number[];
}

export const timeOf = (day: string): number => Date.parse(`${day}T00:00:00Z`);
export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);

/** A line with a little room at both ends, so that the first and last day can be taken hold of; null without days. */
export function timelineOf({ days, tiles }: DateCounts, stretches: number): Timeline | null {
  if (!days.length) return null;
  const times = days.map(timeOf);
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const room = Math.max(15 * DAY, (to - from) * 0.04);
  const [first, last] = [from - room, to + room];
  const bins = new Array<number>(stretches).fill(0);
  times.forEach((time, i) => {
    bins[Math.min(stretches - 1, Math.floor(((time - first) / (last - first)) * stretches))]! += tiles[i]!;
  });
  return { first, last, bins };
}

export function shareOf({ first, last }: Timeline, day: string): number {
  return Math.max(0, Math.min(1, (timeOf(day) - first) / (last - first)));
}

export function dayAt({ first, last }: Timeline, share: number): string {
  return dayOf(first + Math.max(0, Math.min(1, share)) * (last - first));
}

/** A few round years or months to write under the line, as [share, text]. */
export function ticksOf({ first, last }: Timeline, most: number): [number, string][] {
  const months = (last - first) / (30.4 * DAY);
  const step = [1, 2, 3, 6, 12, 24, 60, 120, 240].find((each) => months / each <= most) ?? 600;
  const out: [number, string][] = [];
  const start = new Date(first);
  let month = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth() + 1) / step) * step;
  for (; ; month += step) {
    const time = Date.UTC(Math.floor(month / 12), month % 12, 1);
    if (time > last) return out;
    const year = String(Math.floor(month / 12));
    const name = new Date(time).toLocaleString("en", { month: "short", timeZone: "UTC" });
    out.push([(time - first) / (last - first), step >= 12 || month % 12 === 0 ? year : name]);
  }
}
