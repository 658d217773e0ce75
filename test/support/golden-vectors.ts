import {
  Accumulator,
  buildLayout,
  canonicalize,
  digestOf,
  encodeCheckpoint,
  encodeEntry,
  encodeHex,
  encodeJoinToken,
  encodeUpdate,
  encodeWeights,
  EnvelopeWriter,
  float32ToBytes,
  layoutDigest,
  leafHash,
  logIdOf,
  MerkleFrontier,
  roundKeyPair,
  sealBytes,
  signingKeyFromSeed,
  signTreeHead,
  transcript,
  type LedgerEntry,
} from '@tributary/proto';

import { patternBytes } from './bytes.js';
import { ENVELOPE_FIELDS, ENVELOPE_SECRETS, IDENTITY, ROUND_KEYS } from './envelope-fields.js';
import { ledgerExample } from './ledger-example.js';

/** Labelled texts: hex of bytes, or text as it is. */
export type GoldenVectors = Readonly<Record<string, string>>;

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const TIME = '2026-01-02T03:04:05.678Z';
const DIGEST = digestOf(filled(1, 1));

export const ENTRY: LedgerEntry = {
  v: 1,
  seq: 42,
  time: TIME,
  actor: `agent/${ENVELOPE_FIELDS.agentId}`,
  type: 'update.refused',
  subject: `job/${ENVELOPE_FIELDS.jobId}`,
  body: {
    jobId: ENVELOPE_FIELDS.jobId,
    round: 3,
    attempt: 0,
    site: 'north',
    agentId: ENVELOPE_FIELDS.agentId,
    uploadId: ENVELOPE_FIELDS.uploadId,
    code: 'UPDATE_NOT_FINITE',
    detail: 'the update holds NaN or an infinity',
  },
};

export const SEALED = { key: filled(32, 1), name: 'keys/golden', salt: filled(32, 2) };

