// What the thumbs so far can be used for.
import { useRef } from "preact/hooks";
import { api } from "../api/client";
import { ENOUGH_FOR_PROBE, loadLabels, probeReady, rankWithProbe, refine } from "../state/labelling";
import { topicOf } from "../state/query";
import { messageOf } from "../state/running";
import { config, counts, query, status, tell } from "../state/session";
import { download } from "./ExportMenu";
import { DownIcon, UpIcon, WandIcon } from "./icons";
import { Popover } from "./Popover";
import { several } from "./words";

export function ThumbsBar() {
  const { wanted, unwanted } = counts.value;
  if (config.value?.read_only || status.value === "idle") return null;
  const some = wanted + unwanted > 0;
  return (
    <div class="thumbs-bar" role="group" aria-label="Thumbs">
      <span class="tally">
        <span class="good"><UpIcon /> {wanted}<span class="hidden"> wanted</span></span>
        <span class="bad"><DownIcon /> {unwanted}<span class="hidden"> not wanted</span></span>
      </span>
      {!some && <span class="hint">Give thumbs to teach the search</span>}
      {some && !probeReady() && <span class="hint">{missing(wanted, unwanted)}</span>}
      <span class="push" />
      <LabelFiles />
      {probeReady() && (
        <button type="button" class="secondary" onClick={rankWithProbe} title="Rank the gallery with a probe trained on your thumbs">
          <WandIcon /> Rank by thumbs
        </button>
      )}
      <button type="button" class="primary" disabled={!some} onClick={refine}>Refine</button>
    </div>
  );
}

function missing(wanted: number, unwanted: number): string {
  const parts = [[wanted, "up"], [unwanted, "down"]] as const;
  const need = parts.filter(([have]) => have < ENOUGH_FOR_PROBE).map(([have, side]) => `${ENOUGH_FOR_PROBE - have} ${side}`);
  return `${need.join(", ")} to go for a trained ranking`;
}

function LabelFiles() {
  const input = useRef<HTMLInputElement>(null);
  const { gallery } = query.value;
  const topic = topicOf(query.value);
  const save = async () => {
    try {
      download(await api.labelFile(gallery, topic), "thumbs.geojson");
    } catch (error) {
      tell(messageOf(error), "error");
    }
  };
  const load = async (file: File | undefined) => {
    if (!file) return;
    try {
      const { imported, without_tile } = await api.importLabels(gallery, topic, JSON.parse(await file.text()));
      await loadLabels();
      tell(`${several(imported, "thumb")} read.${without_tile ? ` ${several(without_tile, "point")} lie on no tile of this gallery.` : ""}`);
    } catch (error) {
      tell(error instanceof SyntaxError ? "That file is not GeoJSON." : messageOf(error), "error");
    }
  };
  return (
    <Popover label="Thumbs file" class="link" align="right">
      {(close) => (
        <ul class="menu">
          <li><button type="button" onClick={() => { close(); void save(); }}>Save thumbs as GeoJSON</button></li>
          <li><button type="button" onClick={() => input.current?.click()}>Read thumbs from GeoJSON</button></li>
          <input ref={input} class="hidden" type="file" tabIndex={-1} aria-label="GeoJSON file with thumbs" accept=".geojson,.json" onChange={(event) => { void load(event.currentTarget.files?.[0]); close(); }} />
        </ul>
      )}
    </Popover>
  );
}
