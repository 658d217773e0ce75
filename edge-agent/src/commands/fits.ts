import { TributaryError } from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

import { socketPath } from '../adapters/files/data-directory.js';
import { requestOf } from '../adapters/http/status-client.js';
import { decodeSiteFits } from '../app/site-fits.js';

export interface FitsFlags {
  readonly to: string;
}

/** Writes what the running agent learnt for its site to a file that only this user reads, for the site's replicas. */
export async function fitsExportCommand(dataDir: string, { to }: FitsFlags): Promise<string> {
  const text = await requestOf(socketPath(dataDir), 'POST', '/fits');
  const { site, fits } = decodeSiteFits(text, 'the answer of the agent');
  if (fits.length === 0) {
    throw new TributaryError('NOT_FOUND', `site ${site} has learnt no fit of its own`, {
      hint: 'Only jobs with features of scaling Site have one, once they have trained here.',
    });
  }
  await writeDurably(to, [Buffer.from(text)]);
  return `${to}: what site ${site} learnt for itself in ${String(fits.length)} job${fits.length === 1 ? '' : 's'}; it stays at the site.\n`;
}
