import {
  digestOf,
  encodeExportLine,
  headLine,
  leafHash,
  type ExportLine,
  type SignedTreeHead,
} from '@tributary/proto';

import { LOG, type AuditedLedger } from './audited-ledger.js';

/** The whole of a ledger as a coordinator could write it that verifies nothing of what it writes. */
export async function rawExport(
  ledger: AuditedLedger,
  cosignatures: readonly ExportLine[] = [],
  head?: SignedTreeHead,
): Promise<string> {
  const { logId, ...rest } = head ?? (await ledger.head());
  const lines: readonly ExportLine[] = [
    {
      ...{ kind: 'LedgerExport', formatVersion: 1, logId, logKey: LOG.publicKey },
      cosignatures: cosignatures.length,
    },
    headLine({ logId, ...rest }),
    ...cosignatures,
    ...ledger.bytes.map((bytes, seq): ExportLine => ({
      ...{ kind: 'Entry', seq, leafHash: leafHash(bytes) },
      entry: new TextDecoder().decode(bytes),
    })),
  ];
  const text = lines.map((line) => `${new TextDecoder().decode(encodeExportLine(line))}\n`).join('');
  const digest = digestOf(new TextEncoder().encode(text));
  const end = encodeExportLine({ kind: 'End', entries: ledger.bytes.length, digest });
  return `${text}${new TextDecoder().decode(end)}\n`;
}
