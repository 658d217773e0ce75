import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import {
  modelFileOf,
  parseFederatedJob,
  TributaryError,
  withModelLayers,
  type FederatedJob,
} from '@tributary/proto';
import { parse } from 'yaml';

import { fileError } from '../adapters/files/file-error.js';

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
  return parseFederatedJob(await withModelFile(document, path));
}

/** The job with the layers of the model file that it names beside it, as `tributary apply` would sign it. */
async function withModelFile(document: unknown, path: string): Promise<unknown> {
  const file = modelFileOf(document);
  if (file === undefined) return document;
  const model = resolve(dirname(path), file);
  try {
    return withModelLayers(document, await readFile(model, 'utf8'));
  } catch (error) {
    if (error instanceof TributaryError) throw error;
    throw new TributaryError('DOCUMENT_INVALID', `spec.model.file: ${fileError(error, model).message}`, {
      cause: error,
      hint: 'write the path from the folder of the job file',
    });
  }
}
