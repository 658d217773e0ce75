import { open, rename, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import {
  canonicalText,
  decodeExportLine,
  EXPORT_LINE_BYTES,
  encodeExportLine,
  LedgerAudit,
  TributaryError,
  type AuditReport,
  type AuditTerms,
  type ExportLine,
  type SignedTreeHead,
} from '@tributary/proto';
import { diskError, FILE_MODE, syncDirectory, writeFully } from '@tributary/proto/node';

import type { ExportProgress, ExportWish } from './export-source.js';

const LINE_FEED = 0x0a;
const READ_BYTES = 256 * 1024;
/** Bytes of lines that are written together. */
const WRITE_BYTES = 256 * 1024;

/** A line of a file, without its line feed; `end` is the offset after it. */
interface FileLine {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** False for bytes after the last line feed. */
  readonly complete: boolean;
}

/** The lines of a file, one by one. A line that is too long for an export comes cut, and does not decode. */
async function* readLines(path: string): AsyncGenerator<FileLine, void, undefined> {
  const file = await openFile(path);
  try {
    let rest = Buffer.alloc(0);
    let end = 0;
    for (;;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES);
      if (bytesRead === 0) break;
      rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      for (let at = rest.indexOf(LINE_FEED); at >= 0; at = rest.indexOf(LINE_FEED)) {
        end += at + 1;
        yield { bytes: rest.subarray(0, at), end, complete: true };
        rest = rest.subarray(at + 1);
      }
      if (rest.length > EXPORT_LINE_BYTES) break;
    }
    if (rest.length > 0) yield { bytes: rest, end: end + rest.length, complete: false };
  } finally {
    await file.close();
  }
}

/** Verifies a file line by line; `each` gets what was verified so far. Rejects as {@link LedgerAudit} throws. */
export async function auditFile(
  path: string,
  terms: AuditTerms,
  each: (entry: NonNullable<ReturnType<LedgerAudit['push']>>) => void = () => undefined,
): Promise<AuditReport> {
  const audit = new LedgerAudit(terms);
  for await (const { bytes, complete } of readLines(path)) {
    if (!complete) throw audit.unended();
    const entry = audit.push(bytes);
    if (entry !== undefined) each(entry);
  }
  return audit.report();
}

/** The first signed head in a file: of an export, of `audit verify --save-head`, of `tributary-agent log forks`. */
export async function readHeadFile(path: string): Promise<SignedTreeHead> {
  for await (const { bytes } of readLines(path)) {
    const line = decodeExportLine(bytes);
    if (line.kind === 'LedgerExport') continue;
    if (line.kind !== 'TreeHead') break;
    const { kind: _, ...head } = line;
    return head;
  }
  throw new TributaryError('EXPORT_CORRUPT', `${path}: holds no signed tree head`);
}

/** An export being written: under a name of its own until it is whole, so that it can go on after an interruption. */
export class ExportFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #audit: LedgerAudit;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Bytes of whole lines in the file. */
  #written: number;

  private constructor(path: string, file: FileHandle, audit: LedgerAudit, written: number) {
    this.#path = path;
    this.#file = file;
    this.#audit = audit;
    this.#written = written;
  }

  /**
   * Begins the file, or goes on with what an interrupted export of the same wish left. Rejects with ALREADY_EXISTS where
   * there is a whole one, CONFLICT where another wish was interrupted, and as {@link LedgerAudit} where it was damaged.
   */
  static async open(path: string, wish: ExportWish, terms: AuditTerms): Promise<ExportFile> {
    if (await isThere(path))
      throw new TributaryError('ALREADY_EXISTS', `${path} exists; it is not written over`, {
        hint: 'name another file with --file',
      });
    const part = partOf(path);
    const { audit, end } = await takeUp(part, wish, terms);
    try {
      const file = await open(part, 'a', FILE_MODE);
      await file.truncate(end);
      return new ExportFile(path, file, audit, end);
    } catch (error) {
      throw diskError(error, part);
    }
  }

  /** Where to go on; undefined at the beginning. */
  get progress(): ExportProgress | undefined {
    const { head, last } = this.#audit;
    return head && { head, after: last };
  }

  /** True where all that is missing is the name. */
  get ended(): boolean {
    return this.#audit.ended;
  }

  /** Verifies a line and writes it. Rejects as {@link LedgerAudit} throws: nothing wrong is written; with STORE_FULL. */
  async write(line: ExportLine): Promise<void> {
    const bytes = encodeExportLine(line);
    this.#audit.push(bytes);
    this.#pending.push(bytes, Uint8Array.of(LINE_FEED));
    this.#pendingBytes += bytes.length + 1;
    // Header, head and cosignatures come first and together: an export that goes on has all of them.
    if (this.#pendingBytes >= WRITE_BYTES && this.#audit.count > 0) await this.#flush();
  }

  /** Ends the file and gives it its name; durable when it resolves. */
  async finish(): Promise<AuditReport> {
    if (!this.#audit.ended) await this.write(this.#audit.endLine());
    const report = this.#audit.report();
    try {
      await this.#flush();
      await this.#file.sync();
      await rename(partOf(this.#path), this.#path);
      await syncDirectory(dirname(this.#path));
    } catch (error) {
      throw diskError(error, this.#path);
    }
    return report;
  }

  /** What is verified stays for the next time. */
  async close(): Promise<void> {
    if (this.#audit.count > 0) await this.#flush().catch(() => undefined);
    await this.#file.close();
  }

  /** Rejects with STORE_FULL; what is there then are whole lines, from which the same export goes on. */
  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      await writeFully(this.#file, bytes);
      this.#written += bytes.length;
    } catch (error) {
      await this.#file.truncate(this.#written).catch(() => undefined);
      throw diskError(error, partOf(this.#path));
    }
  }
}

const partOf = (path: string): string => `${path}.part`;

/** Reads what is there, and how far it is whole. Without an entry it is begun again. */
async function takeUp(
  path: string,
  wish: ExportWish,
  terms: AuditTerms,
): Promise<{ readonly audit: LedgerAudit; readonly end: number }> {
  const audit = new LedgerAudit(terms);
  let end = 0;
  if (await isThere(path))
    for await (const line of readLines(path)) {
      if (!line.complete) break;
      audit.push(line.bytes);
      requireSame(path, wish, audit);
      end = line.end;
    }
  return audit.count > 0 ? { audit, end } : { audit: new LedgerAudit(terms), end: 0 };
}

function requireSame(path: string, { part, redacted }: ExportWish, { header }: LedgerAudit): void {
  const wanted = canonicalText({ part, redacted });
  if (canonicalText({ part: header?.part, redacted: header?.redacted }) === wanted) return;
  throw new TributaryError('CONFLICT', `${path} is what another export left that was interrupted`, {
    hint: 'ask for the same entries again, or delete it',
  });
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw new TributaryError('NOT_FOUND', `${path}: no such file, or it cannot be read`, {
      cause,
      hint: 'check the path',
    });
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
