import assert from 'node:assert/strict';
import { join } from 'node:path';

import { LocalFederation } from '../support/federation.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';
import { fuzzRpc, reportLine, type RpcTarget } from './rpc/fuzz.js';
import { FuzzWorld } from './rpc/world.js';

const MESSAGES = 2_000;
const SEED = 20_260_101;
const ROUNDS = 100;
/** Resident memory that all messages together may add: a leak of 10 KiB per message would be 600 MiB. */
const GROWTH_MEBIBYTES = 250;

describe('fuzzed RPCs', function () {
  this.timeout(120_000);
  let directory: TemporaryDirectory;
  let world: FuzzWorld;
  let targets: ReadonlyMap<string, RpcTarget>;
  let pid: number;
  let restingMebibytes: number;

  before(async () => {
    directory = await temporaryDirectory();
    world = await FuzzWorld.create(await LocalFederation.start(join(directory.path, 'federation')), ROUNDS);
    targets = new Map((await world.targets()).map((target) => [target.title, target]));
    pid = world.federation.coordinator.pid;
    restingMebibytes = await world.residentMebibytes();
  });

  after(async () => {
    await world.close();
    await directory.remove();
  });

  it('answers or refuses every message with a documented code, and goes on', async function () {
    this.timeout(600_000);
    for (const target of targets.values()) {
      const report = await fuzzRpc(target, MESSAGES, SEED);
      const mebibytes = await world.residentMebibytes();
      console.log(`      ${reportLine(report)}, ${String(mebibytes)} MiB`);
      assert.deepEqual(report.findings, [], target.title);
      assert.equal(world.federation.coordinator.pid, pid);
      assert.ok(world.federation.coordinator.running, 'the coordinator runs');
      assert.ok(await world.healthy(), 'health is SERVING');
      assert.ok(
        mebibytes < restingMebibytes + GROWTH_MEBIBYTES,
        `${String(mebibytes)} MiB, at first ${String(restingMebibytes)} MiB`,
      );
      await world.awaitProgress();
    }
  });

  it('has not stalled the job that ran meanwhile', async () => {
    await eventually(
      'the background job',
      async () => ((await world.progress()).complete ? true : undefined),
      100_000,
    );
  });

  it('has made the coordinator log no error', async () => {
    assert.deepEqual(await world.errorLines(), []);
  });
});
