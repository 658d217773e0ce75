import { accumulatorWasm } from '../gen/accumulator-wasm.js';
import type { Kernel, Segment } from './kernel.js';
import { loadWasm } from './wasm-module.js';

/** The exports of wat/accumulator.wat. Pointers are in bytes, counts in elements. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly squares: { readonly value: number };
  check(values: number, count: number): number;
  fold(sums: number, values: number, count: number, scale: number): void;
  read(out: number, sums: number, count: number, unit: number): void;
}

/** Page 0 is scratch: chunks pass through it in pieces that stay in the cache of one core. */
const PAGE_BYTES = 65_536;
const SCRATCH_FLOATS = PAGE_BYTES / Float32Array.BYTES_PER_ELEMENT;
const SCRATCH_DOUBLES = PAGE_BYTES / Float64Array.BYTES_PER_ELEMENT;
const SUM_BYTES = BigInt64Array.BYTES_PER_ELEMENT;

/** The kernel in WebAssembly SIMD, or undefined where the machine or its Node has none. */
export function wasmKernel(): Kernel | undefined {
  const instantiate = loadWasm<Exports>(accumulatorWasm);
  if (instantiate === undefined) return undefined;
  const checker = instantiate();
  return {
    name: 'wasm',
    segment: (length) => createSegment(instantiate(), length),
    check: (values) => checkPieces(checker, values),
  };
}

function createSegment(wasm: Exports, length: number): Segment {
  wasm.memory.grow(Math.ceil((length * SUM_BYTES) / PAGE_BYTES));
  // The memory never grows again, so these views stay valid.
  const floats = new Float32Array(wasm.memory.buffer, 0, SCRATCH_FLOATS);
  const doubles = new Float64Array(wasm.memory.buffer, 0, SCRATCH_DOUBLES);
  const address = (index: number): number => PAGE_BYTES + index * SUM_BYTES;
  return {
    sums: new BigInt64Array(wasm.memory.buffer, PAGE_BYTES, length),
    fold(offset, values, scale) {
      for (let start = 0; start < values.length; start += SCRATCH_FLOATS) {
        const piece = values.subarray(start, start + SCRATCH_FLOATS);
        floats.set(piece);
        wasm.fold(address(offset + start), 0, piece.length, scale);
      }
    },
    read(offset, into, unit) {
      for (let start = 0; start < into.length; start += SCRATCH_DOUBLES) {
        const count = Math.min(SCRATCH_DOUBLES, into.length - start);
        wasm.read(0, address(offset + start), count, unit);
        into.set(doubles.subarray(0, count), start);
      }
    },
  };
}

function checkPieces(wasm: Exports, values: Float32Array): { most: number; squares: number } {
  const floats = new Float32Array(wasm.memory.buffer, 0, SCRATCH_FLOATS);
  let most = 0;
  let squares = 0;
  for (let start = 0; start < values.length; start += SCRATCH_FLOATS) {
    const piece = values.subarray(start, start + SCRATCH_FLOATS);
    floats.set(piece);
    most = Math.max(most, wasm.check(0, piece.length));
    squares += wasm.squares.value;
  }
  // The kernel leaves NaN out of `most`; no finite float32 has a square that is not finite in float64.
  return { most: Number.isNaN(squares) ? Number.NaN : most, squares };
}
