import { LIMITS, ERROR_TABLE, TributaryError } from '@tributary/proto';

import { createLog, type Log } from '../adapters/logs/log.js';
import type { ServeConfig } from '../config.js';
import { Daemon } from './daemon.js';

/**
 * Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once. Rejects with STORE_CORRUPT where its ledger is
 * found damaged.
 */
export async function serve(config: ServeConfig): Promise<void> {
  const logs = createLog({ level: config.logLevel });
  endOnUncaught(logs.log);
  const stop = nextSignal();
  const daemon = await Daemon.start(config, logs);
  const reason = await Promise.race([stop, daemon.damage]);
  process.once('SIGTERM', endAtOnce).once('SIGINT', endAtOnce);
  const damage = reason instanceof TributaryError ? reason : undefined;
  if (damage === undefined) logs.log.info({ signal: reason }, 'told to stop');
  else logs.log.fatal({ error: damage }, 'the ledger is damaged: it is served no longer');
  await daemon.stop();
  setTimeout(() => {
    logs.log.warn('something is still open; leaving');
    process.exit(damage === undefined ? 0 : ERROR_TABLE[damage.code].exit);
  }, LIMITS.daemonLeaveMs).unref();
  if (damage !== undefined) throw damage;
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
