import type { SampleEncoding } from '@tributary/proto';

/** How many bytes a number has, and how it is read. */
export interface PackedNumber {
  readonly bytes: number;
  readonly read: (view: DataView, at: number) => number;
}

/** Encodings of packed samples. */
export const PACKED: Readonly<Record<SampleEncoding | 'I8' | 'U32Le' | 'U32Be', PackedNumber>> = {
  U8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  I8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  U16Le: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  U16Be: { bytes: 2, read: (view, at) => view.getUint16(at) },
  I16Le: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  I16Be: { bytes: 2, read: (view, at) => view.getInt16(at) },
  U32Le: { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  U32Be: { bytes: 4, read: (view, at) => view.getUint32(at) },
  I32Le: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  I32Be: { bytes: 4, read: (view, at) => view.getInt32(at) },
  F32Le: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F32Be: { bytes: 4, read: (view, at) => view.getFloat32(at) },
  F64Le: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  F64Be: { bytes: 8, read: (view, at) => view.getFloat64(at) },
};

/** All numbers of `bytes`; undefined where they are no whole number of numbers. */
export function unpack(bytes: Uint8Array, { bytes: width, read }: PackedNumber): number[] | undefined {
  if (bytes.length % width !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = new Array<number>(bytes.length / width);
  for (let index = 0; index < numbers.length; index++) numbers[index] = read(view, index * width);
  return numbers;
}
