// Keys for working through results without a mouse. The help dialog is made from the same table.
import { label, labelAndStep, step } from "../state/labelling";
import { moreLike, panel, selected } from "../state/session";

interface Shortcut {
  keys: string[];
  shown: string;
  does: string;
  run: () => void;
}

export const SHORTCUTS: Shortcut[] = [
  { keys: ["/"], shown: "/", does: "Go to the search box", run: () => document.querySelector<HTMLInputElement>("#words")?.focus() },
  { keys: ["j", "ArrowDown", "ArrowRight"], shown: "j  ↓  →", does: "Next result", run: () => step(1) },
  { keys: ["k", "ArrowUp", "ArrowLeft"], shown: "k  ↑  ←", does: "Previous result", run: () => step(-1) },
  { keys: ["y"], shown: "y", does: "Thumb up, and on to the next", run: () => labelAndStep(true) },
  { keys: ["n"], shown: "n", does: "Thumb down, and on to the next", run: () => labelAndStep(false) },
  { keys: ["u"], shown: "u", does: "Take the thumb back", run: () => void (selected.value && label(selected.value, null)) },
  { keys: ["m"], shown: "m", does: "More like the selected result", run: () => selected.value && moreLike(selected.value) },
  { keys: ["Escape"], shown: "Esc", does: "Close, or stop drawing", run: () => (selected.value = null) },
  { keys: ["?"], shown: "?", does: "This help", run: () => (panel.value = "help") },
];

const OWN_KEYS = "input, select, textarea, dialog, [role=slider], .maplibregl-canvas";

export function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest(OWN_KEYS)) return;
  const shortcut = SHORTCUTS.find(({ keys }) => keys.includes(event.key));
  if (!shortcut) return;
  event.preventDefault();
  shortcut.run();
}

