import { TributaryError } from '../errors/tributary-error.js';

/** Bytes of one element. */
export const FLOAT32_BYTES = 4;

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * The little-endian bytes of `values`. On little-endian machines they share the memory of `values`: take a copy to keep
 * them while `values` changes.
 */
export function float32ToBytes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return LITTLE_ENDIAN ? bytes : swapFloat32Bytes(bytes);
}

/**
 * The values of little-endian bytes, always a copy: received bytes may begin at an odd address, where a Float32Array
 * cannot. Fills `into` from its start where it is given, and returns the filled part. Throws INVALID_ARGUMENT where the
 * length is not a multiple of 4, LIMIT_EXCEEDED where `into` is too short.
 */
export function bytesToFloat32(bytes: Uint8Array, into?: Float32Array): Float32Array {
  if (bytes.length % FLOAT32_BYTES !== 0) {
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `${String(bytes.length)} bytes are not a whole number of float32 values`,
    );
  }
  const length = bytes.length / FLOAT32_BYTES;
  if (into !== undefined && into.length < length)
    throw new TributaryError('LIMIT_EXCEEDED', `more than ${String(into.length)} float32 values`);
  const values = into?.subarray(0, length) ?? new Float32Array(length);
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(
    LITTLE_ENDIAN ? bytes : swapFloat32Bytes(bytes),
  );
  return values;
}

/** `values` whose memory was filled with little-endian bytes, as this machine reads them: changed in place. */
export function fromLittleEndian(values: Float32Array): Float32Array {
  if (!LITTLE_ENDIAN) Buffer.from(values.buffer, values.byteOffset, values.byteLength).swap32();
  return values;
}

/** A copy with the bytes of each group of four reversed: what a big-endian machine has to do. */
export function swapFloat32Bytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.from(bytes).swap32());
}
