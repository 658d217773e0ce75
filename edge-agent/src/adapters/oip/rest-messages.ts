import { LIMITS, TributaryError } from '@tributary/proto';
import { z } from 'zod';

import {
  badTensor,
  elementsOfShape,
  NUMBER_BYTES,
  type Element,
  type InferRequest,
  type InferResponse,
  type InputTensor,
} from './tensors.js';

const name = z.string().min(1).max(256);
const inferSchema = z.object({
  id: z.string().max(256).optional(),
  parameters: z.object({ decision_ids: z.string().optional() }).optional(),
  inputs: z
    .array(z.object({ name, datatype: z.string().max(16), shape: z.array(z.unknown()), data: z.unknown() }))
    .min(1, 'give a tensor for each column, or encoded rows')
    .max(LIMITS.predictionTensors, `give ${String(LIMITS.predictionTensors)} tensors at most`),
  outputs: z.array(z.object({ name })).max(16).optional(),
});

/** Reads the body of a REST request. Throws INVALID_ARGUMENT naming the field, LIMIT_EXCEEDED. */
export function parseInferRequest(
  body: Uint8Array,
  model: string,
  version: string | undefined,
): InferRequest {
  const parsed = inferSchema.safeParse(parseJson(body));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.map(String).join('.') ?? '';
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `${where === '' ? 'the body' : where}: ${issue?.message ?? 'malformed'}`,
    );
  }
  const { id, parameters, inputs, outputs = [] } = parsed.data;
  return {
    model,
    version,
    id,
    decisionIds: parameters?.decision_ids,
    inputs: inputs.map(tensorOf),
    outputs: outputs.map((output) => output.name),
  };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new TributaryError('INVALID_ARGUMENT', 'the body: not JSON in UTF-8');
  }
}

type GivenTensor = z.output<typeof inferSchema>['inputs'][number];

function tensorOf({ name: tensor, datatype, shape, data }: GivenTensor): InputTensor {
  const count = elementsOfShape(tensor, shape);
  const read = reader(tensor, datatype);
  const elements: Element[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (!Array.isArray(value)) {
      elements.push(read(value));
      return;
    }
    if (depth > LIMITS.tensorAxes || elements.length + value.length > count)
      throw badTensor(tensor, 'data has more elements than the shape');
    for (const item of value) visit(item, depth + 1);
  };
  if (!Array.isArray(data)) throw badTensor(tensor, 'data is an array');
  visit(data, 0);
  if (elements.length !== count) throw badTensor(tensor, 'data has as many elements as the shape says');
  return { name: tensor, datatype, shape: shape as number[], elements };
}

/** Reads one element; null is a missing value of a column, which JSON has no number for. */
function reader(tensor: string, datatype: string): (value: unknown) => Element {
  const accept = (fits: (value: unknown) => boolean, words: string) => (value: unknown) => {
    if (value === null) return null;
    if (!fits(value)) throw badTensor(tensor, `data of ${datatype} is ${words}`);
    return typeof value === 'boolean' ? String(value) : (value as Element);
  };
  if (datatype === 'BYTES') return accept((value) => typeof value === 'string', 'texts');
  if (datatype === 'BOOL') return accept((value) => typeof value === 'boolean', 'true or false');
  if (!Object.hasOwn(NUMBER_BYTES, datatype))
    throw badTensor(tensor, 'the datatype is BOOL, BYTES, FP32, FP64, or an integer from INT8 to UINT64');
  if (datatype.startsWith('FP')) return accept((value) => typeof value === 'number', 'numbers');
  return accept(Number.isInteger, 'whole numbers');
}

/** The JSON of an answer. Scores are written with all their digits: they read back bit for bit. */
export function inferResponseJson({ model, version, id, outputs, unreadableCells }: InferResponse): unknown {
  return {
    model_name: model,
    model_version: version,
    ...(id !== undefined && { id }),
    parameters: { unreadable_cells: unreadableCells },
    outputs: outputs.map(({ name: output, shape, datatype, names, data }) => ({
      name: output,
      shape,
      datatype,
      ...(names && { parameters: { names: JSON.stringify(names) } }),
      data: [...data],
    })),
  };
}
