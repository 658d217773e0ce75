import assert from 'node:assert/strict';

import { ScriptedCoordinator } from '../support/scripted-coordinator.js';
import { ScriptedSite } from '../support/scripted-site.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

describe('a training that takes long', function () {
  this.timeout(120_000);

  it('is trained once and delivered, over broken streams and a coordinator that starts anew', async () => {
    const coordinator = await ScriptedCoordinator.start();
    const folder = await temporaryDirectory();
    const site = new ScriptedSite(folder.path, coordinator);
    await site.join(coordinator.token());
    let finish: () => void = () => undefined;
    site.trainer.gate = new Promise((resolve) => (finish = resolve));
    const running = await site.run();
    /** Another connection than those before. */
    const again = (connects: number): Promise<true> =>
      eventually(
        'another connection',
        () => (coordinator.counts.connect > connects && coordinator.streams.size > 0 ? true : undefined),
        60_000,
      );
    try {
      await again(0);
      const round = coordinator.openRound();
      await coordinator.sendOrder('train', round.seqs);
      await eventually('the training to begin', () => (site.trainer.trainings === 1 ? true : undefined));
      for (let breaks = 0; breaks < 3; breaks += 1) {
        const { connect } = coordinator.counts;
        // As a proxy does with a connection that was idle for too long for it.
        for (const stream of coordinator.streams) stream.end();
        await again(connect);
        // The coordinator has lost sight of what became of its order, and repeats it.
        await coordinator.sendOrder('train', round.seqs);
      }
      const { connect } = coordinator.counts;
      coordinator.stop();
      await coordinator.listen();
      await again(connect);
      finish();
      const upload = await eventually(
        'the update',
        () => [...coordinator.uploads.values()].find(({ sealed }) => sealed),
        60_000,
      );
      assert.ok(upload.chunks.length > 0);
      assert.deepEqual([site.trainer.trainings, coordinator.uploads.size], [1, 1]);
      assert.deepEqual(coordinator.messages('failure'), []);
      const answers = coordinator
        .messages('ack')
        .map(({ orderId, accepted }) => `${orderId} ${String(accepted)}`);
      assert.equal(new Set(answers).size, 1, 'one order, answered alike each time');
    } finally {
      finish();
      await running.stop();
      coordinator.stop();
      await folder.remove();
    }
  });
});
