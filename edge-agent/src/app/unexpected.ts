import { TributaryError } from '@tributary/proto';

/**
 * What a log may hold of an error that is not ours: its class and where in the code it arose. Its message may quote a
 * record, so it stays out, and so does the first line of the stack, which repeats it. Empty for errors of the table.
 */
export function describeUnexpected(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof TributaryError) {
    return error.code === 'INTERNAL' && error.cause !== undefined ? describeUnexpected(error.cause) : {};
  }
  if (!(error instanceof Error)) return { class: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { class: error.name, stack: frames.join('\n') };
}
