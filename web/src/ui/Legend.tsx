// What the colours on the map mean.
import { rampGradient } from "../map/ramp";
import { allScores, scoreRange } from "../state/session";
import { score } from "./words";

export function Legend() {
  const range = scoreRange.value;
  if (!range) return null;
  return (
    <div class="legend">
      <span class="legend-title">{allScores.value ? "Score of the best tiles" : "Score of the results"}</span>
      <span class="legend-bar" style={{ background: rampGradient }} aria-hidden="true" />
      <span class="legend-ends"><span>{score(range[0])}</span><span>{score(range[1])}</span></span>
    </div>
  );
}
