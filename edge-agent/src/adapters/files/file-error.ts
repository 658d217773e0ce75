import type { TributaryError } from '@tributary/proto';
import { diskError } from '@tributary/proto/node';

/** As `diskError` says, and NOT_FOUND for a file that is not there: many that a site reads may be missing. */
export const fileError = (error: unknown, path: string): TributaryError =>
  diskError(error, path, 'NOT_FOUND');
