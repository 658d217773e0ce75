import { LIMITS, TributaryError, type Row } from '@tributary/proto';
import { z } from 'zod';

import type { LoadedModel, PredictionRequest } from '../../serving-ports.js';
import { badTensor, label, listCell, type Element, type InferRequest, type InputTensor } from './tensors.js';

/** Name of the tensor with encoded rows, unless a column has it. */
export const ENCODED_INPUT = 'input';

/**
 * The rows of a request for a model: either one tensor of encoded rows, or one for each column. Throws INVALID_ARGUMENT
 * naming the tensor, LIMIT_EXCEEDED.
 */
export function predictionRequest(model: LoadedModel, request: InferRequest): PredictionRequest {
  const { inputs } = request;
  const decisionIds = decisionIdsOf(request, inputs[0]?.shape[0] ?? 0);
  const target = { model: model.name, version: model.version, ...(decisionIds && { decisionIds }) };
  const [only] = inputs;
  const encoded = only?.name === ENCODED_INPUT && !model.columns.includes(ENCODED_INPUT);
  if (encoded && inputs.length === 1) return { ...target, inputs: encodedRows(model, only) };
  return { ...target, rows: rowsOf(model, inputs) };
}

/** Texts that a log may repeat: printable, and none so long that a request of many rows fills it. */
const idSchema = z
  .string()
  .min(1)
  .max(256)
  .regex(/^\P{C}*$/u);
const idsSchema = z.array(idSchema);

/** The caller's decision ids, so that a request that is sent again has the same; undefined where it gave none. */
function decisionIdsOf({ id, decisionIds }: InferRequest, rows: number): readonly string[] | undefined {
  if (decisionIds !== undefined) {
    const ids = idsSchema.safeParse(parsedJson(decisionIds)).data;
    if (ids?.length === rows && new Set(ids).size === rows) return ids;
    throw new TributaryError(
      'INVALID_ARGUMENT',
      'parameters.decision_ids: a JSON array in a text, of a different printable text of 1 to 256 characters for each row',
      { fields: { field: 'parameters.decision_ids' } },
    );
  }
  if (id === undefined || id === '') return undefined;
  if (!idSchema.safeParse(id).success)
    throw new TributaryError('INVALID_ARGUMENT', 'id: at most 256 printable characters', {
      fields: { field: 'id' },
    });
  return rows === 1
    ? [id]
    : Array.from({ length: Math.min(rows, LIMITS.predictionRows) }, (_, row) => `${id}/${String(row)}`);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function encodedRows(
  { manifest }: LoadedModel,
  { name, datatype, shape, elements }: InputTensor,
): Float32Array {
  const { inputShape } = manifest.topology;
  const width = inputShape.reduce((product, size) => product * size, 1);
  const own = [inputShape, [width]].some(
    (sizes) => shape.length === sizes.length + 1 && sizes.every((size, axis) => shape[axis + 1] === size),
  );
  if (datatype !== 'FP32' || !own)
    throw badTensor(name, `encoded rows are FP32 of the shape [rows, ${inputShape.join(', ')}]`);
  const values = elements instanceof Float32Array ? elements : Float32Array.from(elements, numberOf);
  if (!values.every(Number.isFinite)) throw badTensor(name, 'encoded rows hold finite numbers only');
  return values;
}

const numberOf = (element: Element): number => (typeof element === 'number' ? element : Number.NaN);

function rowsOf({ columns }: LoadedModel, inputs: readonly InputTensor[]): readonly Row[] {
  const rows = inputs[0]?.shape[0] ?? 0;
  if (rows > LIMITS.predictionRows)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `at most ${String(LIMITS.predictionRows)} rows go in one request; send several`,
    );
  requireColumns(columns, inputs);
  const made: Record<string, Row[string]>[] = Array.from({ length: rows }, () => ({}));
  for (const tensor of inputs) {
    if (tensor.shape[0] !== rows) throw badTensor(tensor.name, 'every tensor has the same number of rows');
    fillColumn(made, tensor);
  }
  return made;
}

function requireColumns(columns: readonly string[], inputs: readonly InputTensor[]): void {
  const known = new Set(columns);
  const given = new Set<string>();
  for (const { name } of inputs) {
    if (!known.has(name))
      throw badTensor(
        name,
        `the model has no such column; give ${columns.slice(0, 16).map(label).join(', ')}`,
      );
    if (given.has(name)) throw badTensor(name, 'give each tensor once');
    given.add(name);
  }
  const missing = columns.filter((column) => !given.has(column));
  if (missing.length > 0)
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `inputs: no tensor for ${missing.slice(0, 8).map(label).join(', ')}; a missing value is null, or an empty text`,
      { fields: { field: 'inputs' } },
    );
}

/** One element a row is a cell; more of them, on a second axis, are a list. */
function fillColumn(rows: readonly Record<string, Row[string]>[], tensor: InputTensor): void {
  const { name, shape, elements } = tensor;
  if (shape.length > 2) throw badTensor(name, 'a column has the shape [rows], [rows, 1] or [rows, length]');
  const length = shape[1] ?? 1;
  const isList = shape.length === 2 && length !== 1;
  for (const [index, row] of rows.entries()) {
    const first = index * length;
    const cell = isList
      ? listCell(Array.from({ length }, (_, step) => elements[first + step] ?? null))
      : (elements[first] ?? null);
    // A column may be called anything, __proto__ too.
    Object.defineProperty(row, name, { value: cell, enumerable: true });
  }
}
