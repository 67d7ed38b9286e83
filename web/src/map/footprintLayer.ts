// Draws any number of tile outlines in a few GPU calls: first all tiles, faintly, then the results, best on top.
// Corners are kept as two floats each (a coarse and a fine part), so that outlines stay put at centimetre scale.
import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from "maplibre-gl";
import type { Bounds } from "../api/types";
import type { Footprints } from "../state/footprints";
import { mercatorX, mercatorY } from "./mercator";
import { RAMP } from "./ramp";

const FLOATS = 5; // a corner: x, y coarse; x, y fine; the tile's diagonal
const TILE = 4 * FLOATS;
const COARSE = 4096; // coarse parts are whole multiples of 1/COARSE of the world
const POINT = 7; // pixels: while tiles are no larger, a point each does, at a fraction of the work
const CROWD = 2000; // coloured tiles up to which each keeps its shape at any size
const RUN = 512; // neighbouring tiles that are drawn, or left out of view, together

// All that is the same over a whole tile is worked out at its corners: software renderers draw this map too.
const VERTEX = `#version 300 es
in vec4 a_corner; in float a_diagonal; in float a_value;
uniform mat4 u_matrix; uniform vec4 u_centre; uniform float u_world; uniform float u_pixels;
uniform bool u_results; uniform bool u_points;
uniform vec3 u_ramp[${RAMP.length}]; uniform vec3 u_neutral;
out vec2 v_inset; flat out vec4 v_fill; flat out vec4 v_line; flat out float v_side;
vec3 ramp(float t) {
  float at = clamp(t, 0.0, 1.0) * ${(RAMP.length - 1).toFixed(1)};
  int low = min(int(at), ${RAMP.length - 2});
  return mix(u_ramp[low], u_ramp[low + 1], at - float(low));
}
void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  if (u_results ? a_value <= 0.0 : a_value != 0.0) return;
  vec2 xy = (a_corner.xy - u_centre.xy) + (a_corner.zw - u_centre.zw);
  if (u_points) xy += a_diagonal * 0.3535; // from the first corner to the middle
  gl_Position = u_matrix * vec4(xy, 0.0, 1.0);
  int corner = gl_VertexID & 3;
  v_inset = u_points ? vec2(0.5) : vec2(corner == 1 || corner == 2 ? 1.0 : 0.0, corner >= 2 ? 1.0 : 0.0);
  v_side = a_diagonal * u_world * 0.707; // pixels
  gl_PointSize = max(1.0, v_side * u_pixels);
  float near = smoothstep(6.0, 90.0, v_side);
  float fill = u_results ? mix(0.85, 0.08, near) : mix(0.34, 0.0, near);
  float line = mix(fill, u_results ? 0.95 : mix(0.34, 0.42, near), smoothstep(4.0, 12.0, v_side));
  vec3 colour = u_results ? ramp(a_value) : u_neutral;
  v_fill = vec4(colour, 1.0) * fill;
  v_line = vec4(colour, 1.0) * line;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 v_inset; flat in vec4 v_fill; flat in vec4 v_line; flat in float v_side;
uniform float u_width;
out vec4 colour;
void main() {
  vec2 inset = min(v_inset, 1.0 - v_inset) * v_side;
  colour = mix(v_line, v_fill, clamp(min(inset.x, inset.y) - u_width, 0.0, 1.0));
}`;

const UNIFORMS = ["u_matrix", "u_centre", "u_world", "u_results", "u_ramp", "u_neutral", "u_width", "u_pixels", "u_points"] as const;
type Uniforms = Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;

/** `TILE` floats a tile: each corner as coarse and fine Mercator parts, then the diagonal, in worlds. */
export function cornerFloats(rings: Float64Array): Float32Array {
  const out = new Float32Array((rings.length / 2) * FLOATS);
  for (let i = 0, to = 0; i < rings.length; i += 8) {
    const [x0, y0, x2, y2] = [mercatorX(rings[i]!), mercatorY(rings[i + 1]!), mercatorX(rings[i + 4]!), mercatorY(rings[i + 5]!)];
    const diagonal = Math.hypot(x2 - x0, y2 - y0);
    for (let corner = 0; corner < 8; corner += 2, to += FLOATS) {
      const x = mercatorX(rings[i + corner]!);
      const y = mercatorY(rings[i + corner + 1]!);
      out.set([coarse(x), coarse(y), x - coarse(x), y - coarse(y), diagonal], to);
    }
  }
  return out;
}

/** The diagonal that half of the tiles do not exceed. */
function usualDiagonal(corners: Float32Array): number {
  const all = new Float32Array(corners.length / TILE);
  for (let tile = 0; tile < all.length; tile++) all[tile] = corners[tile * TILE + 4]!;
  return all.sort()[all.length >> 1] ?? 0;
}

