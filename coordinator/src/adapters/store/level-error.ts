import { TributaryError } from '@tributary/proto';
import { causeCode, diskError, saidDiskError } from '@tributary/proto/node';

/** An error of LevelDB as one of the table; `what` names the store. */
export function levelError(error: unknown, what: string): TributaryError {
  if (error instanceof TributaryError) return error;
  const code = causeCode(error);
  // A failed open is LEVEL_DATABASE_NOT_OPEN, its reason one level down.
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (code === 'LEVEL_DATABASE_NOT_OPEN' && inner !== error) return levelError(inner, what);
  switch (code) {
    case 'LEVEL_LOCKED':
      return new TributaryError('STORE_LOCKED', `${what}: another process owns the directory`, {
        cause: error,
      });
    case 'LEVEL_CORRUPTION':
      return new TributaryError('STORE_CORRUPT', `${what}: the database is damaged`, { cause: error });
    // The ledger is opened again after a failed write.
    case 'LEVEL_DATABASE_NOT_OPEN':
    case 'LEVEL_ITERATOR_NOT_OPEN':
      return new TributaryError('UNAVAILABLE', `${what}: the database is not open now`, { cause: error });
    case 'LEVEL_IO_ERROR':
      return ioError(error, what);
    default:
      return diskError(error, what);
  }
}

/** LevelDB gives the reason of an input/output error as text only (strerror). */
function ioError(error: unknown, what: string): TributaryError {
  const said = error instanceof Error ? saidDiskError(error, what) : undefined;
  if (said !== undefined) return said;
  if (error instanceof Error && /no such file/i.test(error.message)) {
    return new TributaryError('STORE_CORRUPT', `${what}: a file of the database is missing`, {
      cause: error,
    });
  }
  return diskError(error, what);
}
