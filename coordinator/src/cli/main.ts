import { ERROR_TABLE, TributaryError } from '@tributary/proto';
import { errorReport } from '@tributary/proto/command-line';
import { CommanderError } from 'commander';

import { loadContextLocation } from '../config.js';
import { AdminConnection } from './admin-connection.js';
import { contextFilePath, findContext, readContextFile, writeContextFile } from './context-file.js';
import { processTerminal } from './output/terminal.js';
import { buildProgram, usageError, type GlobalOptions } from './program.js';
import type { Session } from './session.js';

/** Runs the `tributary` command; resolves with its exit code (see the error table). */
export async function runCli(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  const program = buildProgram((options, run) => withSession(options, interrupt.signal, run));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      const usage = usageError(error);
      // Commander has printed the message and where to find help.
      return usage === undefined ? 0 : ERROR_TABLE[usage.code].exit;
    }
    return report(TributaryError.from(error));
  }
}

async function withSession(
  options: GlobalOptions,
  signal: AbortSignal,
  run: (session: Session) => Promise<void>,
): Promise<void> {
  const location = loadContextLocation();
  const path = contextFilePath(options.config ?? location.path, location.home);
  let connection: Promise<AdminConnection> | undefined;
  const session: Session = {
    terminal: processTerminal(),
    contextPath: path,
    now: () => Date.now(),
    signal,
    contextFile: () => readContextFile(path),
    saveContextFile: (file) => writeContextFile(path, file),
    admin: () =>
      (connection ??= readContextFile(path).then((file) =>
        AdminConnection.open(findContext(file, options.context), path),
      )),
  };
  try {
    await run(session);
  } finally {
    (await connection?.catch(() => undefined))?.close();
  }
}

function report(error: TributaryError): number {
  process.stderr.write(errorReport(withHint(error), 'tributary'));
  return ERROR_TABLE[error.code].exit;
}

/** A command tries once: what its user can do about a server that does not answer is not to wait. */
function withHint(error: TributaryError): TributaryError {
  if (error.code !== 'UNAVAILABLE' || error.hint !== undefined) return error;
  return new TributaryError(error.code, error.message, {
    cause: error,
    hint: 'see whether `tributary-coordinator serve` runs, and whether `tributary context list` names its address',
  });
}
