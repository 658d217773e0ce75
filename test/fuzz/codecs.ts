import {
  buildLayout,
  bytesToFloat32,
  canonicalize,
  decodeCheckpoint,
  decodeEntry,
  decodeEnvelopeHeader,
  decodeJoinToken,
  encodeCheckpoint,
  encodeEntry,
  encodeEnvelopeHeader,
  encodeJoinToken,
  Accumulator,
  LIMITS,
  openBytes,
  parseCanonical,
  parseDocumentBytes,
  parseFeaturesFile,
  parseLayout,
  parseManifest,
  roundKeyPair,
  sealBytes,
  SUITE,
  TributaryError,
  verifySignature,
  WeightsDecoder,
  type EnvelopeHeader,
} from '@tributary/proto';
import { parseContextFile } from '@tributary/coordinator/internal/cli/context-file.js';

import { SeededRandom } from '../support/seeded-random.js';
import { mutateBytes } from './mutations.js';

/** A decoder of something that arrives from outside or from a disk, and valid inputs to start from. */
export interface FuzzedCodec {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** Inputs are divided by it: a local file read through a YAML parser is no codec of the wire. */
  readonly slowdown?: number;
  decode(bytes: Uint8Array): unknown;
}

const text = (value: string): Uint8Array => Buffer.from(value);
const digest = `sha256:${'ab'.repeat(32)}` as const;
const id = (prefix: string): string => `${prefix}-${'0'.repeat(32)}`;
const base64 = (length: number): string => Buffer.alloc(length, 7).toString('base64');
const sealing = { key: Buffer.alloc(32, 1), name: 'fuzz' };
const layout = buildLayout([
  { name: 'dense_0/kernel', shape: [3, 2] },
  { name: 'dense_0/bias', shape: [2] },
]);

const job = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'FederatedJob',
  metadata: { name: 'loans' },
  spec: {
    task: { type: 'Binary', positive: 'bad' },
    dataset: { name: 'loans', label: 'Class' },
    features: [
      { name: 'income', type: 'Numeric', center: 1, scale: 2 },
      { name: 'term', type: 'Categorical', categories: ['a', 'b'] },
    ],
    model: { name: 'loans', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }] },
    training: { epochs: 1, batchSize: 8, optimizer: { type: 'Sgd', learningRate: 0.1 } },
    rounds: 2,
    privacy: { secureAggregation: false },
  },
};
const policy = {
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'SitePolicy',
  metadata: { name: 'north' },
  spec: { authors: [], datasets: [{ name: 'loans', columns: ['*'] }] },
};
const envelopeHeader: EnvelopeHeader = {
  formatVersion: 1,
  suite: SUITE,
  wire: '1.0',
  logId: 'ab'.repeat(32),
  jobId: id('job'),
  round: 1,
  attempt: 0,
  stage: 'collect',
  agentId: id('agt'),
  site: 'north',
  uploadId: id('upl'),
  baseDigest: digest,
  layoutDigest: digest,
  encoding: 'f32',
  vectorLength: 100,
  chunkBytes: LIMITS.chunkBytes,
  chunkCount: 1,
  ephemeralKey: Buffer.from(roundKeyPair(Buffer.alloc(32, 3)).publicKey).toString('base64'),
  keyNonce: base64(24),
  sealedKey: base64(48),
  noncePrefix: base64(7),
};

