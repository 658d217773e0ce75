import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { LIMITS, modelFileOf, TributaryError, withModelLayers, type JsonValue } from '@tributary/proto';

/**
 * A document with the layers of the model file that it names, or as it is where it names none. The path is relative to
 * the folder of `source`; '-' is the working folder. Rejects with USAGE where the file cannot be read, LIMIT_EXCEEDED
 * above LIMITS.modelFileBytes, DOCUMENT_INVALID or DOCUMENT_UNSUPPORTED for what is in it.
 */
export async function withModelFile(document: unknown, source: string): Promise<unknown> {
  const file = modelFileOf(document);
  if (file === undefined) return document;
  const path = resolve(source === '-' ? '.' : dirname(source), file);
  const text = await readBounded(path, file);
  try {
    return withModelLayers(document, parse(text));
  } catch (error) {
    const cause = TributaryError.from(error);
    throw new TributaryError(cause.code, `spec.model.file: ${file}: ${cause.message}`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    });
  }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new TributaryError('DOCUMENT_INVALID', 'it is not JSON', {
      cause,
      hint: 'Name the model.json; weights and HDF5 files are not read.',
    });
  }
}

async function readBounded(path: string, name: string): Promise<string> {
  const buffer = Buffer.alloc(LIMITS.modelFileBytes + 1);
  let length = 0;
  try {
    await using file = await open(path, 'r');
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
  } catch (cause) {
    const fault = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    throw new TributaryError('USAGE', `spec.model.file: ${name}: cannot be read (${fault})`, {
      cause,
      hint: 'Write the path from the folder of the job file.',
    });
  }
  if (length > LIMITS.modelFileBytes)
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `spec.model.file: ${name}: a model file has at most ${String(LIMITS.modelFileBytes)} bytes`,
      { hint: 'Save the model without its weights.' },
    );
  return buffer.toString('utf8', 0, length);
}
