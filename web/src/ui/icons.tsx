// The page's pictograms: strokes on a 20-pixel grid, hidden from screen readers because a label always stands by.
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg class="icon" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const SearchIcon = icon(<><circle cx="8.8" cy="8.8" r="5.3" /><path d="m13 13 4 4" /></>);
export const ImageIcon = icon(<><rect x="2.5" y="4" width="15" height="12" rx="2" /><circle cx="7" cy="8.2" r="1.3" /><path d="m3.5 14.5 4-3.7 3 2.5 3-3.3 3.5 4" /></>);
export const CloseIcon = icon(<path d="m5.5 5.5 9 9m0-9-9 9" />);
export const UpIcon = icon(<path d="M6 9.5 9.5 3c1.2 0 1.9.8 1.7 2l-.5 3h4.1c1.1 0 1.8.9 1.5 2l-1.3 5c-.2.8-.9 1.3-1.7 1.3H6m0-6.8v6.8m0-6.8H3.2v6.8H6" />);
export const DownIcon = icon(<path d="M14 10.5 10.5 17c-1.2 0-1.9-.8-1.7-2l.5-3H5.2c-1.1 0-1.8-.9-1.5-2l1.3-5c.2-.8.9-1.3 1.7-1.3H14m0 6.8V3.700m0 6.800h2.800V3.700H14" />);
export const SimilarIcon = icon(<><rect x="3" y="3" width="9" height="9" rx="1.6" /><path d="M15 7.500h.4A1.600 1.600 0 0 1 17 9.100v6.300A1.600 1.600 0 0 1 15.400 17H9.100a1.600 1.600 0 0 1-1.600-1.600V15" /></>);
export const BoxIcon = icon(<><rect x="3.5" y="4.500" width="13" height="11" rx=".5" stroke-dasharray="3 2" /></>);
export const PolygonIcon = icon(<path d="M4 7.500 10.500 3 17 8.500 13.500 16.500 5.500 15Z" stroke-dasharray="3.500 1.800" />);
export const ViewIcon = icon(<path d="M3 7V4.500A1.500 1.500 0 0 1 4.500 3H7m6 0h2.500A1.500 1.500 0 0 1 17 4.500V7m0 6v2.500a1.500 1.500 0 0 1-1.500 1.500H13m-6 0H4.500A1.500 1.500 0 0 1 3 15.500V13M7.500 10h5M10 7.500v5" />);
export const LayersIcon = icon(<path d="m10 3 7 3.700-7 3.700-7-3.700Zm-7 7.200 7 3.700 7-3.700M3 13.500l7 3.700 7-3.700" />);
export const FitIcon = icon(<><circle cx="10" cy="10" r="6.800" /><path d="M3.200 10h13.600M10 3.200c2.400 2 2.600 11.600 0 13.600-2.600-2-2.400-11.600 0-13.600" /></>);
export const SaveIcon = icon(<path d="M5.500 3.500h9v13.200L10 13.200l-4.500 3.500Z" />);
export const LinkIcon = icon(<path d="M8.500 11.500a3 3 0 0 0 4.300.2l2.700-2.700a3 3 0 0 0-4.300-4.300l-1 1m1.300 2.800a3 3 0 0 0-4.300-.2L4.500 11a3 3 0 0 0 4.300 4.300l1-1" />);
export const ExportIcon = icon(<path d="M10 3v9m-3.500-3.200L10 12.300l3.500-3.500M3.500 13.500v2A1.500 1.500 0 0 0 5 17h10a1.500 1.500 0 0 0 1.500-1.500v-2" />);
export const SunIcon = icon(<><circle cx="10" cy="10" r="3.300" /><path d="M10 2.500v1.800m0 11.400v1.800M2.500 10h1.800m11.400 0h1.800M4.700 4.700 6 6m8 8 1.300 1.300m0-10.600L14 6m-8 8-1.300 1.300" /></>);
export const MoonIcon = icon(<path d="M16.500 11.800A7 7 0 0 1 8.200 3.500a6.800 6.800 0 1 0 8.300 8.300Z" />);
export const HelpIcon = icon(<><circle cx="10" cy="10" r="7" /><path d="M8 8.200a2 2 0 1 1 2.900 1.800c-.6.3-.9.7-.9 1.400m0 2.100v.2" /></>);
export const ChevronIcon = icon(<path d="m6 8 4 4 4-4" />);
export const PlusIcon = icon(<path d="M10 4.500v11M4.500 10h11" />);
export const PinIcon = icon(<><path d="M10 17.500s5.200-4.900 5.200-8.800a5.200 5.200 0 1 0-10.400 0c0 3.900 5.200 8.800 5.200 8.800Z" /><circle cx="10" cy="8.700" r="1.800" /></>);
export const ClockIcon = icon(<><circle cx="10" cy="10" r="7" /><path d="M10 6v4.200l2.800 1.600" /></>);
export const WandIcon = icon(<path d="m4 16 8-8m1.500-5v2.500M17 6.500h-2.500M10 3.500l1 1m5.500 5.500-1-1M12.700 7.300 14 8.600" />);
