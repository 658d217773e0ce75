import assert from 'node:assert/strict';
import { cp, mkdir, readdir, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { platformImages } from '../support/oci/image-files.js';
import { builtLayouts } from '../support/oci/images.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** What the builder reads of a clone. */
const READ = [
  ...['package.json', 'package-lock.json', '.npmrc', 'LICENSE', 'deploy/charts', 'deploy/images'],
  ...['proto', 'coordinator', 'edge-agent'].flatMap((name) =>
    ['package.json', 'bin', 'src', 'dist'].map((part) => `${name}/${part}`),
  ),
  ...['proto/tributary', 'edge-agent/oip'],
];

describe('images, built twice', function () {
  this.timeout(580_000);

  it('have one digest: of another clone, at another time, installed and compressed anew', async () => {
    const folder = await temporaryDirectory();
    try {
      const clone = join(folder.path, 'another clone');
      await mkdir(clone);
      for (const path of READ) await cp(join(repositoryRoot, path), join(clone, path), { recursive: true });
      for (const entry of await readdir(clone, { recursive: true }))
        await utimes(join(clone, entry), 1e9, 1e9);
      await symlink(join(repositoryRoot, 'node_modules'), join(clone, 'node_modules'));
      // Archives whose digests are pinned are not fetched twice.
      const cache = join(folder.path, 'cache');
      await mkdir(cache);
      const first = await builtLayouts();
      for (const name of ['debian', 'node'])
        await symlink(join(repositoryRoot, 'node_modules/.cache/tributary-images', name), join(cache, name));
      const { code, stderr } = await execute(process.execPath, [
        ...[join(clone, 'deploy/images/dist/main.js'), 'build', '--platform', 'linux/amd64'],
        ...['--out', join(folder.path, 'out'), '--cache', cache],
      ]);
      assert.equal(code, 0, stderr);
      for (const name of ['coordinator', 'agent']) {
        const [again] = await platformImages(join(folder.path, 'out', name));
        const before = (await platformImages(join(first, name))).find(
          ({ architecture }) => architecture === 'amd64',
        );
        assert.equal(again?.descriptor.digest, before?.descriptor.digest, name);
      }
    } finally {
      await folder.remove();
    }
  });
});
