import { TributaryError } from '@tributary/proto';

import { fileError } from '../files/durable-file.js';

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
  return saidError(cause, directory) ?? fileError(cause, directory);
}

/** What LevelDB says in words. */
function saidError(cause: Error, directory: string): TributaryError | undefined {
  const { message } = cause;
  if (/no space left|quota exceeded/i.test(message))
    return new TributaryError('STORE_FULL', `${directory}: the disk is full`, { cause });
  if (!('code' in cause) || cause.code !== 'LEVEL_IO_ERROR') return undefined;
  if (/permission denied|read-only/i.test(message))
    return new TributaryError('CONFIG_INVALID', `${directory}: this user may not write there`, {
      cause,
      hint: 'give the data directory to the user that runs the agent, on a file system that can be written to',
    });
  if (/no such file|input\/output/i.test(message))
    return new TributaryError(
      'STORE_CORRUPT',
      `${directory}: a file of the database is missing or unreadable`,
      { cause },
    );
  return undefined;
}

/** Records were lost, or came back. */
export const lost = (directory: string, how: string): TributaryError =>
  new TributaryError('STORE_CORRUPT', `${directory}: ${how}`, {
    hint: 'keep a copy of it for whoever looks into it; restore the data directory from a backup, or join anew',
  });
