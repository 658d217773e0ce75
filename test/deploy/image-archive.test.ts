import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'yaml';

import { repositoryRoot } from '../support/daemon.js';
import { manifestOf, render } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { Containerd } from '../support/oci/containerd.js';
import { builtLayouts } from '../support/oci/images.js';
import { imageIndex } from '../support/oci/layout.js';
import { serveLayout } from '../support/oci/registry.js';
import { WHY_NO_CONTAINERS } from '../support/oci/run.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const generation = 'helm 3';
const why = (toolsOf(generation) === undefined ? WHY_SKIPPED : '') + WHY_NO_CONTAINERS;

describe(`the file of an image, imported by containerd as K3s does${why}`, function () {
  this.timeout(580_000);
  let folder: TemporaryDirectory;
  let layouts: string;
  let containerd: Containerd;

  before(async function () {
    if (why !== '') this.skip();
    folder = await temporaryDirectory();
    containerd = await Containerd.start();
    layouts = await builtLayouts();
  });
  after(async () => {
    await containerd?.stop();
    await folder?.remove();
  });

  /** overlayfs as in K3s, where this machine has it. */
  const snapshotterOf = async (one: Containerd): Promise<string> =>
    /overlayfs\s.*\sok\s*$/m.test(await one.ctr('plugins', 'ls')) ? 'overlayfs' : 'native';
  const chartImage = async (): Promise<string> => {
    const values = { joinToken: { value: 'trib1.x' } };
    const rendered = await render('tributary-agent', { generation, values });
    const pod = field(manifestOf(rendered, 'Deployment'), 'spec', 'template', 'spec');
    return String(field(listAt(pod, 'containers')[0], 'image'));
  };

  it('is the image that the chart names, with the digest that is signed, for both platforms, and runs', async () => {
    await containerd.ctr(
      ...[
        'images',
        'import',
        '--all-platforms',
        '--snapshotter',
        await snapshotterOf(containerd),
        join(layouts, 'agent.tar'),
      ],
    );
    const reference = await chartImage();
    const { digest } = await imageIndex(join(layouts, 'agent'));
    const [, ...lines] = (await containerd.ctr('images', 'ls')).trim().split('\n');
    const [line = '', ...others] = lines;
    assert.deepEqual(others, []);
    assert.deepEqual(line.split(/\s+/).slice(0, 3), [
      reference,
      'application/vnd.oci.image.index.v1+json',
      digest,
    ]);
    assert.match(line, /linux\/amd64,linux\/arm64/);
    assert.match(await containerd.ctr('images', 'check'), new RegExp(`${reference} .* complete .* true`));
    const printed = await containerd.ctr(
      ...[
        'run',
        '--rm',
        '--snapshotter',
        await snapshotterOf(containerd),
        reference,
        'smoke',
        'tributary-agent',
        '--help',
      ],
    );
    assert.match(printed, /The agent of a site/);
  });

  it('is pulled from the mirror that registries.yaml names, under the name that the chart asks for', async () => {
    const registry = await serveLayout(join(layouts, 'agent'));
    const fresh = await Containerd.start();
    try {
      const page = await readFile(join(repositoryRoot, 'deploy/images/README.md'), 'utf8');
      const text = /```yaml\n(mirrors:.*?)```/s.exec(page)?.[1] ?? '';
      const [[host = '', mirror] = []] = Object.entries(
        field(parse(text), 'mirrors') as Readonly<Record<string, unknown>>,
      );
      assert.deepEqual(listAt(mirror, 'endpoint'), ['https://mirror.site.example']);
      // What K3s writes for containerd from registries.yaml, with this test's mirror as the endpoint.
      const hosts = join(folder.path, 'certs.d', host);
      await mkdir(hosts, { recursive: true });
      const lines = [`server = "https://${host}"`, `[host."http://127.0.0.1:${String(registry.port)}"]`];
      await writeFile(
        join(hosts, 'hosts.toml'),
        [...lines, 'capabilities = ["pull", "resolve"]', ''].join('\n'),
      );
      const reference = await chartImage();
      const { digest } = await imageIndex(join(layouts, 'agent'));
      await fresh.ctr(
        ...['images', 'pull', '--hosts-dir', join(folder.path, 'certs.d'), '--platform', 'linux/amd64'],
        ...['--snapshotter', await snapshotterOf(fresh), reference],
      );
      assert.match(await fresh.ctr('images', 'ls'), new RegExp(`${reference} .* ${digest} `));
      for (const kind of ['manifests', 'blobs'])
        assert.ok(
          registry.asked.some((url) => url.includes(`/${kind}/`) && url.includes(`ns=${host}`)),
          kind,
        );
    } finally {
      await fresh.stop();
      await registry.close();
    }
  });
});
