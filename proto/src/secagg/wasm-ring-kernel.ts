import { ringWasm } from '../gen/ring-wasm.js';
import { loadWasm } from '../accumulator/wasm-module.js';
import { PIECE_WORDS, type RingKernel, type RingPiece } from './ring-kernel.js';

/** The exports of wat/ring.wat. Pointers are in bytes, counts in elements. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  add(words: number, terms: number, count: number): void;
  subtract(words: number, terms: number, count: number): void;
  quantise(words: number, values: number, random: number, count: number, scale: number, most: number): void;
}

/** A page each: words, terms (or randomness), values. */
const PIECE_BYTES = PIECE_WORDS * Uint32Array.BYTES_PER_ELEMENT;
const WORDS = 0;
const TERMS = PIECE_BYTES;
const VALUES = 2 * PIECE_BYTES;
/** What `add` and `subtract` take at a time. */
const LANE_BYTES = 64;

/** The kernel in WebAssembly SIMD, or undefined where the machine or its Node has none. */
export function wasmRingKernel(): RingKernel | undefined {
  const instantiate = loadWasm<Exports>(ringWasm);
  return instantiate && { name: 'wasm', piece: () => createPiece(instantiate()) };
}

function createPiece(wasm: Exports): RingPiece {
  const terms = new Uint8Array(wasm.memory.buffer, TERMS, PIECE_BYTES);
  const floats = new Float32Array(wasm.memory.buffer, VALUES, PIECE_WORDS);
  /** Their number; zeros follow, as the kernel goes on to the end of a lane. */
  const load = (bytes: Uint8Array): number => {
    terms.set(bytes);
    terms.fill(0, bytes.length, Math.ceil(bytes.length / LANE_BYTES) * LANE_BYTES);
    return bytes.length / Uint32Array.BYTES_PER_ELEMENT;
  };
  return {
    words: new Uint32Array(wasm.memory.buffer, WORDS, PIECE_WORDS),
    add: (bytes) => wasm.add(WORDS, TERMS, load(bytes)),
    subtract: (bytes) => wasm.subtract(WORDS, TERMS, load(bytes)),
    quantise(values, random, scale, most) {
      floats.set(values);
      terms.set(random.subarray(0, values.length * Uint32Array.BYTES_PER_ELEMENT));
      wasm.quantise(WORDS, VALUES, TERMS, values.length, scale, most);
    },
  };
}
