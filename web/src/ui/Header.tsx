// The top of the page: which gallery, the search box, and what can be done with the whole search.
import { LinkIcon, HelpIcon, MoonIcon, SaveIcon, SunIcon } from "./icons";
import { config, gallery, openGallery, panel, startOver, tell } from "../state/session";
import { ExportMenu } from "./ExportMenu";
import { SearchBox } from "./SearchBox";
import { theme, toggleTheme } from "./theme";
import { several } from "./words";

async function copyLink(): Promise<void> {
  try {
    await navigator.clipboard.writeText(location.href);
    tell("Link copied. It holds the words, examples, filters and the map's place.");
  } catch {
    tell("The browser did not allow copying. The address bar holds the same link.", "error");
  }
}

export function Header() {
  return (
    <header class="header">
      <button type="button" class="brand" onClick={startOver} title="Start over">
        <img src="./icon.svg" alt="" width="28" height="28" />
        <span>Landsift</span>
      </button>
      <GallerySwitcher />
      <SearchBox />
      <div class="header-actions">
        <button type="button" class="quiet" onClick={() => (panel.value = "saved")}>
          <SaveIcon /> <span>Saved</span>
        </button>
        <ExportMenu />
        <button type="button" class="quiet square" onClick={() => void copyLink()} aria-label="Copy a link to this search" title="Copy a link to this search">
          <LinkIcon />
        </button>
        <button type="button" class="quiet square" onClick={toggleTheme} aria-label={theme.value === "dark" ? "Light colours" : "Dark colours"} title={theme.value === "dark" ? "Light colours" : "Dark colours"}>
          {theme.value === "dark" ? <SunIcon /> : <MoonIcon />}
        </button>
        <button type="button" class="quiet square" onClick={() => (panel.value = "help")} aria-label="Help and keys" title="Help and keys">
          <HelpIcon />
        </button>
      </div>
    </header>
  );
}

function GallerySwitcher() {
  const galleries = config.value?.galleries ?? [];
  const now = gallery.value;
  if (!now) return null;
  return (
    <label class="gallery-switch">
      <span class="hidden">Gallery</span>
      <select value={now.id} onChange={(event) => openGallery(event.currentTarget.value)} title={`${several(now.tiles, "tile")} of ${several(now.scenes, "scene")}`}>
        {galleries.map(({ id, title }) => (
          <option key={id} value={id}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
