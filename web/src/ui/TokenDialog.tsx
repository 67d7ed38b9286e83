// Asks for the server's token when the one in the cookie no longer counts. The browser itself sends the form to the
// page's own address, so that the server can keep the token where scripts cannot read it, and the link stays whole.
import { useState } from "preact/hooks";
import { panel } from "../state/session";
import { Dialog } from "./Dialog";

export function TokenDialog() {
  const [token, setToken] = useState("");
  return (
    <Dialog title="This server asks for a token" close={() => (panel.value = null)}>
      <form class="stack" method="post">
        <p>Whoever started the server gave it a token (<code>landsift serve --token</code>). Ask them for it.</p>
        <label class="field">Token <input type="password" name="token" autocomplete="current-password" value={token} onInput={(event) => setToken(event.currentTarget.value)} /></label>
        <button type="submit" class="primary" disabled={!token.trim()}>Go on</button>
      </form>
    </Dialog>
  );
}
