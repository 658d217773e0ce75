import {
  encodeBase64,
  encodeEntry,
  encodeExportLine,
  ENTRY_VERSION,
  headLine,
  cosignatureLine,
  leafHash,
  LedgerAudit,
  logIdOf,
  MerkleFrontier,
  signCosignature,
  signingKeyFromSeed,
  signManifest,
  signTreeHead,
  type Digest,
  type ExportLine,
  type NewEntry,
  type SigningKey,
} from '@tributary/proto';

const keyOfByte = (byte: number): SigningKey => signingKeyFromSeed(new Uint8Array(32).fill(byte));
const [LOG, MODELS, AGENT] = [1, 2, 3].map(keyOfByte) as [SigningKey, SigningKey, SigningKey];
const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const agentId = `agt-${'0'.repeat(32)}`;

const ENTRIES: readonly NewEntry[] = [
  {
    ...{ type: 'federation.created', actor: 'coordinator', subject: 'federation' },
    body: {
      ...{ federationId: `fed-${'0'.repeat(32)}`, name: 'hearts', caDigest: digest('a') },
      ...{ logKey: encodeBase64(LOG.publicKey), modelKey: encodeBase64(MODELS.publicKey) },
    },
  },
  {
    ...{ type: 'agent.enrolled', actor: `agent/${agentId}`, subject: 'site/east' },
    body: {
      ...{ agentId, site: 'east', tokenId: `tok-${'0'.repeat(32)}`, keyDigest: digest('b') },
      identityKey: encodeBase64(AGENT.publicKey),
    },
  },
  {
    ...{ type: 'model.registered', actor: 'coordinator', subject: 'model/loans' },
    body: {
      ...{ model: 'loans', version: 1, jobId: `job-${'0'.repeat(32)}`, weightsDigest: digest('c') },
      ...{ manifestDigest: digest('d'), signature: encodeBase64(signManifest(digest('d'), MODELS)) },
    },
  },
];

/** The export of proto/LEDGER.md: three entries, and a site that has seen two of them. The seeds of its keys are known. */
export function ledgerExample(): string {
  const entries = ENTRIES.map((entry, seq) =>
    encodeEntry({ ...entry, v: ENTRY_VERSION, seq, time: `2026-01-01T00:00:0${String(seq)}.000Z` }),
  );
  const logId = logIdOf(LOG.publicKey);
  const headOf = (treeSize: number, time: string) => {
    const tree = MerkleFrontier.empty();
    for (const bytes of entries.slice(0, treeSize)) tree.append(leafHash(bytes));
    return signTreeHead(LOG, { logId, treeSize, rootHash: tree.root(), time });
  };
  const seen = headOf(2, '2026-01-01T00:01:00.000Z');
  const audit = new LedgerAudit({ logKey: LOG.publicKey });
  const lines: ExportLine[] = [
    { kind: 'LedgerExport', formatVersion: 1, logId, logKey: LOG.publicKey, cosignatures: 1 },
    headLine(headOf(3, '2026-01-01T00:03:00.000Z')),
    cosignatureLine(signCosignature(AGENT, agentId, seen, '2026-01-01T00:02:00.000Z'), AGENT.publicKey),
    ...entries.map((bytes, seq): ExportLine => ({
      ...{ kind: 'Entry', seq, leafHash: leafHash(bytes) },
      entry: new TextDecoder().decode(bytes),
    })),
  ];
  const texts = lines.map((line) => encodeExportLine(line));
  for (const bytes of texts) audit.push(bytes);
  texts.push(encodeExportLine(audit.endLine()));
  return texts.map((bytes) => `${new TextDecoder().decode(bytes)}\n`).join('');
}
