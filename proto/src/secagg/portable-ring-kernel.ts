import { PIECE_WORDS, type RingKernel } from './ring-kernel.js';

const WORD_BYTES = Uint32Array.BYTES_PER_ELEMENT;

/** The kernel in plain JavaScript, on every machine. */
export const portableRingKernel: RingKernel = {
  name: 'portable',

  piece() {
    const words = new Uint32Array(PIECE_WORDS);
    const combine = (terms: Uint8Array, sign: 1 | -1): void => {
      const view = viewOf(terms);
      for (let index = 0; index < terms.length / WORD_BYTES; index += 1)
        words[index] = (words[index] ?? 0) + sign * view.getUint32(index * WORD_BYTES, true);
    };
    return {
      words,
      add: (terms) => combine(terms, 1),
      subtract: (terms) => combine(terms, -1),
      quantise(values, random, scale, most) {
        const view = viewOf(random);
        for (let index = 0; index < values.length; index += 1) {
          const clamped = Math.max(-most, Math.min(most, (values[index] ?? 0) * scale));
          words[index] = Math.floor(clamped + view.getUint32(index * WORD_BYTES, true) * 2 ** -32);
        }
      },
    };
  },
};

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
