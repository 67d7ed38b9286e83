// The row under the header: what the search is made of, as chips that can be taken away, and where to add more.
import { useState } from "preact/hooks";
import { thumbnailOf } from "../api/client";
import { hasFilters } from "../state/query";
import { change, clearFilters, footprints, gallery, image, query } from "../state/session";
import { AreaFilter, DatesFilter, ResolutionFilter } from "./Filters";
import { CloseIcon, ImageIcon, PlusIcon } from "./icons";
import { Popover } from "./Popover";
import { ScenePicker } from "./ScenePicker";

export function FilterBar() {
  const now = query.value;
  return (
    <div class="filter-bar" role="group" aria-label="What the search is made of">
      <Examples />
      {now.not.map((words) => (
        <Chip key={words} kind="not" name={`Remove "without ${words}"`} drop={() => change({ not: now.not.filter((other) => other !== words) })}>
          without {words}
        </Chip>
      ))}
      <AddNot />
      <span class="divider" />
      <AreaFilter />
      <DatesFilter />
      {footprints.value.count > 0 && <ResolutionFilter />}
      {(gallery.value?.scenes ?? 0) > 1 && <ScenePicker />}
      {(hasFilters(now) || now.minScore !== null) && (
        <button type="button" class="link" onClick={clearFilters}>Clear filters</button>
      )}
    </div>
  );
}

function Examples() {
  const now = query.value;
  const drop = (key: "like" | "unlike", tile: string) => () => change({ [key]: now[key].filter((other) => other !== tile) });
  const picture = image.value;
  return (
    <>
      {picture && (
        <Chip kind="like" name="Remove the picture" drop={() => (image.value = null)}>
          <ImageIcon /> {picture.name}
        </Chip>
      )}
      {(["like", "unlike"] as const).map((key) =>
        now[key].length > 3 ? (
          <Chip key={key} kind={key === "like" ? "like" : "not"} name={`Remove the ${now[key].length} examples`} drop={() => change({ [key]: [] })}>
            {key === "like" ? "like" : "unlike"} {now[key].length} examples
          </Chip>
        ) : (
          now[key].map((tile) => (
            <Chip key={tile} kind={key === "like" ? "like" : "not"} name={`Remove the example ${tile}`} drop={drop(key, tile)}>
              {key === "like" ? "like" : "unlike"} <img src={thumbnailOf(now.gallery, tile, 64)} alt={tile} width="24" height="24" />
            </Chip>
          ))
        ),
      )}
      {now.probe && (
        <Chip kind="like" name="Stop ranking with the probe" drop={() => change({ probe: false })}>
          ranked by your thumbs
        </Chip>
      )}
    </>
  );
}

interface ChipProps {
  kind: "like" | "not" | "filter";
  name: string;
  drop: () => void;
  children: preact.ComponentChildren;
}

function Chip({ kind, name, drop, children }: ChipProps) {
  return (
    <span class={`chip ${kind}`}>
      <span class="chip-text">{children}</span>
      <button type="button" aria-label={name} title={name} onClick={drop}><CloseIcon /></button>
    </span>
  );
}

function AddNot() {
  return (
    <Popover label={<><PlusIcon /> Without</>}>
      {(close) => <NotForm close={close} />}
    </Popover>
  );
}

function NotForm({ close }: { close: () => void }) {
  const [words, setWords] = useState("");
  const add = (event: Event) => {
    event.preventDefault();
    const clean = words.trim();
    if (clean && !query.value.not.includes(clean)) change({ not: [...query.value.not, clean] });
    close();
  };
  return (
    <form class="stack" onSubmit={add}>
      <label class="field">
        What the results should not show
        <input type="text" value={words} maxLength={200} placeholder="clouds" ref={(element) => element?.focus()} onInput={(event) => setWords(event.currentTarget.value)} />
      </label>
      <button type="submit" class="primary" disabled={!words.trim()}>Keep away from it</button>
    </form>
  );
}
