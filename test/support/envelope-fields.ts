import {
  digestOf,
  roundKeyPair,
  signingKeyFromSeed,
  type EnvelopeFields,
  type EnvelopeSecrets,
} from '@tributary/proto';

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

/** A fixed envelope: what golden vectors and tests of tampering start from. */
export const ENVELOPE_FIELDS: EnvelopeFields = {
  wire: '1.0',
  logId: '11'.repeat(32),
  jobId: `job-${'0'.repeat(32)}`,
  round: 3,
  attempt: 0,
  stage: 'collect',
  agentId: `agt-${'0'.repeat(32)}`,
  site: 'north',
  uploadId: `upl-${'0'.repeat(32)}`,
  baseDigest: digestOf(filled(1, 1)),
  layoutDigest: digestOf(filled(1, 2)),
  vectorLength: 2 * 65_536 + 3,
  chunkBytes: 256 * 1024,
};

export const ENVELOPE_SECRETS: EnvelopeSecrets = {
  contentKey: filled(32, 3),
  ephemeralSecret: filled(32, 4),
  keyNonce: filled(24, 5),
  noncePrefix: filled(7, 6),
};

export const ROUND_KEYS = roundKeyPair(filled(32, 7));
export const IDENTITY = signingKeyFromSeed(filled(32, 8));
