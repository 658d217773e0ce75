import { PACKED, unpack, type PackedNumber } from './packed-numbers.js';

/** Tags of RFC 8746, section 2.1; those of 64-bit integers and of binary16 and binary128 are not read. */
const TAGS: Readonly<Record<number, PackedNumber>> = {
  64: PACKED.U8,
  65: PACKED.U16Be,
  66: PACKED.U32Be,
  68: PACKED.U8,
  69: PACKED.U16Le,
  70: PACKED.U32Le,
  72: PACKED.I8,
  73: PACKED.I16Be,
  74: PACKED.I32Be,
  77: PACKED.I16Le,
  78: PACKED.I32Le,
  81: PACKED.F32Be,
  82: PACKED.F64Be,
  85: PACKED.F32Le,
  86: PACKED.F64Le,
};

/** The numbers of a typed array; undefined where the tag means something else, or the bytes are no whole number of them. */
export function typedArray(tag: number, bytes: Uint8Array): number[] | undefined {
  const numbers = TAGS[tag];
  return numbers === undefined ? undefined : unpack(bytes, numbers);
}
