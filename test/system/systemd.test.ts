import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { temporaryDirectory } from '../support/temporary-directory.js';
import { unitFiles } from '../support/unit-files.js';

const ANALYZE = '/usr/bin/systemd-analyze';
const available = existsSync(ANALYZE);

/** What systemd says of a unit; the daemon itself is replaced, because it is not installed in /opt here. */
async function verify(name: string, text: string): Promise<string> {
  const folder = await temporaryDirectory();
  try {
    const file = join(folder.path, name);
    await writeFile(file, text.replace(/\/opt\/tributary\/node_modules\/\.bin\/[a-z-]+/, '/bin/true'));
    return await new Promise((resolve) => {
      execFile(ANALYZE, ['verify', '--man=no', file], (error, stdout, stderr) =>
        resolve(`${error === null ? '' : 'failed: '}${stdout}${stderr}`),
      );
    });
  } finally {
    await folder.remove();
  }
}

describe(`units of deploy/systemd${available ? '' : ' (needs systemd)'}`, function () {
  this.timeout(60_000);
  before(function () {
    if (!available) this.skip();
  });

  for (const { name, text } of unitFiles()) {
    it(`${name} is understood by systemd, word for word`, async () => {
      assert.equal(await verify(name, text), '');
    });

    it(`${name} with a misspelt directive is not`, async () => {
      assert.match(await verify(name, text.replace('ProtectSystem=', 'ProtectSytem=')), /ProtectSytem/);
    });
  }
});