const coarse = (value: number): number => Math.round(value * COARSE) / COARSE;

/** West, south, east, north of every `RUN` tiles. */
export function runBoxes(boxes: Float64Array): Float64Array {
  const runs = Math.ceil(boxes.length / 4 / RUN);
  const out = new Float64Array(runs * 4);
  for (let run = 0; run < runs; run++) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let at = run * RUN * 4; at < Math.min(boxes.length, (run + 1) * RUN * 4); at += 4) {
      if (Number.isNaN(boxes[at])) continue;
      box[0] = Math.min(box[0]!, boxes[at]!);
      box[1] = Math.min(box[1]!, boxes[at + 1]!);
      box[2] = Math.max(box[2]!, boxes[at + 2]!);
      box[3] = Math.max(box[3]!, boxes[at + 3]!);
    }
    out.set(box, run * 4);
  }
  return out;
}

/** Which stretches of tiles touch a view, as [first tile, tiles], neighbours joined. */
export function stretchesInView(runs: Float64Array, count: number, [w, s, e, n]: Bounds): [number, number][] {
  const out: [number, number][] = [];
  for (let run = 0; run * 4 < runs.length; run++) {
    const at = run * 4;
    if (runs[at]! > e || runs[at + 2]! < w || runs[at + 1]! > n || runs[at + 3]! < s) continue;
    const first = run * RUN;
    const size = Math.min(RUN, count - first);
    const last = out.at(-1);
    if (last && last[0] + last[1] === first) last[1] += size;
    else out.push([first, size]);
  }
  return out;
}

interface Batch {
  vao: WebGLVertexArrayObject;
  /** The same buffers, read at each tile's first corner only. */
  points: WebGLVertexArrayObject;
  corners: WebGLBuffer;
  values: WebGLBuffer;
  order: WebGLBuffer;
  count: number;
}

export class FootprintLayer implements CustomLayerInterface {
  readonly id = "footprints";
  readonly type = "custom" as const;
  private map: MapLibre | null = null;
  private gl: WebGL2RenderingContext | null = null;
  private program: WebGLProgram | null = null;
  private uniforms: Uniforms | null = null;
  private all: Batch | null = null;
  private results: Batch | null = null;
  private corners: Float32Array = new Float32Array();
  private values: Float32Array = new Float32Array();
  private runs: Float64Array = new Float64Array();
  private diagonal = 0;
  private crosses = false;
  private neutral: [number, number, number] = [0, 0, 0];

  setFootprints(footprints: Footprints): void {
    this.corners = cornerFloats(footprints.rings);
    this.diagonal = usualDiagonal(this.corners);
    this.runs = runBoxes(footprints.boxes);
    this.crosses = footprints.boxes.some((value, i) => i % 2 === 0 && Math.abs(value) > 180);
    if (this.gl && this.all) uploadCorners(this.gl, this.all, this.corners);
    this.setValues(new Float32Array(footprints.count));
  }

  /** One value a tile: below 0 hidden, 0 no result, above 0 a result of that shade. */
  setValues(values: Float32Array): void {
    if (values.length * TILE !== this.corners.length) return;
    this.values = values;
    if (!this.gl || !this.all || !this.results) return;
    uploadValues(this.gl, this.all, values);
    const rows = resultRows(values);
    const corners = new Float32Array(rows.length * TILE);
    rows.forEach((row, i) => corners.set(this.corners.subarray(row * TILE, (row + 1) * TILE), i * TILE));
    uploadCorners(this.gl, this.results, corners);
    uploadValues(this.gl, this.results, Float32Array.from(rows, (row) => values[row]!));
    this.map?.triggerRepaint();
  }

  setNeutral(colour: [number, number, number]): void {
    this.neutral = colour;
    this.map?.triggerRepaint();
  }

