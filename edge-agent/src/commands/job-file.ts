import { readFile } from 'node:fs/promises';

import { parseFederatedJob, TributaryError, type FederatedJob } from '@tributary/proto';
import { parse } from 'yaml';

import { fileError } from '../adapters/files/durable-file.js';

/** The job in a YAML or JSON file. Rejects with DOCUMENT_INVALID, naming what is wrong. */
export async function readJob(path: string): Promise<FederatedJob> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new TributaryError('DOCUMENT_INVALID', fileError(error, path).message, {
      cause: error,
      hint: 'name the job with -f FILE',
    });
  }
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
    throw new TributaryError('DOCUMENT_INVALID', `${path}: not readable as YAML: ${reason}`, {
      cause: error,
    });
  }
  return parseFederatedJob(document);
}
