import { bytesToFloat32, float32ToBytes } from '../parameters/float32-bytes.js';

/** The same memory as float32: the byte order of a word of four bytes is the same whatever it means. */
function asFloats(words: Uint32Array): Float32Array {
  return new Float32Array(words.buffer, words.byteOffset, words.length);
}

/** Little-endian bytes of words; on little-endian machines they share their memory. */
export function wordsToBytes(words: Uint32Array): Uint8Array {
  return float32ToBytes(asFloats(words));
}

/** The words of little-endian bytes, a copy into the start of `into`. Throws as `bytesToFloat32`. */
export function bytesToWords(bytes: Uint8Array, into: Uint32Array): Uint32Array {
  bytesToFloat32(bytes, asFloats(into));
  return into.subarray(0, bytes.length / Uint32Array.BYTES_PER_ELEMENT);
}
