import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { platformImages } from '../support/oci/image-files.js';
import { builtLayouts, CACHE } from '../support/oci/images.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** What the builder reads of a clone. */
const READ = [
  ...['package.json', 'package-lock.json', '.npmrc', 'LICENSE', 'deploy/charts', 'deploy/images'],
  ...['proto', 'coordinator', 'edge-agent'].flatMap((name) =>
    ['package.json', 'bin', 'src', 'dist'].map((part) => `${name}/${part}`),
  ),
  ...['proto/tributary', 'edge-agent/oip'],
];

/** Compressed layers of the first build, each with a changed byte, where the builder keeps its own. */
async function damagedLayers(layouts: string, cache: string): Promise<void> {
  await mkdir(join(cache, 'layers'));
  const [coordinator] = await platformImages(join(layouts, 'coordinator'));
  assert.ok(coordinator !== undefined);
  for (const { digest } of coordinator.manifest.layers) {
    const name = (await readdir(join(CACHE, 'layers'))).find((one) =>
      one.endsWith(`-${digest.replace('sha256:', '')}.tar.gz`),
    );
    assert.ok(name !== undefined);
    const bytes = await readFile(join(CACHE, 'layers', name));
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    await writeFile(join(cache, 'layers', name), bytes);
  }
}

describe('images, built twice', function () {
  this.timeout(580_000);

  it('have one digest: of another clone, at another time, compressed and for amd64 installed anew, over damaged layers', async () => {
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
      for (const name of ['debian', 'node']) await symlink(join(CACHE, name), join(cache, name));
      // npm installs for one platform here; `npm run image -- build --cache NEW` is for both.
      await mkdir(join(cache, 'npm'));
      for (const name of await readdir(join(CACHE, 'npm')))
        if (name.startsWith('arm64-')) await cp(join(CACHE, 'npm', name), join(cache, 'npm', name));
      await damagedLayers(first, cache);
      const { code, stderr } = await execute(process.execPath, [
        ...[join(clone, 'deploy/images/dist/main.js'), 'build'],
        ...['--out', join(folder.path, 'out'), '--cache', cache],
      ]);
      assert.equal(code, 0, stderr);
      for (const name of ['coordinator', 'agent']) {
        const digests = async (layouts: string): Promise<readonly string[]> =>
          (await platformImages(join(layouts, name))).map(
            ({ architecture, descriptor }) => `${architecture} ${descriptor.digest}`,
          );
        assert.equal((await digests(first)).length, 2);
        assert.deepEqual(await digests(join(folder.path, 'out')), await digests(first), name);
      }
    } finally {
      await folder.remove();
    }
  });
});
