import { bytesToFloat32, float32ToBytes } from '@tributary/proto';

import type {
  InferTensorContents,
  InferTensorContents__Output,
} from '../../gen/inference/InferTensorContents.js';
import { badTensor, NUMBER_BYTES, type Element, type OutputTensor } from './tensors.js';

const LENGTH_BYTES = 4;

/** The elements of raw contents: little-endian, as many as the shape says. Throws INVALID_ARGUMENT. */
export function rawElements(
  name: string,
  datatype: string,
  bytes: Uint8Array,
  count: number,
): ArrayLike<Element> {
  if (datatype === 'BYTES') return rawTexts(name, bytes, count);
  const known = Object.hasOwn(NUMBER_BYTES, datatype) ? NUMBER_BYTES[datatype] : undefined;
  const size = datatype === 'BOOL' ? 1 : known;
  if (size === undefined) throw unknownType(name);
  if (bytes.length !== size * count)
    throw badTensor(name, `raw contents have ${String(size)} bytes for each element of the shape`);
  if (datatype === 'FP32') return bytesToFloat32(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read = RAW_READERS[datatype];
  return Array.from({ length: count }, (_, index) => read?.(view, index * size) ?? null);
}

const RAW_READERS: Readonly<Record<string, (view: DataView, at: number) => Element>> = {
  BOOL: (view, at) => String(view.getUint8(at) !== 0),
  UINT8: (view, at) => view.getUint8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  UINT64: (view, at) => String(view.getBigUint64(at, true)),
  INT8: (view, at) => view.getInt8(at),
  INT16: (view, at) => view.getInt16(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  INT64: (view, at) => String(view.getBigInt64(at, true)),
  FP64: (view, at) => view.getFloat64(at, true),
};

function rawTexts(name: string, bytes: Uint8Array, count: number): readonly string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length && texts.length < count) {
    const length = at + LENGTH_BYTES <= bytes.length ? view.getUint32(at, true) : Infinity;
    at += LENGTH_BYTES;
    if (at + length > bytes.length) break;
    texts.push(textOf(name, bytes.subarray(at, at + length)));
    at += length;
  }
  if (texts.length !== count || at !== bytes.length)
    throw badTensor(name, 'raw BYTES are as many texts as the shape says, each behind its length in 4 bytes');
  return texts;
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badTensor(name, 'texts are UTF-8');
  }
}

/** The elements of typed contents, in the field of their type. Throws INVALID_ARGUMENT. */
export function typedElements(
  name: string,
  datatype: string,
  contents: InferTensorContents__Output | null,
  count: number,
): ArrayLike<Element> {
  const elements = contents === null ? [] : fieldOf(name, datatype, contents);
  if (elements.length !== count)
    throw badTensor(name, `contents have as many elements of ${datatype} as the shape says`);
  return elements;
}

function fieldOf(name: string, datatype: string, contents: InferTensorContents__Output): readonly Element[] {
  if (datatype === 'BYTES') return contents.bytesContents.map((bytes) => textOf(name, bytes));
  const read = Object.hasOwn(FIELDS, datatype) ? FIELDS[datatype] : undefined;
  if (read === undefined) throw unknownType(name);
  return read(contents);
}

/** 64-bit integers arrive as texts, which every feature reads; so do the floats that JSON has no number for. */
const FIELDS: Readonly<Record<string, (contents: InferTensorContents__Output) => readonly Element[]>> = {
  BOOL: ({ boolContents }) => boolContents.map(String),
  INT8: ({ intContents }) => intContents,
  INT16: ({ intContents }) => intContents,
  INT32: ({ intContents }) => intContents,
  INT64: ({ int64Contents }) => int64Contents,
  UINT8: ({ uintContents }) => uintContents,
  UINT16: ({ uintContents }) => uintContents,
  UINT32: ({ uintContents }) => uintContents,
  UINT64: ({ uint64Contents }) => uint64Contents,
  FP32: ({ fp32Contents }) => fp32Contents.map(Number),
  FP64: ({ fp64Contents }) => fp64Contents.map(Number),
};

const unknownType = (name: string) =>
  badTensor(name, 'the datatype is BOOL, BYTES, FP32, FP64, or an integer from INT8 to UINT64');

/** The raw contents of an output. */
export function rawOutput({ datatype, data }: OutputTensor): Buffer {
  if (datatype === 'FP32') return Buffer.from(float32ToBytes(data));
  return Buffer.concat(
    data.flatMap((text) => {
      const bytes = Buffer.from(text, 'utf8');
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The typed contents of an output. */
export function typedOutput({ datatype, data }: OutputTensor): InferTensorContents {
  if (datatype === 'FP32') return { fp32Contents: [...data] };
  return { bytesContents: data.map((text) => Buffer.from(text, 'utf8')) };
}
