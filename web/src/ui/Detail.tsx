// The selected tile, large, with everything that is known of it and the same place at other times.
import { useEffect, useState } from "preact/hooks";
import { api, chipOf, thumbnailOf } from "../api/client";
import type { Item } from "../api/types";
import { toggleLabel } from "../state/labelling";
import { isAbort } from "../state/running";
import { config, footprints, itemOf, labels, lessLike, moreLike, query, scoreOf, selected } from "../state/session";
import { CloseIcon, DownIcon, ExportIcon, PinIcon, SimilarIcon, UpIcon } from "./icons";
import { mapCommands } from "./mapCommands";
import { dateOf, nameOf } from "./ResultCard";
import { day, place, resolution, score, standing } from "./words";

export function Detail() {
  const tile = selected.value;
  if (!tile) return null;
  return (
    <aside class="detail" aria-label="Selected tile">
      <button type="button" class="quiet square detail-close" aria-label="Close" title="Close (Esc)" onClick={() => (selected.value = null)}><CloseIcon /></button>
      <img class="detail-chip" src={thumbnailOf(query.value.gallery, tile, 512)} alt={`Picture of tile ${tile}`} width="320" height="320" />
      <Facts tile={tile} item={itemOf.value.get(tile)} />
      <DetailActions tile={tile} />
      <Through tile={tile} />
    </aside>
  );
}

function Facts({ tile, item }: { tile: string; item: Item | undefined }) {
  const all = footprints.value;
  const row = all.rowOf.get(tile);
  const scene = row === undefined ? undefined : all.scenes[all.scene[row]!];
  const gsd = item?.properties.gsd ?? (row === undefined ? null : all.gsd[row]);
  const when = item ? dateOf(item) : scene?.date;
  const centre = row === undefined || Number.isNaN(all.boxes[row * 4]) ? null : [(all.boxes[row * 4]! + all.boxes[row * 4 + 2]!) / 2, (all.boxes[row * 4 + 1]! + all.boxes[row * 4 + 3]!) / 2];
  return (
    <div class="facts">
      <h3>{item ? nameOf(item) : (scene?.name ?? tile)}</h3>
      {item && scoreOf(item) !== null && (
        <p><strong class="big">{score(scoreOf(item))}</strong> <span class="hint">{standing(item.properties["landsift:percentile"])}</span></p>
      )}
      <p class="hint">{day(when)} · {resolution(gsd)}</p>
      <p class="hint">{centre ? place(centre[0]!, centre[1]!) : "This scene does not say where on Earth it lies."}</p>
    </div>
  );
}

function DetailActions({ tile }: { tile: string }) {
  const mark = labels.value.get(tile);
  return (
    <div class="detail-actions">
      {!config.value?.read_only && (
        <>
          <button type="button" class="secondary up" aria-pressed={mark === true} onClick={() => void toggleLabel(tile, true)}><UpIcon /> This is it</button>
          <button type="button" class="secondary down" aria-pressed={mark === false} onClick={() => void toggleLabel(tile, false)}><DownIcon /> Not this</button>
        </>
      )}
      <button type="button" class="primary" onClick={() => moreLike(tile)}><SimilarIcon /> More like this</button>
      <button type="button" class="secondary" onClick={() => lessLike(tile)}>Less like this</button>
      <button type="button" class="secondary" onClick={() => mapCommands.value?.fit([tile])}><PinIcon /> Show on map</button>
      <a class="button secondary" href={chipOf(query.value.gallery, tile)} download={`${tile}.tif`}><ExportIcon /> GeoTIFF</a>
    </div>
  );
}

function Through({ tile }: { tile: string }) {
  const [tiles, setTiles] = useState<Item[]>([]);
  const { gallery } = query.value;
  const known = tiles.some(({ id }) => id === tile);
  useEffect(() => {
    if (known) return; // Stepping through the strip keeps the strip.
    const stop = new AbortController();
    setTiles([]);
    api.place(gallery, tile, stop.signal).then(setTiles, (error: unknown) => {
      if (!isAbort(error)) setTiles([]);
    });
    return () => stop.abort();
  }, [gallery, tile]);
  if (tiles.length < 2) return null;
  return (
    <div class="through">
      <h4>This place through time</h4>
      <ul>
        {tiles.map((item) => (
          <li key={item.id}>
            <button type="button" aria-pressed={item.id === tile} onClick={() => (selected.value = item.id)}>
              <img src={thumbnailOf(gallery, item.id, 128)} alt="" width="88" height="88" loading="lazy" />
              <span>{day(dateOf(item))}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
