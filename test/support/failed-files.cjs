const fs = require('node:fs');
const path = require('node:path');
const Mocha = require('mocha');

const LIST = path.resolve('test', 'dist', 'failed-files');

/**
 * Mocha's `spec` reporter, which also leaves the files in which a test or a hook failed in `test/dist/failed-files`,
 * one a line, sorted; no file where none failed. `.ci/run` reads it. Plain CommonJS, because Mocha loads reporters
 * with `require`.
 */
module.exports = class FailedFiles extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const failed = new Set();
    fs.rmSync(LIST, { force: true });
    runner.on('fail', (test) => failed.add(test.file ?? `no file: ${test.fullTitle()}`));
    runner.on('end', () => {
      if (failed.size > 0) fs.writeFileSync(LIST, [...failed].sort().join('\n') + '\n');
    });
  }
};
