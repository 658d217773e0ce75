import {
  cosignatureLine,
  headLine,
  leafHash,
  LIMITS,
  readOutline,
  TributaryError,
  type ExportHeader,
  type ExportLine,
  type SignedTreeHead,
} from '@tributary/proto';
import type { CosignatureRecord__Output } from '@tributary/proto/grpc';

import type { AdminConnection } from '../admin-connection.js';
import { PartSelection } from './selection.js';

/** What somebody wants exported; all of it where nothing is said. */
export type ExportWish = Pick<ExportHeader, 'part' | 'redacted'>;

/** Where an interrupted export goes on: under its own head, after its last entry. */
export interface ExportProgress {
  readonly head: SignedTreeHead;
  readonly after: number;
}

/** Proofs asked for at the same time. */
const PROOFS = 16;

/** The lines of an export but for its end, as a coordinator gives them: nothing is verified here. A million entries pass one by one. */
export async function* exportLines(
  admin: AdminConnection,
  wish: ExportWish,
  progress?: ExportProgress,
): AsyncGenerator<ExportLine, void, undefined> {
  const head = progress?.head ?? (await readHead(admin));
  if (progress === undefined) yield* opening(admin, wish, head);
  yield* entryLines(admin, wish, head, progress?.after ?? -1);
}

/** The newest head. */
async function readHead(admin: AdminConnection): Promise<SignedTreeHead> {
  const { logId, treeSize, rootHash, time, signature } = await admin.unary('GetTreeHead', {});
  return { logId, treeSize: Number(treeSize), rootHash, time, signature };
}

async function* opening(
  admin: AdminConnection,
  { part, redacted }: ExportWish,
  head: SignedTreeHead,
): AsyncGenerator<ExportLine> {
  const { logKey } = await admin.unary('GetVersion', {});
  const cosignatures = await readCosignatures(admin, head.treeSize);
  yield {
    kind: 'LedgerExport',
    formatVersion: 1,
    logId: head.logId,
    logKey,
    cosignatures: cosignatures.length,
    ...(part && { part }),
    ...(redacted && { redacted: [...redacted] }),
  };
  yield headLine(head);
  for (const { agentId, identityKey, cosignature } of cosignatures) {
    const treeSize = Number(cosignature?.treeSize);
    const { rootHash, time, signature } = cosignature ?? head;
    const said = { agentId, logId: head.logId, treeSize, rootHash, time, signature };
    const proof = part === undefined ? undefined : await consistency(admin, treeSize, head.treeSize);
    yield cosignatureLine(said, identityKey, proof);
  }
}

/** Those of heads up to this size; a coordinator of an older version keeps none. */
async function readCosignatures(
  admin: AdminConnection,
  size: number,
): Promise<readonly CosignatureRecord__Output[]> {
  const records: CosignatureRecord__Output[] = [];
  try {
    for await (const record of admin.stream('GetCosignatures', {})) {
      if (Number(record.cosignature?.treeSize ?? 0) <= size && records.length < LIMITS.agents)
        records.push(record);
    }
  } catch (error) {
    if (TributaryError.from(error).code !== 'VERSION_UNSUPPORTED') throw error;
  }
  return records;
}

async function consistency(
  admin: AdminConnection,
  first: number,
  second: number,
): Promise<readonly Uint8Array[]> {
  const { path } = await admin.unary('GetConsistencyProof', { first: String(first), second: String(second) });
  return path;
}

type EntryLine = Extract<ExportLine, { kind: 'Entry' | 'Redacted' }>;

async function* entryLines(
  admin: AdminConnection,
  { part, redacted = [] }: ExportWish,
  head: SignedTreeHead,
  after: number,
): AsyncGenerator<EntryLine> {
  const hidden = new Set(redacted);
  const lineOf = (seq: number, type: string, bytes: Uint8Array): EntryLine =>
    hidden.has(type)
      ? { kind: 'Redacted', seq, leafHash: leafHash(bytes) }
      : { kind: 'Entry', seq, leafHash: leafHash(bytes), entry: new TextDecoder().decode(bytes) };
  const selection = part && new PartSelection(part);
  // A part is selected by what went by before: it is read from its beginning again.
  const start = selection === undefined ? after + 1 : 0;
  let waiting: EntryLine[] = [];
  for await (const { seq, bytes } of readEntries(admin, start, head.treeSize)) {
    const outline = readOutline(bytes, seq);
    if (selection === undefined) {
      yield lineOf(seq, outline.type, bytes);
      continue;
    }
    if (!selection.takes(outline) || seq <= after) continue;
    waiting.push(lineOf(seq, outline.type, bytes));
    if (waiting.length < PROOFS) continue;
    yield* await proven(admin, waiting, head.treeSize);
    waiting = [];
  }
  yield* await proven(admin, waiting, head.treeSize);
}

function proven(
  admin: AdminConnection,
  lines: readonly EntryLine[],
  size: number,
): Promise<readonly EntryLine[]> {
  return Promise.all(
    lines.map(async (line) => {
      const request = { seq: String(line.seq), treeSize: String(size) };
      const { path } = await admin.unary('GetInclusionProof', request);
      return { ...line, path };
    }),
  );
}

/** Entries from `start` to `end`, in answers of bounded size. */
async function* readEntries(
  admin: AdminConnection,
  start: number,
  end: number,
): AsyncGenerator<{ readonly seq: number; readonly bytes: Uint8Array }> {
  let seq = start;
  while (seq < end) {
    const first = seq;
    const limit = Math.min(LIMITS.entriesPerCall, end - seq);
    for await (const { entry } of admin.stream('GetEntries', { start: String(first), limit })) {
      yield { seq, bytes: entry };
      seq += 1;
    }
    if (seq === first)
      throw new TributaryError(
        'EXPORT_CORRUPT',
        `the coordinator gives no entry ${String(first)} of ${String(end)}`,
      );
  }
}
