import { TributaryError } from '@tributary/proto';
import { saidDiskError } from '@tributary/proto/node';

import { fileError } from '../files/file-error.js';

/** The reason for a failed open is one level down; that of a failed write or read is text only (strerror). */
export function levelError(error: unknown, directory: string): TributaryError {
  if (error instanceof TributaryError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return fileError(cause, directory);
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'LEVEL_LOCKED') {
    return new TributaryError('STORE_LOCKED', `${directory}: another agent process owns it`, {
      cause: error,
      hint: 'Stop that process; `tributary-agent status` talks to it while it runs.',
    });
  }
  if (code === 'LEVEL_CORRUPTION')
    return new TributaryError('STORE_CORRUPT', `${directory}: the database is damaged`, { cause: error });
  return saidDiskError(cause, directory) ?? missingError(cause, directory) ?? fileError(cause, directory);
}

/** A file that the database names is gone: it says so in words. */
function missingError(cause: Error, directory: string): TributaryError | undefined {
  const isSaid = 'code' in cause && cause.code === 'LEVEL_IO_ERROR' && /no such file/i.test(cause.message);
  return isSaid
    ? new TributaryError('STORE_CORRUPT', `${directory}: a file of the database is missing`, { cause })
    : undefined;
}

/** Records were lost, or came back. */
export const lost = (directory: string, how: string): TributaryError =>
  new TributaryError('STORE_CORRUPT', `${directory}: ${how}`, {
    hint: 'keep a copy of it for whoever looks into it; restore the data directory from a backup, or join anew',
  });
