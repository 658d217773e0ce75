import assert from 'node:assert/strict';

import { flakyRun, thinRun } from '../support/flaky-run.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

/** The same with 100 MB and breaks every 5 s: npm run bench -- flaky --mb 100 --break-s 5. */
describe('a line that is cut again and again', function () {
  this.timeout(300_000);
  let directory: TemporaryDirectory;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  it('carries an update up that passes no chunk of the usual size between two breaks', async () => {
    const breaks = await thinRun(directory.path, 1.1, 200 * 1024);
    assert.ok(breaks >= 6, String(breaks));
  });

  it('carries a base model down and an update up, over kills of both sides, without sending much twice', async () => {
    const run = await flakyRun({
      folder: directory.path,
      megabytes: 20,
      breakMs: 2_500,
      breaks: 3,
      kills: true,
    });
    assert.ok(run.breaks >= 4, String(run.breaks));
    for (const bytes of [run.sentBytes, run.receivedBytes]) {
      assert.ok(bytes >= run.modelBytes, String(bytes));
      assert.ok(bytes <= run.boundBytes, `${String(bytes)} of at most ${String(run.boundBytes)}`);
    }
  });
});
