import { describe, expect, it } from "vitest";
import { colouredFrom, halvesToFloats } from "../src/state/scores";

describe("scores of all tiles", () => {
  it("are read as half floats", () => {
    const halves = Uint16Array.of(0x0000, 0x8000, 0x3c00, 0xb800, 0x34cd, 0x7bff, 0x0001, 0x7e00, 0x7c00, 0xfc00);
    const floats = halvesToFloats(halves);
    expect([...floats.slice(0, 4)]).toEqual([0, -0, 1, -0.5]);
    expect(floats[4]).toBeCloseTo(0.3, 3);
    expect(floats[5]).toBe(65504);
    expect(floats[6]).toBe(2 ** -24);
    expect([...floats.slice(7)].every(Number.isNaN)).toBe(true);
  });

  it("colour the best tenth, everything that is shown, and all that a threshold lets through", () => {
    const scores = Float32Array.from({ length: 1000 }, (_, i) => (i % 5 === 0 ? NaN : i / 1000));
    const coloured = (from: number) => scores.filter((value) => value >= from).length;
    expect(coloured(colouredFrom(scores, 0.99, false))).toBe(80);
    expect(colouredFrom(scores, 0.25, false)).toBe(0.25);
    expect(coloured(colouredFrom(scores, 0.99, true))).toBe(800);
    expect(colouredFrom(new Float32Array(), 0.4, false)).toBe(0.4);
  });
});
