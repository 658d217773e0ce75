import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { LIMITS, modelFileOf, TributaryError, withModelLayers } from '@tributary/proto';

/**
 * A document with the layers of the model file that it names, or as it is where it names none. The path is relative to
 * the folder of `source`; '-' is the working folder. Rejects with USAGE where the file cannot be read, and as
 * withModelLayers throws for what is in it.
 */
export async function withModelFile(document: unknown, source: string): Promise<unknown> {
  const file = modelFileOf(document);
  if (file === undefined) return document;
  const path = resolve(source === '-' ? '.' : dirname(source), file);
  return withModelLayers(document, await readText(path, file));
}

/** At most one byte more than a model file may have: what is larger is refused by its length. */
async function readText(path: string, name: string): Promise<string> {
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
  // As many characters as bytes, so that a file beyond the limit is beyond it as text too.
  return buffer.toString(length > LIMITS.modelFileBytes ? 'latin1' : 'utf8', 0, length);
}