/** One function per codec; test/data/golden/<name>.json holds what it gave when the format was fixed. */
export const GOLDEN: Readonly<Record<string, () => Promise<GoldenVectors> | GoldenVectors>> = {
  'canonical-json': () => ({
    numbers: text(canonicalize([0, -0, 1e21, 1e-7, 0.1, 9007199254740991, -1.5])),
    strings: text(canonicalize(['\u0000\b\t\n\f\r"\\/', '\u007f\u0080\u2028', '\u{1F600}'])),
    order: text(canonicalize({ b: 1, a: { d: [], c: {} }, A: null, '\u{1F600}': true, '\uffff': false })),
  }),

  signing: () => ({
    publicKey: encodeHex(IDENTITY.publicKey),
    signature: encodeHex(IDENTITY.sign(filled(3, 1))),
    digest: digestOf(filled(3, 1), filled(2, 2)),
  }),

  transcripts: () => {
    const { logId, jobId, agentId, round, attempt, stage, wire } = ENVELOPE_FIELDS;
    const signed = {
      'tree-head': transcript('tree-head', {
        logId,
        rootHash: '00',
        time: TIME,
        treeSize: '18446744073709551615',
        v: 1,
      }),
      enroll: transcript('enroll', { tokenId: 'tok-1', identityKey: 'AA==', csrDigest: DIGEST }),
      renew: transcript('renew', { agentId, nonce: 'AA==', csrDigest: DIGEST, logId }),
      hello: transcript('hello', {
        agentId,
        logId,
        sessionEpoch: '7',
        spendLogHead: '',
        versions: ['1.1', '1.0'],
      }),
      'envelope-header': transcript('envelope-header', { header: { formatVersion: 1 } }),
      'envelope-seal': transcript('envelope-seal', {
        headerDigest: DIGEST,
        chunkCount: 3,
        tagsDigest: DIGEST,
      }),
      document: transcript('document', { document: { kind: 'FederatedJob' } }),
      'model-manifest': transcript('model-manifest', { manifestDigest: DIGEST }),
      stage: transcript('stage', {
        wire,
        logId,
        jobId,
        round,
        attempt,
        stage,
        agentId,
        payloadDigest: DIGEST,
      }),
    };
    return Object.fromEntries(Object.entries(signed).map(([context, bytes]) => [context, text(bytes)]));
  },

  'ledger-export': () => ({ export: ledgerExample() }),

  ledger: () => {
    const key = signingKeyFromSeed(filled(32, 9));
    const frontier = MerkleFrontier.empty();
    for (let leaf = 0; leaf < 13; leaf += 1) frontier.append(leafHash(Uint8Array.of(leaf)));
    const head = signTreeHead(key, {
      logId: logIdOf(key.publicKey),
      treeSize: 13,
      rootHash: frontier.root(),
      time: TIME,
    });
    return {
      entry: text(encodeEntry(ENTRY)),
      leafHash: encodeHex(leafHash(encodeEntry(ENTRY))),
      logKey: encodeHex(key.publicKey),
      logId: head.logId,
      rootOf13: encodeHex(head.rootHash),
      treeHeadSignature: encodeHex(head.signature),
    };
  },

  parameters: () => {
    const layout = buildLayout([
      { name: 'dense_0/kernel', shape: [2, 3] },
      { name: 'dense_0/bias', shape: [3] },
    ]);
    const delta = Float32Array.of(1, -2, 3, 0.1, 0, 1e-9, -12, 4, 5);
    const metrics = ['auc', 'accuracy'];
    const numbers = {
      trainExamples: 300,
      loss: 0.7,
      groups: [{ examples: 41, metrics: { auc: 0.81, accuracy: 2 / 3 } }],
    };
    const update = encodeUpdate(delta, numbers, { metrics }, { clipNorm: 10, weightCap: 10_000 });
    return {
      layout: text(
        canonicalize({ tensors: layout.tensors.map((tensor) => ({ ...tensor })), length: layout.length }),
      ),
      layoutDigest: layoutDigest(layout),
      weights: encodeHex(Buffer.concat([...encodeWeights(delta)])),
      update: encodeHex(float32ToBytes(update)),
    };
  },

  accumulator: () => {
    const accumulator = new Accumulator({ length: 5, range: 64 });
    accumulator.fold(0, Float32Array.of(0.1, -0.1, 64, 1e-20, 3));
    accumulator.fold(1, Float32Array.of(1 / 3, -64));
    return {
      scaleBits: String(accumulator.scaleBits),
      sums: accumulator
        .rawSums()
        .flatMap((sums) => [...sums])
        .join(' '),
      checkpoint: encodeHex(Buffer.concat([...encodeCheckpoint(accumulator, [ENVELOPE_FIELDS.uploadId])])),
    };
  },

  envelope: async () => {
    const writer = new EnvelopeWriter(ENVELOPE_FIELDS, ROUND_KEYS.publicKey, ENVELOPE_SECRETS, IDENTITY);
    const chunks: Uint8Array[] = [];
    for await (const chunk of writer.writeAll([patternBytes(ENVELOPE_FIELDS.vectorLength * 4)]))
      chunks.push(chunk);
    const seal = writer.seal();
    return {
      roundKey: encodeHex(ROUND_KEYS.publicKey),
      header: text(writer.headerBytes),
      headerSignature: encodeHex(writer.headerSignature),
      chunk0: digestOf(chunks[0] ?? filled(0, 0)),
      chunk1: digestOf(chunks[1] ?? filled(0, 0)),
      chunk2: encodeHex(chunks[2] ?? filled(0, 0)),
      tagsDigest: encodeHex(seal.tagsDigest),
      sealSignature: encodeHex(seal.signature),
    };
  },

  'round-key': () => ({ publicKey: encodeHex(roundKeyPair(filled(32, 77)).publicKey) }),

  sealing: () => ({
    sealed: encodeHex(sealBytes(SEALED, patternBytes(40))),
    empty: encodeHex(sealBytes(SEALED, filled(0, 0))),
  }),

  'join-token': () => ({
    token: encodeJoinToken({
      tokenId: `tok-${'0'.repeat(32)}`,
      site: 'north',
      seed: filled(32, 3),
      caDigest: DIGEST,
      enrolAddress: '[::1]:7444',
    }),
  }),
};
