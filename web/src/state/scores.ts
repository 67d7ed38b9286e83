// Columns of scores: how they come over the wire, and which of them are worth a colour. Pure arithmetic.

const BEST_SHARE = 0.1; // of the tiles are coloured when no lowest score is set
const LIFT = 2 ** 112; // between a float16's bits, put in a float32's places, and its value

/** IEEE half floats as floats; what is not finite becomes NaN. */
export function halvesToFloats(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    bits[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    floats[i] = (half & 0x7c00) === 0x7c00 ? NaN : floats[i]! * LIFT;
  }
  return floats;
}

/** The score from which on tiles are coloured: all that were let through by a lowest score, else the best tenth. */
export function colouredFrom(scores: Float32Array, lowestShown: number, hasThreshold: boolean): number {
  const known = scores.filter((value) => !Number.isNaN(value)).sort();
  const at = hasThreshold ? 0 : Math.floor(known.length * (1 - BEST_SHARE));
  return Math.min(lowestShown, known[at] ?? lowestShown);
}
