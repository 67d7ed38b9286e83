// What stands in place of results: a welcome, a wait, nothing found, something wrong.
import { hasFilters } from "../state/query";
import { runSearch } from "../state/running";
import { change, clearFilters, config, gallery, problem, query, setText } from "../state/session";
import { several } from "./words";

export function Welcome() {
  const now = gallery.value;
  const examples = config.value?.examples ?? [];
  return (
    <div class="state welcome">
      <h2>What are you looking for?</h2>
      <p>
        Describe it in plain words{now ? <>: the {several(now.tiles, "tile")} of {several(now.scenes, "scene")} here are ranked by how well they fit</> : null}.
        {" "}Or drop a picture anywhere on this page to find places that look like it.
      </p>
      {examples.length > 0 && (
        <ul class="examples" aria-label="Examples">
          {examples.map((words) => (
            <li key={words}><button type="button" class="pill" onClick={() => setText(words)}>{words}</button></li>
          ))}
        </ul>
      )}
      <ol class="steps">
        <li><strong>Look</strong> at the results here and on the map; each knows about the other.</li>
        <li><strong>Teach</strong> it with thumbs up and down, then refine.</li>
        <li><strong>Take</strong> what you found into QGIS with Export.</li>
      </ol>
    </div>
  );
}

export function Skeleton() {
  return (
    <div class="found" aria-hidden="true">
      <ul class="grid skeleton">{Array.from({ length: 9 }, (_, i) => <li class="card" key={i} />)}</ul>
    </div>
  );
}

export function EmptyState() {
  const now = query.value;
  return (
    <div class="state">
      <h2>Nothing here fits</h2>
      {now.minScore !== null && (
        <p>The lowest score is set so high that no tile passes. <button type="button" class="link" onClick={() => change({ minScore: null })}>Show any score</button></p>
      )}
      {hasFilters(now) && (
        <p>No tile lies inside all the filters. <button type="button" class="link" onClick={clearFilters}>Clear the filters</button> to search the whole gallery.</p>
      )}
      {now.minScore === null && !hasFilters(now) && <p>This gallery has no tiles to rank. Index some scenes into it, then search again.</p>}
    </div>
  );
}

export function ErrorState() {
  return (
    <div class="state error" role="alert">
      <h2>The search did not work</h2>
      <p>{problem.value}</p>
      <button type="button" class="primary" onClick={() => void runSearch()}>Try again</button>
    </div>
  );
}
