import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_CODES, type ErrorCode } from '@tributary/proto';

import { repositoryRoot } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { REQUEST_PROVOCATIONS } from './refusals/requests.js';
import { SITE_PROVOCATIONS, startBranch } from './refusals/sites.js';
import { UPDATE_PROVOCATIONS } from './refusals/updates.js';
import { RefusalWorld } from './refusals/world.js';

/** Codes that no message of a peer brings about, and the test that sees them. */
const ELSEWHERE: Readonly<Partial<Record<ErrorCode, readonly [why: string, test: string]>>> = {
  USAGE: ['words of the command line', 'unit/coordinator/cli-usage'],
  CONFIG_INVALID: ['files and variables', 'unit/coordinator/config'],
  TRAINING_FAILED: ['an error inside of the trainer', 'integration/trainer'],
  PROOF_INVALID: ['needs the key of the tree heads', 'unit/agent/order'],
  STORE_CORRUPT: ['damaged files', 'integration/store-corruption'],
  STORE_FULL: ['a full disk', 'unit/coordinator/app-recovery'],
  SEAL_BROKEN: ['another sealing key', 'integration/store-corruption'],
  ROSTER_MISSING: ['a coordinator without a roster, to a site that pins a root', 'integration/membership'],
  ROSTER_INVALID: ['keys of a root, and keys of another', 'integration/membership'],
  ROSTER_EXPIRED: ['time', 'integration/membership'],
  ROSTER_ROLLBACK: ['a coordinator that goes back', 'integration/membership'],
  NOT_IN_ROSTER: ['a coordinator with agents of its own making', 'integration/membership'],
  SITE_NOT_READY: ['a site that has not decided yet', 'e2e/site-policy'],
  LEDGER_FORKED: ['a coordinator with two histories', 'integration/agent-link'],
  LEDGER_SHORTENED: ['a coordinator that lost entries', 'integration/agent-link'],
  EXPORT_CORRUPT: ['damaged files', 'unit/coordinator/audit'],
  WITNESSES_TOO_FEW: ['words of the command line', 'unit/coordinator/audit'],
  SECAGG_IMPOSSIBLE: ['sites that come and go before a round opens', 'unit/secagg/plan'],
  SECAGG_MESSAGE_INVALID: ['members and coordinators that lie', 'integration/cheating-coordinator'],
  SECAGG_STAGE_PASSED: ['a coordinator that asks twice', 'integration/cheating-replays'],
  SECAGG_TOO_FEW: ['dropouts beyond the threshold', 'integration/cheating-coordinator'],
  SECAGG_SUM_INVALID: ['masks that do not cancel', 'unit/secagg/cheated-sets'],
  SECAGG_DIFFERENCING: ['a coordinator that leaves one site out', 'integration/cheating-coordinator'],
  INTERNAL: ['must not occur; the fuzz tests fail where it does', 'unit/proto/grpc-status'],
};

describe('refusals over the wire', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;
  let world: RefusalWorld;

  before(async () => {
    directory = await temporaryDirectory();
    world = await RefusalWorld.create(await LocalFederation.start(join(directory.path, 'federation')));
    await startBranch(world);
  });

  after(async () => {
    world.close();
    await world.federation.stop();
    await directory.remove();
  });

  const provocations = { ...UPDATE_PROVOCATIONS, ...REQUEST_PROVOCATIONS, ...SITE_PROVOCATIONS };
  for (const [code, { how, provoke }] of Object.entries(provocations)) {
    it(`${code}: ${how}`, async () => {
      assert.equal(await provoke(world), code);
    });
  }

  it('covers every code of the error table, here or in the named test', async () => {
    for (const code of ERROR_CODES) {
      const named = ELSEWHERE[code];
      assert.equal(Object.hasOwn(provocations, code), named === undefined, `${code} is provoked once`);
      if (named === undefined) continue;
      const text = await readFile(join(repositoryRoot, 'test', `${named[1]}.test.ts`), 'utf8');
      assert.match(text, new RegExp(`\\b${code}\\b`), `${named[1]} tests ${code}`);
    }
  });
});
