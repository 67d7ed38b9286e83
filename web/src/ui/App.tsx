// The page as a whole: header, filters, results beside the map, and what lies in front of them.
import { useEffect, useState } from "preact/hooks";
import { start } from "../state/running";
import { config, notice, panel, startError } from "../state/session";
import { FilterBar } from "./FilterBar";
import { Header } from "./Header";
import { HelpDialog } from "./HelpDialog";
import { onKey } from "./keyboard";
import { MapPane } from "./MapPane";
import { ResultsPane } from "./ResultsPane";
import { SavedDialog } from "./SavedDialog";
import { takeImage } from "./SearchBox";
import { TokenDialog } from "./TokenDialog";

export function App() {
  useEffect(() => {
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const empty = config.value !== null && config.value.galleries.length === 0;
  return (
    <div class="page">
      <a class="skip" href="#results" onClick={(event) => { event.preventDefault(); document.getElementById("results")?.focus(); }}>Skip to the results</a>
      <Header />
      {startError.value !== null ? <Unreachable /> : empty ? <NoGallery /> : <Work />}
      {panel.value === "help" && <HelpDialog />}
      {panel.value === "saved" && <SavedDialog />}
      {panel.value === "token" && <TokenDialog />}
      <DropTarget />
      <div class="notices" role="status" aria-live="polite">
        {notice.value && <p class={`notice ${notice.value.kind}`}>{notice.value.text}</p>}
      </div>
    </div>
  );
}

function Work() {
  return (
    <>
      <FilterBar />
      <main class="work">
        <ResultsPane />
        {config.value && <MapPane />}
      </main>
    </>
  );
}

function Unreachable() {
  return (
    <main class="state error">
      <h1>The page cannot start</h1>
      <p role="alert">{startError.value}</p>
      <button type="button" class="primary" onClick={() => void start()}>Try again</button>
    </main>
  );
}

function NoGallery() {
  return (
    <main class="state">
      <h1>No gallery is being served</h1>
      <p>Make one from a folder of scenes with <code>landsift index my.gallery /folder/of/scenes</code>, then start <code>landsift serve my.gallery</code>.</p>
    </main>
  );
}

function DropTarget() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    const on = <K extends keyof WindowEventMap>(type: K, run: (event: WindowEventMap[K]) => void) => window.addEventListener(type, run, { signal: stop.signal });
    on("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    });
    on("dragleave", (event) => event.relatedTarget === null && setOver(false));
    on("drop", (event) => {
      event.preventDefault();
      setOver(false);
      takeImage(event.dataTransfer?.files[0]);
    });
    return () => stop.abort();
  }, []);
  return over ? <div class="drop-target"><p>Drop a picture to find places that look like it</p></div> : null;
}
