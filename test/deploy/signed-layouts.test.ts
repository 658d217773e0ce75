import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execute, type Ran } from '../support/kube/charts.js';
import { IMAGE_COMMAND } from '../support/oci/images.js';
import { blobPath, layoutIndex, type Descriptor } from '../support/oci/layout.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const TAG = 'org.opencontainers.image.ref.name';
const NAME = 'io.containerd.image.name';
const AGENT = 'registry.tributary.dev/tributary/agent';
const COORDINATOR = 'registry.tributary.dev/tributary/coordinator';

const named = (repository: string, tag: string): Record<string, string> => ({
  [TAG]: tag,
  [NAME]: `${repository}:${tag}`,
});

describe('a signed layout that somebody changed', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  let layout: string;
  let secret: string;
  let open: string;
  let image: Descriptor;

  const command = (...args: readonly string[]): Promise<Ran> =>
    execute(process.execPath, [IMAGE_COMMAND, ...args]);
  const verify = (): Promise<Ran> => command('verify', layout, '--key', open);
  const refused = async (words: RegExp): Promise<void> => {
    const { code, stdout, stderr } = await verify();
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, words);
  };
  const put = async (mediaType: string, value: unknown): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await writeFile(blobPath(layout, digest), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const setManifests = (manifests: readonly Descriptor[]): Promise<void> =>
    writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  const manifests = async (): Promise<readonly Descriptor[]> => (await layoutIndex(layout)).manifests;
  const manifest = async (content: string): Promise<Descriptor> => {
    const config = await put('application/vnd.oci.image.config.v1+json', { os: 'linux' });
    const layer = await put('application/vnd.oci.image.layer.v1.tar+gzip', content);
    return put(MANIFEST_TYPE, { schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [layer] });
  };
  const index = async (content: string): Promise<Descriptor> =>
    put(INDEX_TYPE, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [await manifest(content)] });

  beforeEach(async () => {
    folder = await temporaryDirectory();
    layout = join(folder.path, 'agent');
    [secret, open] = [join(folder.path, 'key.pem'), join(folder.path, 'key.pub')];
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    await writeFile(secret, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(open, publicKey.export({ type: 'spki', format: 'pem' }));
    await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
    image = { ...(await index('agent')), annotations: named(AGENT, '0.3.0') };
    await setManifests([image, await manifest('bill')]);
    const { code, stderr } = await command('sign', layout, '--key', secret);
    assert.equal(code, 0, stderr);
  });
  afterEach(() => folder.remove());

  it('is accepted as it is, by its whole name', async () => {
    assert.match((await verify()).stdout, new RegExp(`^${AGENT}:0\\.3\\.0@${image.digest} signed by `));
  });

  it('is refused with an image that has the tag of a signature', async () => {
    const other = await index('of an attacker');
    const tagged = (annotations: Record<string, string>): Descriptor => ({ ...other, annotations });
    const name = `${COORDINATOR}:0.3.0`;
    await setManifests([tagged({ [TAG]: 'x.sig', [NAME]: name })]);
    await refused(/is not signed/);
    await setManifests([tagged({ [TAG]: `${other.digest.replace(':', '-')}.sig`, [NAME]: name })]);
    await refused(/is not signed/);
  });

  it('is refused with anything unsigned under the tag of a signature', async () => {
    const whole = await manifests();
    const other = await manifest('of an attacker');
    for (const [extra, words] of [
      [{ ...other, annotations: { [TAG]: 'x.sig', [NAME]: `${COORDINATOR}:0.3.0` } }, /of nothing in this/],
      [{ ...other, annotations: { [TAG]: `${image.digest.replace(':', '-')}.sig` } }, /or a second one/],
      [other, /is not signed/],
    ] as const) {
      await setManifests([...whole, extra]);
      await refused(words);
    }
    // In the place of the signature itself.
    const tag = `${image.digest.replace(':', '-')}.sig`;
    const without = whole.filter(({ annotations }) => annotations?.[TAG] !== tag);
    await setManifests([...without, { ...other, annotations: { [TAG]: tag } }]);
    await refused(/layers that are no statements/);
    const renamed = whole.map((one) =>
      one.annotations?.[TAG] === tag
        ? { ...one, annotations: { [TAG]: tag, [NAME]: `${COORDINATOR}:0.3.0` } }
        : one,
    );
    await setManifests(renamed);
    await refused(/is no signature/);
  });

  it('is refused under another name or version, and with a name on what is attached', async () => {
    const whole = await manifests();
    const relabelled = async (annotations: Record<string, string>): Promise<void> => {
      await setManifests(whole.map((one) => (one.digest === image.digest ? { ...one, annotations } : one)));
    };
    await relabelled(named(COORDINATOR, '9.9.9'));
    await refused(/is signed as .*agent:0\.3\.0, and named .*coordinator:9\.9\.9/);
    await relabelled(named(AGENT, '9.9.9'));
    await refused(/is signed as .*agent:0\.3\.0, and named .*agent:9\.9\.9/);
    await relabelled({ [TAG]: '9.9.9', [NAME]: `${AGENT}:0.3.0` });
    await refused(/has the tag 9\.9\.9/);
    await setManifests(
      whole.map((one) =>
        one.mediaType === MANIFEST_TYPE && one.annotations === undefined
          ? { ...one, annotations: named(COORDINATOR, '0.3.0') }
          : one,
      ),
    );
    await refused(/has a name, though it is not the image/);
    await setManifests(whole);
    assert.equal((await verify()).code, 0);
  });
});
