import assert from 'node:assert/strict';
import { join } from 'node:path';

import { execute, manifestOf, render } from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { Containerd } from '../support/oci/containerd.js';
import { IMAGE_COMMAND } from '../support/oci/images.js';
import { imageIndex } from '../support/oci/layout.js';
import { WHY_NO_CONTAINERS } from '../support/oci/run.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const generation = 'helm 3';
const why = (toolsOf(generation) === undefined ? WHY_SKIPPED : '') + WHY_NO_CONTAINERS;

describe(`the file of an image, imported by containerd as K3s does${why}`, function () {
  this.timeout(580_000);
  let folder: TemporaryDirectory;
  let containerd: Containerd;

  before(async function () {
    if (why !== '') this.skip();
    folder = await temporaryDirectory();
    containerd = await Containerd.start();
    const { code, stderr } = await execute(process.execPath, [
      ...[IMAGE_COMMAND, 'build', '--image', 'agent', '--tar', '--out', folder.path],
    ]);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await containerd?.stop();
    await folder?.remove();
  });

  it('is the image that the chart names, with the digest that is signed, for both platforms, and runs', async () => {
    const plugins = await containerd.ctr('plugins', 'ls');
    const snapshotter = /overlayfs\s.*\sok\s*$/m.test(plugins) ? 'overlayfs' : 'native';
    await containerd.ctr(
      ...[
        'images',
        'import',
        '--all-platforms',
        '--snapshotter',
        snapshotter,
        join(folder.path, 'agent.tar'),
      ],
    );
    const rendered = await render('tributary-agent', {
      generation,
      values: { joinToken: { value: 'trib1.x' } },
    });
    const pod = field(manifestOf(rendered, 'Deployment'), 'spec', 'template', 'spec');
    const reference = String(field(listAt(pod, 'containers')[0], 'image'));
    const { digest } = await imageIndex(join(folder.path, 'agent'));
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
      ...['run', '--rm', '--snapshotter', snapshotter, reference, 'smoke', 'tributary-agent', '--help'],
    );
    assert.match(printed, /The agent of a site/);
  });
});
