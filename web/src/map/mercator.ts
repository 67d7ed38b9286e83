// Web Mercator in units of the world's width: x 0 at 180 W, y 0 at the northern edge.

const LIMIT = 85.051129;

export function mercatorX(lon: number): number {
  return lon / 360 + 0.5;
}

export function mercatorY(lat: number): number {
  const clipped = Math.max(-LIMIT, Math.min(LIMIT, lat));
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (clipped * Math.PI) / 360)) / (2 * Math.PI);
}

const EQUATOR = 156543.03392; // metres a pixel of 256-pixel tiles at zoom 0

/** The zoom, rounded up, at which a 256-pixel tile shows at least `gsd` metres a pixel. */
export function nativeZoom(gsd: number, lat: number): number {
  const zoom = Math.ceil(Math.log2((EQUATOR * Math.cos((lat * Math.PI) / 180)) / gsd));
  return Math.max(0, Math.min(22, zoom));
}

/** The map zoom (512-pixel world) at which a box of this width in degrees is `pixels` wide. */
export function zoomForWidth(degrees: number, pixels: number): number {
  return Math.log2((pixels * 360) / (512 * Math.max(degrees, 1e-9)));
}
