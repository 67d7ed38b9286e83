// How the answer came about, for whoever wants to know.
import { answer } from "../state/session";
import { bytes, count, milliseconds } from "./words";

export function Explain() {
  const found = answer.value?.["landsift:explain"];
  if (!found) return null;
  const { encode_ms, search_ms, searched, total } = found;
  const time = (encode_ms ?? 0) + (search_ms ?? 0);
  return (
    <details class="explain">
      <summary>{count(searched)} of {count(total)} tiles searched in {milliseconds(time)}</summary>
      <dl>
        <dt>Path</dt><dd>{found.path}</dd>
        <dt>Rows scanned</dt><dd>{count(searched)} of {count(total)}</dd>
        {encode_ms !== null && encode_ms !== undefined && <><dt>Reading the question</dt><dd>{milliseconds(encode_ms)}</dd></>}
        {search_ms !== null && search_ms !== undefined && <><dt>Scanning</dt><dd>{milliseconds(search_ms)}</dd></>}
        {found.bytes ? <><dt>Vectors read</dt><dd>{bytes(found.bytes)}</dd></> : null}
      </dl>
      {found.notes.map((note) => <p key={note} class="hint">{note}</p>)}
    </details>
  );
}
