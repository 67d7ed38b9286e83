// Light and dark: the system's choice until somebody chooses here.
import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";
const KEY = "landsift-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function remembered(): Theme | null {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : null;
}

export const theme = signal<Theme>(remembered() ?? (system.matches ? "dark" : "light"));

export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
}

system.addEventListener("change", ({ matches }) => {
  if (!remembered()) theme.value = matches ? "dark" : "light";
});

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
