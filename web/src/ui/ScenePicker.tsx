// Choosing scenes by name from a list that may hold thousands.
import { useState } from "preact/hooks";
import type { SceneInfo } from "../api/types";
import { change, footprints, query } from "../state/session";
import { FilterPill } from "./Filters";
import { count, day, several } from "./words";

const SHOWN = 200;

export function ScenePicker() {
  const chosen = query.value.scenes;
  const value = chosen.length ? several(chosen.length, "scene") : null;
  return (
    <FilterPill title="Scenes" value={value} clear={() => change({ scenes: [] })}>
      {() => <SceneList chosen={new Set(chosen)} />}
    </FilterPill>
  );
}

function SceneList({ chosen }: { chosen: Set<string> }) {
  const [words, setWords] = useState("");
  const fitting = footprints.value.scenes.filter(({ name, id }) => `${name} ${id}`.toLowerCase().includes(words.trim().toLowerCase()));
  const toggle = (scene: SceneInfo) => {
    const next = new Set(chosen);
    if (!next.delete(scene.name)) next.add(scene.name);
    change({ scenes: [...next] });
  };
  return (
    <div class="stack scene-list">
      <label class="field">
        Find a scene
        <input type="text" value={words} placeholder="part of its name" onInput={(event) => setWords(event.currentTarget.value)} />
      </label>
      <ul>
        {fitting.slice(0, SHOWN).map((scene) => (
          <li key={scene.id}>
            <label>
              <input type="checkbox" checked={chosen.has(scene.name)} onChange={() => toggle(scene)} />
              <span class="scene-name">{scene.name}</span>
              <span class="hint">{scene.date ? day(scene.date) : ""} · {several(scene.tiles, "tile")}</span>
            </label>
          </li>
        ))}
      </ul>
      {fitting.length > SHOWN && <p class="hint">{count(fitting.length - SHOWN)} more: type part of a name.</p>}
      {fitting.length === 0 && <p class="hint">No scene has that in its name.</p>}
    </div>
  );
}