/** Every codec of the contract, and the files that commands read. */
export const CODECS: readonly FuzzedCodec[] = [
  {
    name: 'canonical JSON',
    seeds: [canonicalize({ a: [1, 2.5, -0.1, null, true, 'ü\n'], b: { c: {} } })],
    decode: (bytes) => parseCanonical(bytes, LIMITS.documentBytes),
  },
  {
    name: 'ledger entry',
    seeds: [
      encodeEntry({
        v: 1,
        seq: 7,
        time: '2026-01-01T00:00:00.000Z',
        actor: 'coordinator',
        type: 'job.resumed',
        subject: 'job/x',
        body: { jobId: id('job') },
      }),
      encodeEntry({
        v: 1,
        seq: 8,
        time: '2026-01-01T00:00:00.000Z',
        actor: 'coordinator',
        type: 'alarm.raised',
        subject: 'federation',
        body: { code: 'TOKEN_USED', detail: 'x' },
      }),
    ],
    decode: decodeEntry,
  },
  {
    name: 'envelope header',
    seeds: [encodeEnvelopeHeader({ ...envelopeHeader })],
    decode: decodeEnvelopeHeader,
  },
  { name: 'document', seeds: [canonicalize(job), canonicalize(policy)], decode: parseDocumentBytes },
  {
    name: 'layout',
    seeds: [canonicalize(layout)],
    decode: (bytes) => parseLayout(parseCanonical(bytes, LIMITS.documentBytes)),
  },
  { name: 'manifest', seeds: [canonicalize({ formatVersion: 1, name: 'loans' })], decode: parseManifest },
  {
    name: 'features file',
    seeds: [
      canonicalize({ formatVersion: 1, features: job.spec.features }),
      canonicalize({
        formatVersion: 2,
        features: [
          ...job.spec.features,
          { name: 'x', type: 'Numeric', scaling: 'Federated', low: 0, high: 9, indicator: true },
          { name: 'd', type: 'Date', column: 'day', part: 'Days', reference: '2020-01-01', scaling: 'Site' },
          { name: 'r', type: 'Ratio', numerator: 'x', denominator: 'y' },
        ],
        fit: { x: { center: 1, scale: 2 }, term: { categories: ['a'] } },
      }),
    ],
    decode: (bytes) => parseFeaturesFile(parseCanonical(bytes, LIMITS.documentBytes)),
  },
  {
    name: 'join token',
    seeds: [
      text(
        encodeJoinToken({
          tokenId: id('tok'),
          site: 'north',
          seed: Buffer.alloc(32, 5),
          caDigest: digest,
          enrolAddress: 'hub.example:7444',
        }),
      ),
    ],
    decode: (bytes) => decodeJoinToken(Buffer.from(bytes).toString('utf8')),
  },
  { name: 'float32 vector', seeds: [Buffer.alloc(64, 1)], decode: bytesToFloat32 },
  { name: 'model weights', seeds: [Buffer.alloc(layout.length * 4, 1)], decode: decodeWeights },
  {
    name: 'sealed bytes',
    seeds: [sealBytes(sealing, Buffer.from('a secret'))],
    decode: (bytes) => openBytes(sealing, bytes),
  },
  {
    name: 'signature',
    seeds: [Buffer.alloc(64, 9)],
    decode: (bytes) => verifySignature(bytes.subarray(0, 32), text('message'), bytes),
  },
  {
    name: 'context file',
    slowdown: 20,
    seeds: [
      text(
        'formatVersion: 1\ncurrentContext: a\ncontexts:\n  - {name: a, server: "unix:/run/admin.sock"}\nauthors: []\n',
      ),
    ],
    decode: (bytes) => parseContextFile(Buffer.from(bytes).toString('utf8'), 'config.yaml'),
  },
];

function decodeWeights(bytes: Uint8Array): unknown {
  const decoder = new WeightsDecoder(layout);
  decoder.push(bytes);
  return decoder.finish();
}

/** A checkpoint is read as a stream, so it is fuzzed beside the others. */
export const checkpointSeed = (): Buffer => {
  const accumulator = new Accumulator({ length: 8, range: 64 });
  accumulator.fold(0, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  return Buffer.concat([...encodeCheckpoint(accumulator, [id('upl')])]);
};

export interface CodecReport {
  readonly codec: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  /** Slowest input, in milliseconds. */
  readonly slowestMs: number;
}

/** Feeds mutated inputs to a codec: it may accept or throw a TributaryError, nothing else. */
export function fuzzCodec(codec: FuzzedCodec, inputs: number, seed: number): CodecReport {
  const random = new SeededRandom(seed);
  let accepted = 0;
  let slowestMs = 0;
  for (let input = 0; input < inputs; input++) {
    const bytes = mutateBytes(random, random.pick(codec.seeds));
    const start = performance.now();
    if (survives(codec, bytes)) accepted += 1;
    slowestMs = Math.max(slowestMs, performance.now() - start);
  }
  return { codec: codec.name, inputs, accepted, refused: inputs - accepted, slowestMs };
}

function survives(codec: FuzzedCodec, bytes: Uint8Array): boolean {
  try {
    codec.decode(bytes);
    return true;
  } catch (error) {
    if (error instanceof TributaryError && error.code !== 'INTERNAL') return false;
    throw new Error(`${codec.name} threw ${String(error)} for ${Buffer.from(bytes).toString('base64')}`, {
      cause: error,
    });
  }
}

/** The same for checkpoints. */
export async function fuzzCheckpoint(inputs: number, seed: number): Promise<CodecReport> {
  const random = new SeededRandom(seed);
  const valid = checkpointSeed();
  let accepted = 0;
  for (let input = 0; input < inputs; input++) {
    const bytes = mutateBytes(random, valid);
    try {
      await decodeCheckpoint(once(bytes), new Accumulator({ length: 8, range: 64 }));
      accepted += 1;
    } catch (error) {
      if (!(error instanceof TributaryError) || error.code === 'INTERNAL') {
        throw new Error(`checkpoint threw ${String(error)} for ${bytes.toString('base64')}`, {
          cause: error,
        });
      }
    }
  }
  return { codec: 'checkpoint', inputs, accepted, refused: inputs - accepted, slowestMs: 0 };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}
