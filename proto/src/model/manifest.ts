import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { featureSchema } from '../documents/feature-spec.js';
import { nameSchema } from '../documents/metadata.js';
import { layerSchema } from './layers/layer-schema.js';
import { TributaryError } from '../errors/tributary-error.js';
import { featureFitSchema, NO_FIT } from '../features/fit.js';
import type { Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { parseLayout } from '../parameters/layout.js';
import { requireSignature, type SigningKey } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';
import { dataVersionSchema } from '../envelope/data-version.js';
import { digestSchema } from '../text-schemas.js';

/** Version of the manifest format; a newer one is refused (FORMAT_UNSUPPORTED), an older one is read. */
const FORMAT_VERSION = 2;

/** The lineage of 10,000 rounds (1.2 MB), a layout of 4,096 tensors and a document of 256 KiB fit with room to spare. */
const MAX_BYTES = 16 * LIMITS.documentBytes;

const count = z.int().nonnegative();

const shared = {
  name: nameSchema,
  /** Counts from 1 within the name. */
  version: z.int().min(1),
  jobId: z.string().max(64),
  jobName: nameSchema,
  /** Rounds of training committed. */
  rounds: count,
  weightsDigest: digestSchema,
  layoutDigest: digestSchema,
  layout: z.unknown(),
  /** The pipeline that turns a row into the input; with it the model can be served. */
  features: z.array(featureSchema).min(1),
  /** The label's column, and the names of the outputs in order. */
  outputs: z.array(z.string().max(128)),
  /** Of a regression whose label was scaled: label = center + scale * output. */
  labelScaling: z.strictObject({ center: z.number(), scale: z.number().positive() }).optional(),
  lineage: z.strictObject({
    /** Model before the first round. */
    baseDigest: digestSchema,
    /** Ledger sequence of each round.committed, and the model that it made. */
    rounds: z.array(z.strictObject({ round: count, seq: count, modelDigest: digestSchema })),
    /** Ledger sequence of the round.committed that has the metrics of this very model, where it was measured. */
    measuredSeq: count.optional(),
    sites: z.array(nameSchema),
    /** Salted digest of the rows that each site trained the last round on, where it gave one. */
    dataVersions: z.record(nameSchema, dataVersionSchema).optional(),
    /** Digest of the signed job document. */
    documentDigest: digestSchema,
  }),
  /** As decimal strings: the training loss of the last round and, where it was measured, the metrics of the model. */
  metrics: z.record(z.string().max(63), z.string().max(32)),
  createdAt: z.iso.datetime({ precision: 3 }),
};

const layers = z.array(layerSchema).min(1);

const manifestSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  ...shared,
  /** Shape of an encoded row, and the layers over it. */
  topology: z.strictObject({ inputShape: z.array(z.int().min(1)).min(1).max(4), layers }),
  /** What the pipeline learned from all sites; see features.json. */
  fit: featureFitSchema,
});

/** Version 1 knew rows of one axis only, and no fit. */
const manifestSchemaV1 = z
  .strictObject({
    formatVersion: z.literal(1),
    ...shared,
    topology: z.strictObject({ inputWidth: z.int().min(1), layers }),
  })
  .transform(({ topology: { inputWidth, layers }, ...rest }): z.infer<typeof manifestSchema> => ({
    ...rest,
    formatVersion: FORMAT_VERSION,
    topology: { inputShape: [inputWidth], layers },
    fit: NO_FIT,
  }));

/** What a registered model version is: everything needed to check, export and serve it, and where it came from. */
export type ModelManifest = Omit<z.infer<typeof manifestSchema>, 'layout'> & {
  readonly layout: ReturnType<typeof parseLayout>;
};

/** The canonical bytes of a manifest: what is stored as a blob, digested and signed. */
export function encodeManifest(manifest: Omit<ModelManifest, 'formatVersion'>): Uint8Array {
  return canonicalize({ ...manifest, formatVersion: FORMAT_VERSION });
}

/** Reads a manifest from outside. Throws FORMAT_UNSUPPORTED for a newer one, INVALID_ARGUMENT naming the field. */
export function parseManifest(bytes: Uint8Array): ModelManifest {
  const value = parseCanonical(bytes, MAX_BYTES);
  const version = isJsonObject(value) ? value['formatVersion'] : undefined;
  requireFormat(version, 'the manifest', FORMAT_VERSION);
  const parsed = (version === 1 ? manifestSchemaV1 : manifestSchema).safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `manifest.${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'malformed'}`,
    );
  }
  return { ...parsed.data, layout: parseLayout(parsed.data.layout as JsonValue) };
}

const signedBytes = (manifestDigest: Digest): Uint8Array => transcript('model-manifest', { manifestDigest });

/** Ed25519 over the "model-manifest" transcript of the manifest's digest: 64 bytes. */
export function signManifest(manifestDigest: Digest, key: SigningKey): Uint8Array {
  return key.sign(signedBytes(manifestDigest));
}

/** Throws SIGNATURE_INVALID unless `signature` is the model key's over these bytes of a manifest. */
export function verifyManifest(bytes: Uint8Array, modelKey: Uint8Array, signature: Uint8Array): void {
  requireSignature(modelKey, signedBytes(digestOf(bytes)), signature, 'the model manifest');
}
