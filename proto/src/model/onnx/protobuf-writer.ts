/** A field of a message, and a message: its fields in order. */
export type Message = readonly Uint8Array[];

const WIRE = { varint: 0, bytes: 2, fixed32: 5 } as const;

const utf8 = new TextEncoder();

/** Base-128 varint of a safe integer from 0 on, or of a negative one as the ten bytes of its two's complement. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

const tag = (field: number, wire: number): Uint8Array => varint(field * 8 + wire);

/** An int64, int32 or enum field (Protocol Buffers, "Encoding"). */
export function integer(field: number, value: number): Message {
  return [tag(field, WIRE.varint), varint(value)];
}

/** A float field. */
export function float(field: number, value: number): Message {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [tag(field, WIRE.fixed32), bytes];
}

/** A bytes field; the bytes are taken as they are, not copied. */
export function bytes(field: number, value: Uint8Array): Message {
  return [tag(field, WIRE.bytes), varint(value.length), value];
}

/** A string field. */
export function text(field: number, value: string): Message {
  return bytes(field, utf8.encode(value));
}

/** A field that is a message itself. */
export function message(field: number, parts: readonly Message[]): Message {
  const inner = parts.flat();
  return [tag(field, WIRE.bytes), varint(lengthOf(inner)), ...inner];
}

export function lengthOf(parts: Message): number {
  return parts.reduce((length, part) => length + part.length, 0);
}
