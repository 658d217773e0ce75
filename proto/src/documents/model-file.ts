import { z } from 'zod';

import type { JsonObject, JsonValue } from '../canonical-json.js';
import { compileFeatures } from '../features/plan.js';
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
 * The document with the layers of `model` (the content of its model file) in the place of `spec.model.file`, so that
 * it says everything itself before it is signed. Throws as layersFromKeras does.
 */
export function withModelLayers(document: unknown, model: JsonValue): JsonObject {
  const { spec, ...rest } = draftSchema.parse(document);
  const { file: _, ...named } = spec.model;
  const layers = layersFromKeras(model, inputShapeOf(spec.features));
  return { ...rest, spec: { ...spec, model: { ...named, layers } } } as unknown as JsonObject;
}

/** Undefined where the features are wrong: parseDocument says how. */
function inputShapeOf(features: unknown): Shape | undefined {
  const parsed = z.array(featureSchema).min(1).safeParse(features);
  if (!parsed.success || inputProblems(parsed.data).length > 0) return undefined;
  return compileFeatures(parsed.data).shape;
}
