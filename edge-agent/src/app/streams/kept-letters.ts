import { requireFormat, TributaryError } from '@tributary/proto';
import { z } from 'zod';

import type { SealedFiles } from '../../ports.js';
import { LETTER_FILE, LETTER_FORMAT, type KeptLetter } from './letter-box.js';

/** A dead letter that the site keeps. */
export interface FoundLetter extends KeptLetter {
  /** Names it while it is kept: number of its file and place in it, such as 17-2. */
  readonly id: string;
}

const headSchema = z.looseObject({ formatVersion: z.int().min(1), kind: z.literal('DeadLetters') });
const letterSchema = z.looseObject({
  reason: z.string(),
  field: z.string().optional(),
  topic: z.string(),
  arrivalMs: z.number(),
  payload: z.base64(),
});

/**
 * The letters of one pipeline, oldest first, also while it runs: what it lets go meanwhile is left out. Rejects with
 * SEAL_BROKEN, STORE_CORRUPT, FORMAT_UNSUPPORTED.
 */
export async function* keptLetters(
  files: Pick<SealedFiles, 'list' | 'readSealed'>,
): AsyncGenerator<FoundLetter> {
  const names = (await files.list()).filter((name) => LETTER_FILE.test(name)).sort();
  for (const name of names) {
    const text = await textOf(files, name);
    if (text === undefined) continue;
    const [head = '', ...lines] = text.trimEnd().split('\n');
    const known = headSchema.safeParse(parseJson(head));
    if (!known.success) throw corrupt(name);
    requireFormat(known.data.formatVersion, name, LETTER_FORMAT);
    for (const [index, line] of lines.entries()) {
      const letter = letterSchema.safeParse(parseJson(line));
      if (!letter.success) throw corrupt(name);
      const { reason, field, topic, arrivalMs, payload } = letter.data;
      const id = `${String(Number.parseInt(name, 10))}-${String(index + 1)}`;
      yield {
        id,
        reason,
        ...(field !== undefined && { field }),
        topic,
        arrivalMs,
        payload: new Uint8Array(Buffer.from(payload, 'base64')),
      };
    }
  }
}

async function textOf(files: Pick<SealedFiles, 'readSealed'>, name: string): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of files.readSealed(name)) chunks.push(chunk);
  } catch (error) {
    if (TributaryError.from(error).code === 'NOT_FOUND') return undefined;
    throw error;
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const corrupt = (name: string): TributaryError =>
  new TributaryError('STORE_CORRUPT', `${name} does not hold dead letters`);
