// The results as a file for a GIS, a notebook or a spreadsheet.
import { useState } from "preact/hooks";
import { api } from "../api/client";
import type { ExportFormat } from "../api/types";
import { searchBody } from "../state/query";
import { messageOf } from "../state/running";
import { answer, image, items, query, tell } from "../state/session";
import { ExportIcon } from "./icons";
import { Popover } from "./Popover";
import { count } from "./words";

const FORMATS: { format: ExportFormat; ending: string; title: string; use: string }[] = [
  { format: "gpkg", ending: "gpkg", title: "GeoPackage", use: "QGIS, ArcGIS" },
  { format: "geojson", ending: "geojson", title: "GeoJSON", use: "web maps, anything" },
  { format: "parquet", ending: "parquet", title: "GeoParquet", use: "pandas, DuckDB" },
  { format: "csv", ending: "csv", title: "CSV", use: "spreadsheets" },
];
const MOST = 10_000;

/** Hands a file to the browser's downloads. */
export function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function fileName(ending: string): string {
  const words = (query.value.text.trim() || image.value?.name.replace(/\.\w+$/, "") || "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${words.slice(0, 60) || "landsift"}.${ending}`;
}

export function ExportMenu() {
  const [busy, setBusy] = useState(false);
  const shown = items.value.length;
  const matched = answer.value?.numberMatched ?? shown;
  const run = async (format: ExportFormat, ending: string, limit: number) => {
    setBusy(true);
    try {
      download(await api.export(format, searchBody(query.value, limit), image.value), fileName(ending));
    } catch (error) {
      tell(`The file could not be made. ${messageOf(error)}`, "error");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Popover label={<><ExportIcon /> <span>{busy ? "Writing…" : "Export"}</span></>} class="quiet" align="right" disabled={shown === 0 || busy}>
      {(close) => (
        <ExportChoices
          shown={shown}
          matched={matched}
          pick={(format, ending, limit) => {
            close();
            void run(format, ending, limit);
          }}
        />
      )}
    </Popover>
  );
}

interface Choices {
  shown: number;
  matched: number;
  pick: (format: ExportFormat, ending: string, limit: number) => void;
}

function ExportChoices({ shown, matched, pick }: Choices) {
  const [all, setAll] = useState(false);
  return (
    <div class="stack">
      <fieldset class="choices">
        <legend>Which results</legend>
        <label><input type="radio" name="which" checked={!all} onChange={() => setAll(false)} /> The {count(shown)} shown</label>
        {matched > shown && <label><input type="radio" name="which" checked={all} onChange={() => setAll(true)} /> {matched > MOST ? `The best ${count(MOST)}` : "All"} matches</label>}
      </fieldset>
      <ul class="menu">
        {FORMATS.map(({ format, ending, title, use }) => (
          <li key={format}>
            <button type="button" onClick={() => pick(format, ending, all ? Math.min(MOST, matched) : shown)}>
              <strong>{title}</strong> <span class="hint">{use}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
