import { TributaryError, type AuditTerms } from '@tributary/proto';
import { auditFile } from '@tributary/coordinator/internal/cli/audit/export-file.js';

/** What the verifier of this repository says of a file. */
export interface Found {
  readonly code: string;
  readonly line?: unknown;
  readonly seq?: unknown;
}

/** The code and place of the first thing that is wrong with a file, or OK. */
export async function found(file: string, terms: AuditTerms): Promise<Found> {
  try {
    await auditFile(file, terms);
    return { code: 'OK' };
  } catch (error) {
    const { code, fields } = TributaryError.from(error);
    return { code, line: fields['line'] ?? null, seq: fields['seq'] ?? null };
  }
}
