// Keys, and how to get more out of a search.
import { config, gallery, panel } from "../state/session";
import { Dialog } from "./Dialog";
import { SHORTCUTS } from "./keyboard";

export function HelpDialog() {
  const encoder = gallery.value?.encoder;
  return (
    <Dialog title="Help" close={() => (panel.value = null)}>
      <div class="help">
        <section>
          <h3>Keys</h3>
          <dl class="keys">
            {SHORTCUTS.map(({ shown, does }) => (
              <div key={shown}>
                <dt>{shown.split(/\s+/).map((key) => <kbd key={key}>{key}</kbd>)}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
        <section>
          <h3>Searching</h3>
          <ul class="plain">
            <li>Say what is seen from above: "a white roof beside a road" works better than a name or a purpose.</li>
            <li>"Without" keeps away from something that keeps turning up, such as clouds.</li>
            <li>Scores only compare results of the same search; "better than 98 %" says how rare such a score is here.</li>
            <li>Five thumbs each way allow a ranking trained on them; it learns what words cannot say.</li>
            <li>A saved search can be watched: it shows only what was indexed since it last ran.</li>
            <li>The address bar always holds the whole search, so a bookmark or a sent link brings it back. A picture is not part of it.</li>
          </ul>
        </section>
        <p class="hint">
          Landsift {config.value?.version}{encoder ? ` · encoder ${encoder.name}, ${encoder.dim} numbers a tile` : ""} · map data: Natural Earth, public domain ·{" "}
          <a href="../docs">API</a> · <a href="./third-party.txt">licences</a>. Nothing on this page leaves the machine that serves it.
        </p>
      </div>
    </Dialog>
  );
}
