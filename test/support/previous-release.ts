import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { BINARIES } from './daemon.js';

/** The programs of a release, and the variables that they are started with. */
export interface Release {
  readonly version: string;
  readonly programs: Readonly<Record<keyof typeof BINARIES, string>>;
  readonly env: Readonly<Record<string, string>>;
  /** For titles. */
  readonly what: string;
}

/** This build. */
export const presentRelease = (version: string): Release => ({
  ...{ version, programs: BINARIES, what: 'this build' },
  // Takes back what the previous release is started with.
  env: { NODE_OPTIONS: '' },
});

/**
 * The release before this one: its own build, where TRIBUTARY_PREVIOUS names a folder with it; else this build, made to call
 * itself 0.2.0 and to speak the wire versions of 0.2.0 only (`previous-wire.js`). The latter has the messages of then, which
 * recorded sessions hold against the former, and today's code.
 */
export function previousRelease(folder = process.env['TRIBUTARY_PREVIOUS']): Release {
  const version = '0.2.0';
  if (folder === undefined || folder === '') {
    const hook = pathToFileURL(join(import.meta.dirname, 'previous-wire.js')).href;
    const env = { NODE_OPTIONS: `--import=${hook}` };
    return { version, programs: BINARIES, env, what: 'this build speaking the wire of 0.2.0' };
  }
  const programs = {
    tributary: join(folder, 'coordinator/bin/tributary.js'),
    coordinator: join(folder, 'coordinator/bin/tributary-coordinator.js'),
    agent: join(folder, 'edge-agent/bin/tributary-agent.js'),
  };
  for (const program of Object.values(programs))
    if (!existsSync(program)) throw new Error(`TRIBUTARY_PREVIOUS: ${program} is not there`);
  return { version, programs, env: {}, what: 'the build of 0.2.0' };
}
