// Numbers and dates as people read them.

const plain = new Intl.NumberFormat("en");

export const count = (value: number): string => plain.format(value);

export function several(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? "" : value.toFixed(3);
}

const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** A year, month, day or moment in ISO form, as exact as it is. */
export function day(iso: string | null | undefined): string {
  const time = iso ? Date.parse(iso) : NaN;
  if (!iso || Number.isNaN(time)) return "no date";
  return iso.length === 4 ? iso : (iso.length === 7 ? MONTH : DAY).format(time);
}

/** Metres a pixel, e.g. "60 cm/px" or "30 m/px". */
export function resolution(metres: number | null | undefined): string {
  if (metres === null || metres === undefined || Number.isNaN(metres)) return "unknown resolution";
  return metres < 1 ? `${trim(metres * 100)} cm/px` : `${trim(metres)} m/px`;
}

export const trim = (value: number): string => String(Number(value.toPrecision(3)));

export function place(lon: number, lat: number): string {
  const part = (value: number, ends: string) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? ends[1] : ends[0]}`;
  return `${part(lat, "NS")}, ${part(lon, "EW")}`;
}

/** Where a score stands among all that were searched; 100 is the best. */
export function standing(percentile: number | null | undefined): string {
  if (percentile === null || percentile === undefined) return "";
  return percentile >= 100 ? "the best of all searched" : `better than ${Math.floor(percentile * 10) / 10} % of all searched`;
}

export function bytes(value: number): string {
  const step = value >= 1e9 ? 1e9 : value >= 1e6 ? 1e6 : 1e3;
  return `${trim(value / step)} ${step === 1e9 ? "GB" : step === 1e6 ? "MB" : "kB"}`;
}

export function milliseconds(value: number): string {
  return value < 1 ? "under 1 ms" : `${trim(value)} ms`;
}
