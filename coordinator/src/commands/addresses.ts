import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { requireFormat, TributaryError } from '@tributary/proto';
import { isMissing, writeDurably } from '@tributary/proto/node';
import { z } from 'zod';

const FORMAT = 1;

const schema = z.object({
  formatVersion: z.int(),
  /** host:port each. */
  fleet: z.string(),
  enrol: z.string(),
  admin: z.string(),
  health: z.string(),
  metrics: z.string(),
  /** Where one is served. */
  tunnel: z.string().optional(),
  /** Path of the Unix socket. */
  socket: z.string(),
});

/** Where the listeners of a daemon are, or last were: ports may be chosen by the system. */
export type Addresses = Omit<z.infer<typeof schema>, 'formatVersion'>;

export async function writeAddresses(run: string, addresses: Addresses): Promise<void> {
  const text = `${JSON.stringify({ formatVersion: FORMAT, ...addresses }, undefined, 2)}\n`;
  await writeDurably(join(run, 'addresses.json'), [Buffer.from(text)]);
}

/** What the last daemon wrote; undefined where none has served from the directory. */
export async function readAddresses(run: string): Promise<Addresses | undefined> {
  const path = join(run, 'addresses.json');
  try {
    const parsed = schema.parse(JSON.parse(await readFile(path, 'utf8')));
    requireFormat(parsed.formatVersion, path, FORMAT);
    return parsed;
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (error instanceof TributaryError) throw error;
    throw new TributaryError('STORE_CORRUPT', `${path} is not a list of addresses`, { cause: error });
  }
}
