// When the scenes were taken, as bars; drag over them to search only that time. The two handles also take arrow keys.
import { useRef } from "preact/hooks";
import { change, dateCounts, query } from "../state/session";
import { CloseIcon } from "./icons";
import { dayAt, dayOf, shareOf, ticksOf, timelineOf, timeOf, type Timeline } from "./timeline";
import { day as dayText } from "./words";

const STRETCHES = 96;
const CLICK = 0.008; // a shorter drag than this share of the line was a click
const MONTH = 30 * 86_400_000; // ms

export function DateBrush() {
  const line = timelineOf(dateCounts.value, STRETCHES);
  const frame = useRef<HTMLDivElement>(null);
  const from = useRef<number | null>(null);
  if (!line || dateCounts.value.days.length < 2) return null; // one day leaves nothing to choose
  const days = query.value.days;
  const [low, high] = [days?.[0] ? shareOf(line, days[0]) : 0, days?.[1] ? shareOf(line, days[1]) : 1];
  const shareAt = (event: PointerEvent): number => {
    const { left, width } = frame.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - left) / width));
  };
  const brush = (a: number, b: number) => change({ days: [dayAt(line, Math.min(a, b)), dayAt(line, Math.max(a, b))] });
  return (
    <section class="date-brush" aria-label="Dates">
      <div class="date-head">
        <h3>When</h3>
        <span class="hint">{days ? `${days[0] ? dayText(days[0]) : "any time"} – ${days[1] ? dayText(days[1]) : "now"}` : "Drag over the bars to narrow the time"}</span>
        {days && <button type="button" class="quiet square small" aria-label="All dates" title="All dates" onClick={() => change({ days: null })}><CloseIcon /></button>}
      </div>
      <div
        class="date-line"
        ref={frame}
        onPointerDown={(event) => {
          from.current = shareAt(event);
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          const to = shareAt(event);
          if (from.current !== null && Math.abs(to - from.current) > CLICK) brush(from.current, to);
        }}
        onPointerUp={() => (from.current = null)}
        onPointerCancel={() => (from.current = null)}
      >
        <Bars line={line} low={low} high={high} />
        {days && <div class="date-window" style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />}
        <Handle line={line} end={0} at={low} grab={() => (from.current = high)} />
        <Handle line={line} end={1} at={high} grab={() => (from.current = low)} />
      </div>
      <div class="date-ticks" aria-hidden="true">
        {ticksOf(line, 8).map(([share, text]) => <span key={text + share} style={{ left: `${share * 100}%` }}>{text}</span>)}
      </div>
    </section>
  );
}

function Bars({ line, low, high }: { line: Timeline; low: number; high: number }) {
  const tallest = Math.max(...line.bins);
  return (
    <svg viewBox={`0 0 ${STRETCHES} 32`} preserveAspectRatio="none" aria-hidden="true">
      {line.bins.map((tiles, bin) => {
        if (!tiles) return null;
        const height = Math.max(4, 32 * Math.sqrt(tiles / tallest));
        const inside = (bin + 1) / STRETCHES > low && bin / STRETCHES < high;
        return <rect key={bin} class={inside ? "in" : ""} x={bin + 0.1} width={0.8} y={32 - height} height={height} />;
      })}
    </svg>
  );
}

function Handle({ line, end, at, grab }: { line: Timeline; end: 0 | 1; at: number; grab: () => void }) {
  const now = dayAt(line, at);
  const move = (by: number) => {
    const days: [string, string] = query.value.days ? [...query.value.days] : ["", ""];
    const time = Math.max(line.first, Math.min(line.last, timeOf(now) + by * MONTH));
    days[end] = dayOf(time);
    if (!days[0] || !days[1] || days[0] <= days[1]) change({ days });
  };
  return (
    <div
      class="date-handle"
      role="slider"
      tabIndex={0}
      aria-label={end === 0 ? "First day" : "Last day"}
      aria-valuemin={line.first}
      aria-valuemax={line.last}
      aria-valuenow={timeOf(now)}
      aria-valuetext={dayText(now)}
      style={{ left: `${at * 100}%` }}
      onPointerDown={(event) => {
        event.stopPropagation();
        grab();
        event.currentTarget.parentElement!.setPointerCapture(event.pointerId);
      }}
      onKeyDown={(event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        event.preventDefault();
        move(event.key === "ArrowLeft" ? -1 : 1);
      }}
    />
  );
}
