import { TributaryError } from './errors/tributary-error.js';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const HEX = /^(?:[0-9a-f]{2})*$/;

/** Standard base64 (RFC 4648, section 4) with padding: the form of byte fields in transcripts and entries. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * Bytes of a standard base64 text. Only the one canonical text of the bytes is taken, and only `length` bytes where it
 * is given; anything else throws INVALID_ARGUMENT naming `field`.
 */
export function decodeBase64(text: string, field: string, length?: number): Uint8Array {
  const bytes = BASE64.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined;
  // The last character may carry bits that no byte uses: the same bytes would then have several texts.
  if (bytes === undefined || encodeBase64(bytes) !== text) throw notText(field, 'standard base64');
  return requireLength(bytes, length, field);
}

/** Base64url without padding (RFC 4648, section 5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** Inverse of {@link encodeBase64Url}, as strict as {@link decodeBase64}. */
export function decodeBase64Url(text: string, field: string, length?: number): Uint8Array {
  const bytes = /^[A-Za-z0-9_-]*$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64url')) : undefined;
  if (bytes === undefined || encodeBase64Url(bytes) !== text)
    throw notText(field, 'base64url without padding');
  return requireLength(bytes, length, field);
}

/** Lower-case hex. */
export function encodeHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of a lower-case hex text, of `length` bytes where it is given; throws INVALID_ARGUMENT naming `field`. */
export function decodeHex(text: string, field: string, length?: number): Uint8Array {
  if (!HEX.test(text)) throw notText(field, 'lower-case hex');
  return requireLength(new Uint8Array(Buffer.from(text, 'hex')), length, field);
}

/** Checks a byte field from outside; throws INVALID_ARGUMENT naming `field`. */
export function requireLength(bytes: Uint8Array, length: number | undefined, field: string): Uint8Array {
  if (length === undefined || bytes.length === length) return bytes;
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `${field}: ${String(length)} bytes are expected, not ${String(bytes.length)}`,
    {
      fields: { field },
    },
  );
}

function notText(field: string, form: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `${field}: not ${form}`, { fields: { field } });
}
