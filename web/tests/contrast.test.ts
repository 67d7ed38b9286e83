import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { RAMP } from "../src/map/ramp";

type Theme = Record<string, string>;

const css = readFileSync("src/styles/tokens.css", "utf8");
const block = (selector: string): Theme => {
  const body = css.split(`${selector} {`)[1]!.split("}")[0]!;
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map(([, name, colour]) => [name!, colour!]));
};
const themes: Record<string, Theme> = { light: block(':root[data-theme="light"]'), dark: block(':root[data-theme="dark"]') };

function luminance(hex: string): number {
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  const linear = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

const TEXT: [string, string][] = [
  ["ink", "bg"], ["ink", "surface"], ["ink", "raised"], ["ink", "sea"], ["ink", "land"],
  ["muted", "surface"], ["muted", "raised"], ["muted", "bg"],
  ["accent", "surface"], ["accent", "raised"], ["on-accent", "accent"], ["on-accent-soft", "accent-soft"],
  ["good", "surface"], ["good", "raised"], ["bad", "surface"], ["bad", "raised"], ["bad", "bad-soft"],
  ["surface", "good"], ["surface", "bad"], ["surface", "ink"],
];
const PARTS: [string, string][] = [
  ["control", "surface"], ["control", "raised"], ["focus", "surface"], ["focus", "raised"], ["focus", "bg"], ["accent", "sea"], ["accent", "land"],
];

describe.each(Object.entries(themes))("the %s theme", (_, theme) => {
  it.each(TEXT)("text %s on %s reaches 4.5:1", (text, ground) => {
    expect(contrast(theme[text]!, theme[ground]!)).toBeGreaterThanOrEqual(4.5);
  });
  it.each(PARTS)("%s beside %s reaches 3:1", (part, ground) => {
    expect(contrast(theme[part]!, theme[ground]!)).toBeGreaterThanOrEqual(3);
  });
});

it("both themes name the same colours", () => {
  expect(Object.keys(themes.dark!).sort()).toEqual(Object.keys(themes.light!).sort());
});

it("knows black on white", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
});

it("scores grow lighter along the ramp, so that it reads without colour vision", () => {
  const light = RAMP.map((colour) => luminance(`#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`));
  expect(light).toEqual([...light].sort((a, b) => a - b));
});
