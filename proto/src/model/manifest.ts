import { z } from 'zod';

import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { featureSchema } from '../documents/feature-spec.js';
import { nameSchema } from '../documents/metadata.js';
import { layerSchema } from '../documents/model-spec.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isDigest, type Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { parseLayout } from '../parameters/layout.js';
import { requireSignature, type SigningKey } from '../signing/ed25519.js';
import { digestOf } from '../signing/hash.js';
import { transcript } from '../signing/transcript.js';
import { requireFormat } from '../versions.js';

/** Version of the manifest format; a newer one is refused (FORMAT_UNSUPPORTED). */
const FORMAT_VERSION = 1;

/** The lineage of 10,000 rounds (1.2 MB), a layout of 4,096 tensors and a document of 256 KiB fit with room to spare. */
const MAX_BYTES = 16 * LIMITS.documentBytes;

const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'not a digest');
const count = z.int().nonnegative();

const manifestSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  name: nameSchema,
  /** Counts from 1 within the name. */
  version: z.int().min(1),
  jobId: z.string().max(64),
  jobName: nameSchema,
  /** Rounds committed. */
  rounds: count,
  weightsDigest: digest,
  layoutDigest: digest,
  layout: z.unknown(),
  /** Width of the encoded input, and the layers over it. */
  topology: z.strictObject({ inputWidth: z.int().min(1), layers: z.array(layerSchema).min(1) }),
  /** The pipeline that turns a row into the input; with it the model can be served. */
  features: z.array(featureSchema).min(1),
  /** The label's column, and the names of the outputs in order. */
  outputs: z.array(z.string().max(128)),
  lineage: z.strictObject({
    /** Model before the first round. */
    baseDigest: digest,
    /** Ledger sequence of each round.committed, and the model that it made. */
    rounds: z.array(z.strictObject({ round: count, seq: count, modelDigest: digest })),
    sites: z.array(nameSchema),
    /** Digest of the signed job document. */
    documentDigest: digest,
  }),
  /** Of the last round, as decimal strings. */
  metrics: z.record(z.string().max(63), z.string().max(32)),
  createdAt: z.iso.datetime({ precision: 3 }),
});

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
  requireFormat(isJsonObject(value) ? value['formatVersion'] : undefined, 'the manifest', FORMAT_VERSION);
  const parsed = manifestSchema.safeParse(value);
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
