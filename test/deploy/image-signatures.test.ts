import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { execute, type Ran } from '../support/kube/charts.js';
import { platformImages } from '../support/oci/image-files.js';
import { builtLayouts, IMAGE_COMMAND } from '../support/oci/images.js';
import {
  blobPath,
  imageIndex,
  layoutIndex,
  readBlob,
  readJson,
  type ImageManifest,
} from '../support/oci/layout.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const run = promisify(execFile);
const KEYS = {
  'ECDSA on P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  Ed25519: ['-algorithm', 'ed25519'],
} as const;
const SIGNATURE = 'dev.cosignproject.cosign/signature';

describe('signatures of images', function () {
  this.timeout(580_000);
  let folder: TemporaryDirectory;
  let layout: string;

  const key = async (name: string, kind: keyof typeof KEYS): Promise<{ secret: string; open: string }> => {
    const [secret, open] = [join(folder.path, `${name}.pem`), join(folder.path, `${name}.pub`)];
    await run('openssl', ['genpkey', ...KEYS[kind], '-out', secret]);
    await run('openssl', ['pkey', '-in', secret, '-pubout', '-out', open]);
    return { secret, open };
  };
  const image = (...args: readonly string[]): Promise<Ran> =>
    execute(process.execPath, [IMAGE_COMMAND, ...args]);
  const refused = async (open: string, words: RegExp): Promise<void> => {
    const { code, stdout, stderr } = await image('verify', layout, '--key', open);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, words);
  };

  beforeEach(async () => {
    folder = await temporaryDirectory();
    layout = join(folder.path, 'coordinator');
    await cp(join(await builtLayouts(), 'coordinator'), layout, { recursive: true });
  });
  afterEach(() => folder.remove());

  for (const kind of ['ECDSA on P-256', 'Ed25519'] as const) {
    it(`${kind}: hold, for openssl too, and only under the key that made them`, async () => {
      const mine = await key('mine', kind);
      const other = await key('other', kind);
      await refused(mine.open, /is not signed/);
      assert.equal((await image('sign', layout, '--key', mine.secret)).code, 0);
      const { digest } = await imageIndex(layout);
      const { code, stdout } = await image('verify', layout, '--key', mine.open);
      assert.deepEqual(
        [code, /^registry\.tributary\.dev\/tributary\/coordinator:[^@]+@(\S+) signed by /.exec(stdout)?.[1]],
        [0, digest],
      );
      await refused(other.open, /no signature of sha256:[0-9a-f]{64} is by this key/);

      const tag = `${digest.replace(':', '-')}.sig`;
      const signed = (await layoutIndex(layout)).manifests.find(
        ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === tag,
      );
      assert.ok(signed !== undefined);
      const [statement] = (await readJson<ImageManifest>(layout, signed)).layers;
      assert.ok(statement !== undefined);
      const said = join(folder.path, 'statement');
      const signature = join(folder.path, 'signature');
      await writeFile(said, await readBlob(layout, statement));
      assert.ok((await readFile(said, 'utf8')).includes(`"docker-manifest-digest":"${digest}"`));
      await writeFile(signature, Buffer.from(statement.annotations?.[SIGNATURE] ?? '', 'base64'));
      const verify =
        kind === 'Ed25519'
          ? [
              'pkeyutl',
              '-verify',
              '-pubin',
              '-inkey',
              mine.open,
              '-rawin',
              '-in',
              said,
              '-sigfile',
              signature,
            ]
          : ['dgst', '-sha256', '-verify', mine.open, '-signature', signature, said];
      await run('openssl', verify);
    });
  }

  it('refuse a changed layer, manifest, index or bill of materials', async () => {
    const { secret, open } = await key('mine', 'Ed25519');
    await image('sign', layout, '--key', secret);
    const [platform] = await platformImages(layout);
    assert.ok(platform !== undefined);
    const [layer] = platform.manifest.layers;
    const bill = (await layoutIndex(layout)).manifests.find(({ artifactType }) => artifactType !== undefined);
    assert.ok(layer !== undefined && bill !== undefined);
    const index = await imageIndex(layout);
    for (const { digest } of [layer, platform.descriptor, platform.manifest.config, index, bill]) {
      const path = blobPath(layout, digest);
      const whole = await readFile(path);
      const changed = Buffer.from(whole);
      changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
      // A layout shares its layers with the builder's cache.
      await rm(path);
      await writeFile(path, changed);
      await refused(open, new RegExp(`blob ${digest} of`));
      await writeFile(path, whole);
    }
    assert.equal((await image('verify', layout, '--key', open)).code, 0);
  });

  it('refuse keys that cosign would not take, and a missing one', async () => {
    const secret = join(folder.path, 'rsa.pem');
    await run('openssl', ['genpkey', '-algorithm', 'RSA', '-out', secret]);
    assert.match((await image('sign', layout, '--key', secret)).stderr, /neither Ed25519 nor ECDSA on P-256/);
    assert.equal((await image('sign', layout)).code, 2);
  });
});
