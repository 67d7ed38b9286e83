// Searches kept for later. Watching one shows only matches among scenes indexed since it last ran.
import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import type { SavedQuery } from "../api/types";
import { asksForSomething, searchBody, topicOf } from "../state/query";
import { messageOf, showSaved, watch } from "../state/running";
import { config, image, panel, query, tell } from "../state/session";
import { Dialog } from "./Dialog";
import { day, several } from "./words";

export function SavedDialog() {
  const [saved, setSaved] = useState<SavedQuery[] | null>(null);
  const close = () => (panel.value = null);
  const load = () => api.saved().then(setSaved, (error: unknown) => tell(messageOf(error), "error"));
  useEffect(() => void load(), []);
  const act = (work: Promise<unknown>) => void work.then(load, (error: unknown) => tell(messageOf(error), "error"));
  return (
    <Dialog title="Saved searches" close={close}>
      {!config.value?.read_only && <SaveForm save={(name) => act(api.save(name, searchBody(query.value)))} />}
      {saved === null && <p class="hint">Loading…</p>}
      {saved?.length === 0 && <p class="hint">Nothing saved yet.</p>}
      <ul class="saved">
        {saved?.map((one) => (
          <li key={one.id}>
            <span class="saved-name"><strong>{one.name}</strong><span class="hint">saved {day(one.made)} · {one.new_tiles ? `${several(one.new_tiles, "tile")} indexed since you last looked` : "nothing indexed since"}</span></span>
            <button type="button" class="secondary" onClick={() => { showSaved(one); close(); }}>Open</button>
            <button type="button" class="secondary" onClick={() => void watch(one).then(close)}>What is new</button>
            {!config.value?.read_only && <button type="button" class="link" aria-label={`Delete ${one.name}`} onClick={() => act(api.forget(one.id))}>Delete</button>}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function SaveForm({ save }: { save: (name: string) => void }) {
  const [name, setName] = useState(asksForSomething(query.value) ? topicOf(query.value) : "");
  if (image.value) return <p class="hint">A search with a picture cannot be saved: pick a result, press "More like this", and save that.</p>;
  if (!asksForSomething(query.value)) return <p class="hint">Search for something first; then it can be saved here.</p>;
  return (
    <form class="save-form" onSubmit={(event) => { event.preventDefault(); save(name.trim()); }}>
      <label class="field">Name of this search <input type="text" value={name} maxLength={200} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <button type="submit" class="primary" disabled={!name.trim()}>Save</button>
    </form>
  );
}
