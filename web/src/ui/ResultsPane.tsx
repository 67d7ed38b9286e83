// The left side: how many were found, the threshold, the results themselves, and the thumbs' bar.
import { useState } from "preact/hooks";
import { loadMore, nextLink } from "../state/running";
import { answer, asked, change, hovered, items, query, selected, status } from "../state/session";
import { Explain } from "./Explain";
import { ResultCard } from "./ResultCard";
import { EmptyState, ErrorState, Skeleton, Welcome } from "./States";
import { Threshold } from "./Threshold";
import { ThumbsBar } from "./ThumbsBar";
import { count, several } from "./words";

export function ResultsPane() {
  const waiting = status.value === "loading";
  const found = answer.value;
  return (
    <section class="results" id="results" aria-label="Results" tabIndex={-1} aria-busy={waiting}>
      <p class="hidden" role="status" aria-live="polite">{announcement()}</p>
      {waiting && <div class="progress" aria-hidden="true" />}
      <div class="results-scroll">
        {status.value === "idle" && <Welcome />}
        {status.value === "error" && <ErrorState />}
        {status.value !== "idle" && status.value !== "error" && !found && <Skeleton />}
        {status.value !== "idle" && status.value !== "error" && found && (
          <div class={waiting ? "found stale" : "found"}>
            <ResultsHead />
            {items.value.length === 0 && !waiting ? <EmptyState /> : <Grid />}
            <MoreButton />
            <Explain />
          </div>
        )}
      </div>
      <ThumbsBar />
    </section>
  );
}

function announcement(): string {
  if (status.value === "loading") return "Searching";
  if (status.value !== "ready" || !answer.value) return "";
  return `${several(answer.value.numberMatched ?? items.value.length, "match", "matches")}, ${items.value.length} shown`;
}

function ResultsHead() {
  const matched = answer.value?.numberMatched ?? items.value.length;
  return (
    <div class="results-head">
      <h2>
        <strong>{count(matched)}</strong> {matched === 1 ? "tile" : "tiles"} {asked.value ? "ranked" : "inside the filters"}
      </h2>
      <span class="hint">
        {query.value.minScore === null && items.value.length < matched && <>best {count(items.value.length)} shown</>}
        {asked.value && <OverlapSwitch />}
      </span>
      {asked.value && <Threshold />}
    </div>
  );
}

function OverlapSwitch() {
  const { overlapping } = query.value;
  return (
    <button
      type="button"
      class="link small"
      title={overlapping ? "Hide tiles that overlap a better one" : "Also show tiles that overlap a better one"}
      onClick={() => change({ overlapping: !overlapping })}
    >
      {overlapping ? "one a place" : "show overlapping"}
    </button>
  );
}

function Grid() {
  return (
    <ul class="grid" onPointerLeave={() => (hovered.value = null)}>
      {items.value.map((item) => (
        <ResultCard key={item.id} item={item} chosen={item.id === selected.value} near={item.id === hovered.value} />
      ))}
    </ul>
  );
}

function MoreButton() {
  const [busy, setBusy] = useState(false);
  if (!nextLink(answer.value)) return null;
  const more = async () => {
    setBusy(true);
    await loadMore();
    setBusy(false);
  };
  return (
    <button type="button" class="secondary wide" disabled={busy} onClick={() => void more()}>
      {busy ? "Loading…" : "Show more"}
    </button>
  );
}
