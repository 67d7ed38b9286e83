// The colours of scores: one ramp for both themes, dark to light so that it reads without colour vision.

type Rgb = [number, number, number];

export const RAMP: Rgb[] = [
  [74, 58, 148],
  [138, 56, 152],
  [200, 72, 122],
  [240, 121, 84],
  [250, 178, 74],
  [252, 232, 120],
];

/** The colour at `t` in 0..1 as a CSS colour. */
export function rampColour(t: number): string {
  const at = Math.max(0, Math.min(1, t)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  const mix = RAMP[low]!.map((from, i) => Math.round(from + (RAMP[low + 1]![i]! - from) * (at - low)));
  return `rgb(${mix.join(" ")})`;
}

export const rampGradient = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
