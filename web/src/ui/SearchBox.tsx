// Words, or a picture, to search with. Every keystroke counts; the search itself waits for a pause.
import { useRef } from "preact/hooks";
import { image, query, setText, tell } from "../state/session";
import { CloseIcon, ImageIcon, SearchIcon } from "./icons";

const LARGEST = 64 * 1024 * 1024; // bytes; the server may allow less and says so

/** Takes a dropped or chosen file as the picture to search with. */
export function takeImage(file: File | null | undefined): void {
  if (!file) return;
  const named = /\.(tiff?|png|jpe?g|webp|jp2)$/i.test(file.name);
  if (!named && !file.type.startsWith("image/")) return tell(`"${file.name}" is not a picture. Drop a GeoTIFF, PNG, JPEG or WebP.`, "error");
  if (file.size > LARGEST) return tell(`"${file.name}" is too large to search with. Cut out the part you mean and try again.`, "error");
  image.value = file;
}

export function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  const file = useRef<HTMLInputElement>(null);
  return (
    <form class="search-box" role="search" onSubmit={(event) => event.preventDefault()}>
      <SearchIcon />
      <label class="hidden" for="words">Describe what to find</label>
      <input
        id="words"
        ref={input}
        type="text"
        autocomplete="off"
        spellcheck={false}
        maxLength={500}
        placeholder="Describe what to find: a harbour with moored boats"
        value={query.value.text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && input.current?.blur()}
      />
      {query.value.text !== "" && (
        <button type="button" class="quiet square" aria-label="Clear the words" title="Clear the words" onClick={() => { setText(""); input.current?.focus(); }}>
          <CloseIcon />
        </button>
      )}
      <button type="button" class="quiet square" aria-label="Search with a picture" title="Search with a picture (or drop one anywhere)" onClick={() => file.current?.click()}>
        <ImageIcon />
      </button>
      <input
        ref={file}
        class="hidden"
        type="file"
        tabIndex={-1}
        aria-label="Picture to search with"
        accept="image/*,.tif,.tiff,.jp2"
        onChange={(event) => {
          takeImage(event.currentTarget.files?.[0]);
          event.currentTarget.value = "";
        }}
      />
    </form>
  );
}
