import { LIMITS, ERROR_TABLE, TributaryError } from '@tributary/proto';

import { createLog, type Log } from '../adapters/logs/log.js';
import type { ServeConfig } from '../config.js';
import { Daemon } from './daemon.js';

/** Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once. */
export async function serve(config: ServeConfig): Promise<void> {
  const logs = createLog({ level: config.logLevel });
  endOnUncaught(logs.log);
  const stop = nextSignal();
  const daemon = await Daemon.start(config, logs);
  const signal = await stop;
  process.once('SIGTERM', endAtOnce).once('SIGINT', endAtOnce);
  logs.log.info({ signal }, 'told to stop');
  await daemon.stop();
  setTimeout(() => {
    logs.log.warn('something is still open; leaving');
    process.exit(0);
  }, LIMITS.daemonLeaveMs).unref();
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
  });
}

function endAtOnce(): void {
  process.exit(ERROR_TABLE.SHUTTING_DOWN.exit);
}

/** A fault that nobody handled leaves a state that nobody knows: the next process starts from the ledger instead. */
function endOnUncaught(log: Log): void {
  const end = (error: unknown): void => {
    const known = TributaryError.from(error);
    log.fatal({ error: known }, 'uncaught error');
    process.exit(ERROR_TABLE[known.code].exit);
  };
  process.on('uncaughtException', end).on('unhandledRejection', end);
}