  onAdd(map: MapLibre, gl: WebGL2RenderingContext): void {
    this.map = map;
    this.gl = gl;
    const program = link(gl);
    this.program = program;
    this.uniforms = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)])) as Uniforms;
    this.all = batch(gl, program);
    this.results = batch(gl, program);
    uploadCorners(gl, this.all, this.corners);
    this.setValues(this.values);
  }

  render(gl: WebGL2RenderingContext, { defaultProjectionData }: CustomRenderMethodInput): void {
    if (!this.program || !this.map || !this.all || !this.results || !this.all.count) return;
    const at = this.uniforms!;
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.uniform3fv(at.u_ramp, RAMP.flat().map((value) => value / 255));
    gl.uniform3fv(at.u_neutral, this.neutral);
    const world = 512 * 2 ** this.map.getZoom();
    const small = this.diagonal * world < POINT;
    gl.uniform1f(at.u_world, world);
    gl.uniform1f(at.u_pixels, this.map.getPixelRatio());
    const { lng, lat } = this.map.getCenter();
    const y = mercatorY(lat);
    const bounds = this.map.getBounds();
    for (const turn of this.turns()) {
      const x = mercatorX(lng) - turn;
      gl.uniformMatrix4fv(at.u_matrix, false, moved(defaultProjectionData.mainMatrix, x + turn, y));
      gl.uniform4f(at.u_centre, coarse(x), coarse(y), x - coarse(x), y - coarse(y));
      const view: Bounds = [bounds.getWest() - 360 * turn, bounds.getSouth(), bounds.getEast() - 360 * turn, bounds.getNorth()];
      gl.uniform1i(at.u_results, 0);
      gl.uniform1f(at.u_width, 0.4);
      gl.uniform1i(at.u_points, Number(small));
      const stretches = stretchesInView(this.runs, this.all.count, view);
      (small ? drawPoints : drawTiles)(gl, this.all, stretches);
      gl.uniform1i(at.u_results, 1);
      gl.uniform1f(at.u_width, 1.2);
      const crowd = small && this.results.count > CROWD;
      gl.uniform1i(at.u_points, Number(crowd));
      (crowd ? drawPoints : drawTiles)(gl, this.results, [[0, this.results.count]]);
    }
    gl.bindVertexArray(null);
  }

  /** Which copies of the world, as whole turns to the east, have something in view. */
  private turns(): number[] {
    const bounds = this.map!.getBounds();
    const reach = this.crosses ? 1 : 0; // an outline over the antimeridian juts into the next copy
    const first = Math.floor((bounds.getWest() + 180) / 360) - reach;
    const last = Math.floor((bounds.getEast() + 180) / 360) + reach;
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }
}

/** Rows with a value above 0, the best last so that it is drawn on top. */
export function resultRows(values: Float32Array): number[] {
  const rows: number[] = [];
  for (let row = 0; row < values.length; row++) if (values[row]! > 0) rows.push(row);
  return rows.sort((a, b) => values[a]! - values[b]!);
}

/** A column-major matrix after moving its input by (x, y), worked out in double precision. */
function moved(matrix: ArrayLike<number>, x: number, y: number): Float32Array {
  const out = Float64Array.from(matrix);
  for (let row = 0; row < 4; row++) out[12 + row] = matrix[12 + row]! + matrix[row]! * x + matrix[4 + row]! * y;
  return Float32Array.from(out);
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "shader");
  return program;
}

function batch(gl: WebGL2RenderingContext, program: WebGLProgram): Batch {
  const [corners, values, order] = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
  const reading = (every: number) => {
    const vao = gl.createVertexArray();
    const attribute = (name: string, size: number, stride: number, offset: number) => {
      const at = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, gl.FLOAT, false, 4 * stride * every, 4 * offset);
    };
    gl.bindVertexArray(vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, corners);
    attribute("a_corner", 4, FLOATS, 0);
    attribute("a_diagonal", 1, FLOATS, 4);
    gl.bindBuffer(gl.ARRAY_BUFFER, values);
    attribute("a_value", 1, 1, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, order);
    gl.bindVertexArray(null);
    return vao;
  };
  return { vao: reading(1), points: reading(4), corners, values, order, count: 0 };
}

function uploadCorners(gl: WebGL2RenderingContext, target: Batch, corners: Float32Array): void {
  gl.bindBuffer(gl.ARRAY_BUFFER, target.corners);
  gl.bufferData(gl.ARRAY_BUFFER, corners, gl.STATIC_DRAW);
  target.count = corners.length / TILE;
  const order = new Uint32Array(target.count * 6);
  for (let tile = 0, to = 0; tile < target.count; tile++) {
    for (const corner of [0, 1, 2, 0, 2, 3]) order[to++] = tile * 4 + corner;
  }
  gl.bindVertexArray(target.vao);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.STATIC_DRAW);
  gl.bindVertexArray(null);
}

function uploadValues(gl: WebGL2RenderingContext, target: Batch, values: Float32Array): void {
  const corners = new Float32Array(values.length * 4);
  for (let i = 0; i < corners.length; i++) corners[i] = values[i >> 2]!;
  gl.bindBuffer(gl.ARRAY_BUFFER, target.values);
  gl.bufferData(gl.ARRAY_BUFFER, corners, gl.DYNAMIC_DRAW);
}

function drawTiles(gl: WebGL2RenderingContext, { vao }: Batch, stretches: [number, number][]): void {
  gl.bindVertexArray(vao);
  for (const [first, tiles] of stretches) gl.drawElements(gl.TRIANGLES, tiles * 6, gl.UNSIGNED_INT, first * 24);
}

function drawPoints(gl: WebGL2RenderingContext, { points }: Batch, stretches: [number, number][]): void {
  gl.bindVertexArray(points);
  for (const [first, tiles] of stretches) gl.drawArrays(gl.POINTS, first, tiles);
}
