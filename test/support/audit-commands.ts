import { join } from 'node:path';

import { AuditedLedger } from './audited-ledger.js';
import { CliSession } from './cli-session.js';
import { temporaryDirectory, type TemporaryDirectory } from './temporary-directory.js';

/** `tributary audit` in a suite: for each test a ledger of its own and a fresh folder for files. */
export interface AuditCommands {
  /** Of the test that runs. */
  readonly ledger: AuditedLedger;
  /** A file of the test. */
  readonly at: (name: string) => string;
  readonly run: (...words: readonly string[]) => Promise<CliSession>;
  /** Exports into a file; gives its path. */
  readonly exported: (name: string, ...words: readonly string[]) => Promise<string>;
}

/** Call it in `describe`. `cosigned`: the heads that sites have signed. */
export function auditCommands(...cosigned: AuditedLedger['cosigned']): AuditCommands {
  let folder: TemporaryDirectory;
  let ledger: AuditedLedger;
  beforeEach(async () => {
    folder = await temporaryDirectory();
    ledger = await AuditedLedger.create();
    ledger.cosigned.push(...cosigned);
  });
  afterEach(() => folder.remove());

  const at = (name: string): string => join(folder.path, name);
  const run = async (...words: readonly string[]): Promise<CliSession> => {
    const session = new CliSession(ledger.answers());
    await session.run('audit', ...words);
    return session;
  };
  return {
    get ledger() {
      return ledger;
    },
    at,
    run,
    exported: async (name, ...words) => {
      await run('export', '--file', at(name), ...words);
      return at(name);
    },
  };
}
