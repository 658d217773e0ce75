import { LIMITS } from '@tributary/proto';

import { typedArray } from './cbor-typed-array.js';

/** Bytes are no CBOR that is read here; does not leave this folder. */
class CborError extends Error {}

/** Values that one message may hold: what is beyond could not be columns. */
const MOST_ITEMS = 4 * LIMITS.streamPoints;

interface Head {
  readonly major: number;
  /** Argument; undefined for an indefinite length. */
  readonly value: number | bigint | undefined;
  readonly info: number;
}

/** The end of an item of indefinite length. */
const BREAK = Symbol('break');

/**
 * Decodes one CBOR item (RFC 8949) to plain data: maps to objects with text keys (those of numbers become texts), byte
 * strings to Uint8Array, typed arrays (RFC 8746) to lists of numbers, integers beyond 2^53 to decimal texts, and times of
 * tag 1 to RFC 3339. Other tags are looked through. Undefined where the bytes are anything else, nested deeper than
 * LIMITS.jsonDepth, or too many; never throws.
 */
export function decodeCbor(bytes: Uint8Array): { readonly value: unknown } | undefined {
  const decoder = new Decoder(bytes);
  try {
    const value = decoder.item(0);
    return value !== BREAK && decoder.atEnd() ? { value } : undefined;
  } catch (error) {
    if (error instanceof CborError) return undefined;
    throw error;
  }
}

class Decoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #items = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  item(depth: number): unknown {
    if (depth > LIMITS.jsonDepth || ++this.#items > MOST_ITEMS) throw new CborError();
    const head = this.#head();
    switch (head.major) {
      case 0:
        return integer(requireValue(head));
      case 1:
        return negative(requireValue(head));
      case 2:
        return this.#string(head);
      case 3:
        return text(this.#string(head));
      case 4:
        return this.#list(head, depth);
      case 5:
        return this.#map(head, depth);
      case 6:
        return tagged(requireValue(head), this.#value(depth));
      default:
        return this.#simple(head);
    }
  }

  #head(): Head {
    const initial = this.#take(1)[0] ?? 0;
    const [major, info] = [initial >> 5, initial & 31];
    if (info < 24) return { major, info, value: info };
    if (info === 31) return { major, info, value: undefined };
    if (info > 27) throw new CborError();
    const at = this.#at;
    this.#take(1 << (info - 24));
    switch (info) {
      case 24:
        return { major, info, value: this.#view.getUint8(at) };
      case 25:
        return { major, info, value: this.#view.getUint16(at) };
      case 26:
        return { major, info, value: this.#view.getUint32(at) };
      default:
        return { major, info, value: this.#view.getBigUint64(at) };
    }
  }

  #take(count: number): Uint8Array {
    if (count > this.#bytes.length - this.#at) throw new CborError();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** An item that is no break. */
  #value(depth: number): unknown {
    const value = this.item(depth + 1);
    if (value === BREAK) throw new CborError();
    return value;
  }

  #string({ major, value }: Head): Uint8Array {
    if (value !== undefined) return this.#take(length(value));
    const parts: Uint8Array[] = [];
    for (;;) {
      const head = this.#head();
      if (head.major === 7 && head.info === 31) break;
      // Pieces are strings of the same kind and definite length (RFC 8949, 3.2.3).
      if (head.major !== major || head.value === undefined || ++this.#items > MOST_ITEMS)
        throw new CborError();
      parts.push(this.#take(length(head.value)));
    }
    return joined(parts);
  }

  #list({ value }: Head, depth: number): unknown[] {
    const items: unknown[] = [];
    const count = value === undefined ? Infinity : length(value);
    while (items.length < count) {
      const item = this.item(depth + 1);
      if (item === BREAK) {
        if (value === undefined) return items;
        throw new CborError();
      }
      items.push(item);
    }
    return items;
  }

  #map({ value }: Head, depth: number): Readonly<Record<string, unknown>> {
    const members = new Map<string, unknown>();
    const count = value === undefined ? Infinity : length(value);
    for (let index = 0; index < count; index++) {
      const key = this.item(depth + 1);
      if (key === BREAK && value === undefined) break;
      if (typeof key !== 'string' && typeof key !== 'number') throw new CborError();
      // The same key twice makes a map invalid (RFC 8949, 5.6).
      if (members.has(String(key))) throw new CborError();
      members.set(String(key), this.#value(depth));
    }
    return Object.fromEntries(members);
  }

  #simple({ info, value }: Head): unknown {
    const at = this.#at;
    switch (info) {
      case 20:
      case 21:
        return info === 21;
      case 22:
      case 23:
        return null;
      case 25:
        return half(Number(value));
      case 26:
        return this.#view.getFloat32(at - 4);
      case 27:
        return this.#view.getFloat64(at - 8);
      case 31:
        return BREAK;
      default:
        throw new CborError();
    }
  }
}

function requireValue({ value }: Head): number | bigint {
  if (value === undefined) throw new CborError();
  return value;
}

/** Lengths beyond what a message holds fail where the bytes are taken. */
const length = (value: number | bigint): number => Number(value);

function integer(value: number | bigint): number | string {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
}

function negative(value: number | bigint): number | string {
  return value < Number.MAX_SAFE_INTEGER ? -1 - Number(value) : String(-1n - BigInt(value));
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw new CborError();
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function tagged(tag: number | bigint, value: unknown): unknown {
  if (tag === 1) return epochTime(value);
  if (!(value instanceof Uint8Array)) return value;
  return typedArray(Number(tag), value) ?? value;
}

/** Tag 1: seconds since 1970 (RFC 8949, 3.4.2). */
function epochTime(value: unknown): string {
  const date = new Date(typeof value === 'number' ? Math.round(value * 1_000) : NaN);
  if (Number.isNaN(date.getTime())) throw new CborError();
  return date.toISOString();
}

/** IEEE 754 binary16, as RFC 8949, appendix D, reads it. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1_023];
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1_024 + fraction) * 2 ** (exponent - 25);
}
