import { TributaryError } from '@tributary/proto';

/** The `code` of an error of Node or LevelDB, where it has one. */
export function causeCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function isMissing(error: unknown): boolean {
  return causeCode(error) === 'ENOENT';
}

/**
 * What went wrong on the disk, as an error of the table: STORE_FULL where space, quota or inodes ran out, STORE_LOCKED and
 * CONFIG_INVALID where the directory belongs to somebody else, otherwise INTERNAL. Errors of the table pass unchanged.
 */
export function diskError(error: unknown, what: string): TributaryError {
  if (error instanceof TributaryError) return error;
  switch (causeCode(error)) {
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
