import { z } from 'zod';

import type { JsonObject, JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { compileFeatures } from '../features/plan.js';
import { LIMITS } from '../limits.js';
import { layersFromKeras } from '../model/keras-import.js';
import type { Shape } from '../model/shape.js';
import { featureSchema } from './feature-spec.js';
import { inputProblems } from './feature-coherence.js';
import { problemError } from './problem.js';

/** What this module needs to see of a document; anything else is left to parseDocument. */
const draftSchema = z.looseObject({
  spec: z.looseObject({ model: z.looseObject({ file: z.string() }), features: z.unknown() }),
});

/**
 * The path under `spec.model.file` of a job that names a model file in place of its layers; undefined for every other
 * document. Throws DOCUMENT_INVALID where it has both.
 */
export function modelFileOf(document: unknown): string | undefined {
  const draft = draftSchema.safeParse(document);
  if (!draft.success) return undefined;
  const { model } = draft.data.spec;
  if (model['layers'] === undefined) return model.file;
  throw problemError('DOCUMENT_INVALID', [
    { path: ['spec', 'model', 'file'], what: 'stands in the place of layers', fix: 'remove one of them' },
  ]);
}

/**
 * The document with the layers of its model file in the place of `spec.model.file`, so that it says everything itself
 * before it is signed. `text` is the content of the file. Throws DOCUMENT_INVALID where it is not JSON, LIMIT_EXCEEDED
 * above LIMITS.modelFileBytes, and otherwise as layersFromKeras does, always naming the file.
 */
export function withModelLayers(document: unknown, text: string): JsonObject {
  const { spec, ...rest } = draftSchema.parse(document);
  const { file, ...named } = spec.model;
  try {
    const layers = layersFromKeras(parsedModel(text), inputShapeOf(spec.features));
    return { ...rest, spec: { ...spec, model: { ...named, layers } } } as unknown as JsonObject;
  } catch (error) {
    const cause = TributaryError.from(error);
    throw new TributaryError(cause.code, `spec.model.file: ${file}: ${cause.message}`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}

function parsedModel(text: string): JsonValue {
  if (text.length > LIMITS.modelFileBytes) {
    const most = String(LIMITS.modelFileBytes);
    throw new TributaryError('LIMIT_EXCEEDED', `a model file has at most ${most} bytes`, {
      hint: 'Save the model without its weights.',
    });
  }
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new TributaryError('DOCUMENT_INVALID', 'it is not JSON', {
      cause,
      hint: 'Name the model.json; weights and HDF5 files are not read.',
    });
  }
}

/** Undefined where the features are wrong: parseDocument says how. */
function inputShapeOf(features: unknown): Shape | undefined {
  const parsed = z.array(featureSchema).min(1).safeParse(features);
  if (!parsed.success || inputProblems(parsed.data).length > 0) return undefined;
  return compileFeatures(parsed.data).shape;
}
