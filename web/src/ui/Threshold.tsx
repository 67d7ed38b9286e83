// A slider over the scores of everything that was searched; says at once how many would stay.
import type { Histogram } from "../api/types";
import { answer, change, query } from "../state/session";
import { count, score } from "./words";

/** How many tiles score at least `least`, from the histogram; a bin that is cut counts in proportion. */
export function countAtLeast({ edges, counts }: Histogram, least: number): number {
  let total = 0;
  counts.forEach((tiles, bin) => {
    const [low, high] = [edges[bin]!, edges[bin + 1]!];
    const part = high > low ? Math.min(1, Math.max(0, (high - least) / (high - low))) : Number(low >= least);
    total += tiles * part;
  });
  return Math.round(total);
}

export function Threshold() {
  const histogram = answer.value?.["landsift:histogram"];
  if (!histogram || histogram.counts.length === 0) return null;
  const [low, high] = [histogram.edges[0]!, histogram.edges.at(-1)!];
  if (!(high > low)) return null;
  const least = query.value.minScore;
  const value = Math.min(high, Math.max(low, least ?? low));
  const tallest = Math.max(...histogram.counts);
  return (
    <div class="threshold">
      <svg viewBox={`0 0 ${histogram.counts.length} 24`} preserveAspectRatio="none" aria-hidden="true">
        {histogram.counts.map((tiles, bin) => {
          const height = tiles ? Math.max(1.5, 24 * Math.sqrt(tiles / tallest)) : 0;
          return <rect key={bin} class={histogram.edges[bin + 1]! > value ? "in" : ""} x={bin + 0.08} width={0.84} y={24 - height} height={height} />;
        })}
      </svg>
      <input
        type="range"
        aria-label="Lowest score to show"
        aria-valuetext={`${score(value)}, about ${countAtLeast(histogram, value)} tiles`}
        min={low}
        max={high}
        step={(high - low) / 200}
        value={value}
        onInput={(event) => {
          const wanted = Number(event.currentTarget.value);
          change({ minScore: wanted <= low ? null : wanted });
        }}
      />
      <p class="threshold-text">
        {least === null ? "Any score" : <>Score at least <strong>{score(value)}</strong></>}
        <span class="hint"> · about {count(countAtLeast(histogram, value))} tiles</span>
      </p>
    </div>
  );
}
