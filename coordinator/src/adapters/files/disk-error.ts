import { TributaryError } from '@tributary/proto';

/** The `code` of an error of Node or LevelDB, where it has one. */
export function causeCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function isMissing(error: unknown): boolean {
  return causeCode(error) === 'ENOENT';
}

/** What a path is not, where it is not what it has to be. */
const WRONG_PATHS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist, or its directory does not',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EISDIR: 'is a directory, not a file',
  EEXIST: 'is a file, not a directory',
};

/**
 * What went wrong on the disk, as an error of the table: STORE_FULL where space, quota or inodes ran out, CONFIG_INVALID
 * where a path leads nowhere or belongs to somebody else, STORE_CORRUPT where the disk fails, otherwise INTERNAL. Errors
 * of the table pass unchanged.
 */
export function diskError(error: unknown, what: string): TributaryError {
  if (error instanceof TributaryError) return error;
  const code = causeCode(error) ?? '';
  const wrong = WRONG_PATHS[code];
  if (wrong !== undefined) return new TributaryError('CONFIG_INVALID', `${what}: ${wrong}`, { cause: error });
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new TributaryError('STORE_FULL', `${what}: the disk is full`, {
        cause: error,
        hint: 'free space on the volume',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new TributaryError('CONFIG_INVALID', `${what}: no permission to write`, {
        cause: error,
        hint: 'give the directory to the user of the daemon',
      });
    case 'EIO':
      return new TributaryError('STORE_CORRUPT', `${what}: the disk reports an input/output error`, {
        cause: error,
      });
    default:
      return new TributaryError(
        'INTERNAL',
        `${what}: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
  }
}
