import {
  decodeBase64,
  encodeExportLine,
  encodeHex,
  headLine,
  LedgerAudit,
  logIdOf,
  printable,
  TributaryError,
  witnessedSize,
  type AuditReport,
  type AuditTerms,
  type EntryOutline,
} from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

import type { AdminConnection } from '../admin-connection.js';
import { entryText } from '../audit/entry-text.js';
import { auditFile, ExportFile, readHeadFile } from '../audit/export-file.js';
import { exportLines, type ExportWish } from '../audit/export-source.js';
import { LineageTrail, lineageLines } from '../audit/lineage.js';
import { Selection, type EntryWish } from '../audit/selection.js';
import { requireVersion } from '../export/model-download.js';
import { readRootFile } from '../federation/files.js';
import { startProgress } from '../output/progress.js';
import type { Session } from '../session.js';

/** What the auditor holds, as the command line names it. */
export interface KeyOptions {
  readonly logKey?: string;
  readonly root?: string;
  readonly head?: string;
}

export interface VerifyOptions extends KeyOptions {
  readonly file?: string;
  readonly witnesses: number;
  readonly saveHead?: string;
  readonly output: 'table' | 'json';
}

/** Verifies an export, or what a coordinator shows. Rejects with the code of the first line that is wrong. */
export async function verifyAudit(session: Session, options: VerifyOptions): Promise<void> {
  const terms = await termsOf(options);
  const { file } = options;
  if (file !== undefined && options.logKey === undefined && terms.seen === undefined)
    throw new TributaryError('USAGE', '--log-key: whose signature counts is not known from the file', {
      hint: 'Give the key, or the id of the log that a site pinned when it joined, or with --head a head that was seen before.',
    });
  const report =
    file === undefined
      ? await auditLive(session, await session.admin(), terms, () => undefined)
      : await auditFile(file, terms);
  requireWitnesses(report, options.witnesses);
  if (options.saveHead !== undefined)
    await writeDurably(options.saveHead, [encodeExportLine(headLine(report.head)), Buffer.from('\n')]);
  if (options.output === 'json') session.terminal.out(JSON.stringify(reportJson(report), null, 2));
  else for (const line of reportLines(report, options)) session.terminal.out(line);
}

export interface ExportOptions extends KeyOptions {
  readonly file: string;
  readonly from?: number;
  readonly to?: number;
  readonly job?: string;
  readonly redact: readonly string[];
}

/** Writes the ledger, or a part of it, verified on its way. The same again goes on where it was interrupted. */
export async function exportAudit(session: Session, options: ExportOptions): Promise<void> {
  const wish = wishOf(options);
  const file = await ExportFile.open(options.file, wish, await termsOf(options));
  let report: AuditReport;
  try {
    if (!file.ended)
      for await (const line of exportLines(await session.admin(), wish, file.progress)) {
        requireGoingOn(session);
        await file.write(line);
      }
    report = await file.finish();
  } finally {
    await file.close();
  }
  const entries = report.entries + report.redacted;
  session.terminal.out(
    `${String(entries)} entries of ${String(report.head.treeSize)} exported to ${options.file}`,
  );
}

export interface ShowOptions extends KeyOptions, Omit<EntryWish, 'from' | 'to'> {
  readonly file?: string;
  readonly model?: string;
  readonly output: 'table' | 'json';
}

/** Prints entries for people, or one JSON object a line; with a model how its version came to be. */
export async function showAudit(session: Session, options: ShowOptions): Promise<void> {
  const { file, model, output } = options;
  const terms = await termsOf(options);
  const visit = async (each: (entry: EntryOutline) => void): Promise<void> => {
    const report =
      file === undefined
        ? await auditLive(session, await session.admin(), terms, each)
        : await auditFile(file, terms, each);
    session.terminal.note(keyText(report, terms));
  };
  if (model !== undefined) return showLineage(session, model, output, visit);
  const selection = new Selection(options);
  await visit((entry) => {
    if (selection.takes(entry))
      session.terminal.out(output === 'json' ? JSON.stringify(entry) : entryText(entry));
  });
}

/** By which key the head was found to be signed, and whose word that is. */
function keyText({ logId }: AuditReport, terms: AuditTerms): string {
  if (terms.logId !== undefined) return `note: signed by log ${logId}, the key that --log-key gave`;
  if (terms.seen !== undefined) return `note: signed by log ${logId}, that of the head that --head gave`;
  return `note: signed by log ${logId}, a key that came with the entries and that nobody vouches for; give --log-key`;
}

