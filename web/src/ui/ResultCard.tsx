// One result: its picture, score and date, and what can be said about it.
import { useEffect, useRef } from "preact/hooks";
import { thumbnailOf } from "../api/client";
import type { Item } from "../api/types";
import { rampColour } from "../map/ramp";
import { toggleLabel } from "../state/labelling";
import { config, hovered, labels, moreLike, scoreOf, scoreRange, selected, shade } from "../state/session";
import { DownIcon, SimilarIcon, UpIcon } from "./icons";
import { mapCommands } from "./mapCommands";
import { day, score } from "./words";

interface Props {
  item: Item;
  chosen: boolean;
  near: boolean;
}

export function nameOf(item: Item): string {
  return item.properties["landsift:scene"] ?? item.id;
}

export function dateOf(item: Item): string | null {
  return item.properties["landsift:date"] ?? item.properties.datetime;
}

export function ResultCard({ item, chosen, near }: Props) {
  const card = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (chosen) card.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const mark = labels.value.get(item.id);
  const state = `${chosen ? " chosen" : ""}${near ? " near" : ""}${mark === undefined ? "" : mark ? " wanted" : " unwanted"}`;
  const select = () => {
    selected.value = item.id;
    mapCommands.value?.reveal(item.id);
  };
  return (
    <li class={`card${state}`} ref={card} data-tile={item.id} onPointerEnter={() => (hovered.value = item.id)}>
      <button type="button" class="card-main" aria-pressed={chosen} onClick={select} onFocus={() => (hovered.value = item.id)}>
        <img src={thumbnailOf(item.collection, item.id, 256)} alt="" width="160" height="160" loading="lazy" decoding="async" />
        <Score item={item} />
        <span class="card-date">{day(dateOf(item))}</span>
        <span class="card-scene" title={nameOf(item)}>{nameOf(item)}</span>
      </button>
      <Actions item={item} mark={mark} />
    </li>
  );
}

function Score({ item }: { item: Item }) {
  const value = scoreOf(item);
  const range = scoreRange.value;
  if (value === null || !range) return null;
  return (
    <span class="card-score">
      <i style={{ background: rampColour(shade(value, range)) }} /> <span class="hidden">Score</span> {score(value)}
    </span>
  );
}

function Actions({ item, mark }: { item: Item; mark: boolean | undefined }) {
  const may = !config.value?.read_only;
  return (
    <div class="card-actions">
      {may && (
        <>
          <button type="button" class="up" aria-pressed={mark === true} aria-label="This is it" title="This is it (y)" onClick={() => void toggleLabel(item.id, true)}>
            <UpIcon />
          </button>
          <button type="button" class="down" aria-pressed={mark === false} aria-label="Not this" title="Not this (n)" onClick={() => void toggleLabel(item.id, false)}>
            <DownIcon />
          </button>
        </>
      )}
      <button type="button" class="similar" aria-label="More like this" title="More like this (m)" onClick={() => moreLike(item.id)}>
        <SimilarIcon />
      </button>
    </div>
  );
}
