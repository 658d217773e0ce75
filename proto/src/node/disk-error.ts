import { TributaryError } from '../errors/tributary-error.js';

/** The `code` of an error of Node or LevelDB, where it has one. */
export function causeCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function isMissing(error: unknown): boolean {
  return causeCode(error) === 'ENOENT';
}

type DiskFault = 'STORE_FULL' | 'CONFIG_INVALID' | 'STORE_CORRUPT';

const FREE = 'free space on the volume';
const GIVE = 'give it to the user that runs the daemon';

const FAULTS: Readonly<Record<string, readonly [code: DiskFault, reason: string, hint?: string]>> = {
  ENOSPC: ['STORE_FULL', 'the disk is full', FREE],
  EDQUOT: ['STORE_FULL', 'the quota of the disk is used up', FREE],
  EACCES: ['CONFIG_INVALID', 'this user may not use it', GIVE],
  EPERM: ['CONFIG_INVALID', 'this user may not use it', GIVE],
  EROFS: ['CONFIG_INVALID', 'the file system is read-only', 'mount it so that it can be written to'],
  ENOTDIR: ['CONFIG_INVALID', 'a part of the path is a file, not a directory'],
  EISDIR: ['CONFIG_INVALID', 'is a directory, not a file'],
  EEXIST: ['CONFIG_INVALID', 'is a file, not a directory'],
  EIO: ['STORE_CORRUPT', 'the disk reports an input/output error'],
};

/**
 * A failed file operation as an error of the table: STORE_FULL where space, quota or inodes ran out, CONFIG_INVALID where a
 * path belongs to somebody else, `missing` where it leads nowhere, STORE_CORRUPT where the disk fails, INTERNAL where
 * nothing says that anything is wrong with the disk, its files or the configuration. Errors of the table pass unchanged.
 */
export function diskError(
  error: unknown,
  what: string,
  missing: 'CONFIG_INVALID' | 'NOT_FOUND' = 'CONFIG_INVALID',
): TributaryError {
  if (error instanceof TributaryError) return error;
  if (isMissing(error))
    return new TributaryError(missing, `${what}: does not exist, or its directory does not`, {
      cause: error,
    });
  const fault = faultOf(causeCode(error), what, error);
  if (fault !== undefined) return fault;
  const said = error instanceof Error ? error.message : String(error);
  return new TributaryError('INTERNAL', `${what}: ${said}`, { cause: error });
}

function faultOf(code: string | undefined, what: string, cause: unknown): TributaryError | undefined {
  const fault = code === undefined ? undefined : FAULTS[code];
  if (fault === undefined) return undefined;
  const [known, reason, hint] = fault;
  return new TributaryError(known, `${what}: ${reason}`, { cause, ...(hint !== undefined && { hint }) });
}

/** What a library without codes says of the disk in words (strerror of the C library), as the code that it stands for. */
const WORDS: readonly (readonly [words: RegExp, code: string])[] = [
  [/no space left/i, 'ENOSPC'],
  [/quota exceeded|disk quota/i, 'EDQUOT'],
  [/permission denied/i, 'EACCES'],
  [/read-only file system/i, 'EROFS'],
  [/input\/output error/i, 'EIO'],
];

/** The same of an error whose text alone says what failed; undefined where it says nothing of the disk. */
export function saidDiskError(error: Error, what: string): TributaryError | undefined {
  return faultOf(WORDS.find(([words]) => words.test(error.message))?.[1], what, error);
}