async function showLineage(
  session: Session,
  reference: string,
  output: 'table' | 'json',
  visit: (each: (entry: EntryOutline) => void) => Promise<void>,
): Promise<void> {
  const { name, version } = requireVersion(reference);
  if (version === 0) throw new TributaryError('USAGE', `${reference}: name a version as NAME@VERSION`);
  const trail = new LineageTrail(name, version);
  await visit((entry) => trail.follow(entry));
  const { lineage } = trail;
  if (lineage === undefined)
    throw new TributaryError('NOT_FOUND', `the entries register no version ${String(version)} of ${name}`);
  if (output === 'json') session.terminal.out(JSON.stringify(lineage, null, 2));
  else for (const line of lineageLines(lineage)) session.terminal.out(printable(line));
}

/** Reads everything that the coordinator shows, as an export would have it, and verifies it. */
async function auditLive(
  session: Session,
  admin: AdminConnection,
  terms: AuditTerms,
  each: (entry: EntryOutline) => void,
): Promise<AuditReport> {
  const audit = new LedgerAudit(terms);
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    for await (const line of exportLines(admin, {})) {
      requireGoingOn(session);
      const entry = audit.push(encodeExportLine(line));
      if (line.kind === 'TreeHead')
        progress = startProgress(session.terminal, 'ledger', line.treeSize, 'entries');
      if (entry === undefined) continue;
      progress?.update(entry.seq + 1);
      each(entry);
    }
  } finally {
    progress?.stop();
  }
  audit.push(encodeExportLine(audit.endLine()));
  return audit.report();
}

function requireGoingOn({ signal }: Session): void {
  if (!signal.aborted) return;
  throw new TributaryError('UNAVAILABLE', 'interrupted', {
    hint: 'The same command begins again; an export goes on where it was.',
  });
}

async function termsOf({ logKey, root, head }: KeyOptions): Promise<AuditTerms> {
  return {
    ...(logKey !== undefined && { logId: requireLogId(logKey) }),
    ...(root !== undefined && { root: await readRootFile(root) }),
    ...(head !== undefined && { seen: await readHeadFile(head) }),
  };
}

/** Of a key, or as it is. */
function requireLogId(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  try {
    return logIdOf(decodeBase64(text, '--log-key', 32));
  } catch (cause) {
    throw new TributaryError('USAGE', '--log-key: 32 bytes in base64, or the 64 hex digits of a log id', {
      cause,
      hint: 'a site shows the id of the log that it pinned with `tributary-agent log head`',
    });
  }
}

function wishOf({ from, to, job, redact }: ExportOptions): ExportWish {
  if (from !== undefined && to !== undefined && from >= to)
    throw new TributaryError('USAGE', '--from: entries from a number up to, and without, a greater one');
  const part = {
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(job !== undefined && { job }),
  };
  return {
    ...(Object.keys(part).length > 0 && { part }),
    ...(redact.length > 0 && { redacted: [...redact] }),
  };
}

function requireWitnesses({ witnesses }: AuditReport, wanted: number): void {
  if (witnessedSize(witnesses, wanted) !== undefined) return;
  const sites = witnesses.map(({ site }) => site).join(', ') || 'none';
  throw new TributaryError(
    'WITNESSES_TOO_FEW',
    `${String(wanted)} sites are to have signed that they saw this ledger; ${String(witnesses.length)} have: ${sites}`,
  );
}

function reportJson(report: AuditReport): unknown {
  const { head, ...rest } = report;
  return {
    ...rest,
    head: { treeSize: head.treeSize, rootHash: encodeHex(head.rootHash), time: head.time },
  };
}

function reportLines(
  report: AuditReport,
  { logKey, head: seen, root, witnesses: wanted }: VerifyOptions,
): readonly string[] {
  const { logId, head, whole, entries, redacted, signatures, unchecked, witnesses } = report;
  const size = String(head.treeSize);
  const reach = witnessedSize(witnesses, wanted);
  return [
    `log ${logId}: in order`,
    `head        ${size} entries at ${head.time}, root ${encodeHex(head.rootHash)}`,
    whole
      ? `entries     all ${size}, ${String(redacted)} of them by their hash alone`
      : `entries     ${String(entries + redacted)} of ${size}, each proven; others may be missing`,
    `signatures  ${String(signatures)} verified, ${String(unchecked)} not judged${root === undefined && unchecked > 0 ? ' (rosters need --root)' : ''}`,
    `seen        ${witnesses.map(({ site, treeSize }) => `by ${site} up to ${String(treeSize)}`).join(', ') || 'by no site that signed for it'}`,
    ...(wanted > 0 ? [`witnessed   ${String(reach)} entries seen by ${String(wanted)} sites`] : []),
    ...(logKey === undefined && seen === undefined
      ? ['note        the key of the log is the one that was shown; compare it with one that a site pinned']
      : []),
  ].map(printable);
}
