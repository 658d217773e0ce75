import { checkSite } from '@tributary/edge-agent/internal/commands/check/site-check.js';
import { loadConfig } from '@tributary/edge-agent/internal/config.js';
import type { CheckLine } from '@tributary/edge-agent/internal/domain/site-check/check-line.js';

import { BINARIES, runCommand } from './daemon.js';

/** What `tributary-agent check --json` said. */
export interface SiteChecked {
  readonly ok: boolean;
  readonly lines: readonly CheckLine[];
  /** Names of the checks that failed. */
  readonly failed: readonly string[];
  /** The only line of a check. */
  readonly line: (check: string) => CheckLine;
}

/** Runs `tributary-agent check`. */
export async function checkOf(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<SiteChecked> {
  const { code, stdout, stderr } = await runCommand(BINARIES.agent, ['check', '--json', ...args], env);
  if (stderr !== '') throw new Error(stderr);
  const { ok, checks } = JSON.parse(stdout) as {
    readonly ok: boolean;
    readonly checks: readonly CheckLine[];
  };
  if (ok !== (code === 0)) throw new Error(`exit ${String(code)} and ok ${String(ok)}`);
  return checked(ok, checks);
}

/** The same in this process, which spares the start of another. */
export async function checkHere(
  config: string,
  given: {
    readonly token?: string;
    readonly fleet?: string;
    readonly trustStores?: readonly string[];
  } = {},
): Promise<SiteChecked> {
  const { ok, lines } = await checkSite({
    config: () => loadConfig({ config }, {}),
    token: () => Promise.resolve(given.token),
    fleet: given.fleet,
    trustStores: given.trustStores ?? [],
  });
  return checked(ok, lines);
}

function checked(ok: boolean, lines: readonly CheckLine[]): SiteChecked {
  return {
    ok,
    lines,
    failed: lines.filter(({ verdict }) => verdict === 'Failed').map(({ check }) => check),
    line: (check) => {
      const [found, ...others] = lines.filter((one) => one.check === check);
      if (found === undefined || others.length > 0) throw new Error(`${check}: ${JSON.stringify(lines)}`);
      return found;
    },
  };
}
