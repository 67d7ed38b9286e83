// Asks for the server's token. Opening the page with it lets the server keep it in a cookie that scripts cannot read.
import { useState } from "preact/hooks";
import { panel } from "../state/session";
import { Dialog } from "./Dialog";

export function TokenDialog() {
  const [token, setToken] = useState("");
  const enter = (event: Event) => {
    event.preventDefault();
    location.search = `?token=${encodeURIComponent(token.trim())}`;
  };
  return (
    <Dialog title="This server asks for a token" close={() => (panel.value = null)}>
      <form class="stack" onSubmit={enter}>
        <p>Whoever started the server gave it a token (<code>landsift serve --token</code>). Ask them for it.</p>
        <label class="field">Token <input type="password" autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} /></label>
        <button type="submit" class="primary" disabled={!token.trim()}>Go on</button>
      </form>
    </Dialog>
  );
}
