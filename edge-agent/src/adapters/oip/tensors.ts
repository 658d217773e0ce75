import { LIMITS, TributaryError, type Cell } from '@tributary/proto';

/** Element of a tensor as a cell of a row takes it. */
export type Element = number | string | null;

/** A tensor of a request: elements row by row, as many as its shape says. */
export interface InputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly elements: ArrayLike<Element>;
}

export type OutputTensor = {
  readonly name: string;
  readonly shape: readonly number[];
  /** What the elements of the last axis mean, in order. */
  readonly names?: readonly string[];
} & (
  | { readonly datatype: 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] }
);

/** A request for an inference, whatever it came by. */
export interface InferRequest {
  readonly model: string;
  /** The active one where absent or empty. */
  readonly version?: string | undefined;
  /** The caller's name for the request; what is asked again has the same. */
  readonly id?: string | undefined;
  /** The parameter `decision_ids`: a JSON array of texts, one a row. */
  readonly decisionIds?: string | undefined;
  readonly inputs: readonly InputTensor[];
  /** Names of the outputs that are wanted; all where empty. */
  readonly outputs: readonly string[];
}

export interface InferResponse {
  readonly model: string;
  readonly version: string;
  readonly id?: string;
  readonly outputs: readonly OutputTensor[];
  /** Cells that could not be read and counted as missing. */
  readonly unreadableCells: number;
}

/** Number types of the protocol by the bytes of an element; FP16 has no use here and is refused. */
export const NUMBER_BYTES: Readonly<Record<string, number>> = {
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP32: 4,
  FP64: 8,
};

/** Elements of a shape. Throws INVALID_ARGUMENT where it is none, LIMIT_EXCEEDED where a request may not be so large. */
export function elementsOfShape(name: string, shape: readonly unknown[]): number {
  if (shape.length === 0 || shape.length > LIMITS.tensorAxes)
    throw badTensor(name, 'give a shape of 1 to 8 sizes');
  let elements = 1;
  for (const size of shape) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      throw badTensor(name, 'the sizes of a shape are whole numbers from 0');
    elements *= size;
    if (elements * Float32Array.BYTES_PER_ELEMENT > LIMITS.predictionInputBytes)
      throw new TributaryError('LIMIT_EXCEEDED', `tensor ${label(name)}: too many elements; send fewer rows`);
  }
  return elements;
}

export function badTensor(name: string, fix: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `tensor ${label(name)}: ${fix}`, {
    fields: { field: 'inputs' },
  });
}

/** What may be repeated of a name from outside. */
export const label = (name: string): string => JSON.stringify(name.slice(0, LIMITS.nameLength));

/** The cell of a row for the elements that a list column has there. */
export function listCell(elements: readonly Element[]): Cell {
  return elements.every((element): element is number | null => typeof element !== 'string')
    ? elements
    : `[${elements.map(String).join(',')}]`;
}
