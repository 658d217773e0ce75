import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'yaml';

import { repositoryRoot } from '../support/daemon.js';
import {
  chartFolder,
  helm,
  manifestOf,
  manifestsOf,
  render,
  type Manifest,
  type Values,
} from '../support/kube/charts.js';
import { field, listAt } from '../support/kube/field.js';
import { restrictedFaults } from '../support/kube/pod-security.js';
import { schemaFault } from '../support/kube/schemas.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';
import { unknownFields } from '../support/kube/unknown-fields.js';

const PAGE = join(repositoryRoot, 'deploy/README.md');

/** What every command of the page builds upon. */
const BASE = ['--set', 'federation.name=clinics', '--set', 'federation.host=hub.example.org'];

/** What the blocks of YAML hold that begin with the name of a file. */
const objectsOf = (text: string, file: string): readonly Manifest[] =>
  [...text.matchAll(new RegExp(`^\`\`\`yaml\\n# ${file}\\n([^]*?)^\`\`\`$`, 'gm'))].flatMap(([, body = '']) =>
    manifestsOf(body),
  );

describe('objects on deploy/README.md', () => {
  it('are a pod that may run where only "restricted" ones may, with a key that the coordinator takes', async () => {
    const pod = manifestOf(objectsOf(await readFile(PAGE, 'utf8'), 'restore.yaml'), 'Pod');
    assert.equal(await schemaFault(pod), undefined);
    assert.deepEqual(unknownFields(pod), []);
    assert.deepEqual(restrictedFaults(pod['spec']), []);
    const seal = listAt(pod['spec'], 'volumes').find((volume) => field(volume, 'name') === 'seal');
    assert.equal(Number(field(seal, 'secret', 'defaultMode') ?? 0o644) & 0o007, 0);
  });

  it('are a folder of the node as a claim for tables', async () => {
    const objects = objectsOf(await readFile(PAGE, 'utf8'), 'labor.yaml');
    for (const object of objects) {
      assert.equal(await schemaFault(object), undefined);
      assert.deepEqual(unknownFields(object), []);
    }
    const [volume, claim] = ['PersistentVolume', 'PersistentVolumeClaim'].map((kind) =>
      manifestOf(objects, kind),
    );
    assert.equal(field(claim, 'spec', 'volumeName'), volume?.metadata.name);
    assert.equal(field(volume, 'spec', 'claimRef', 'name'), claim?.metadata.name);
    assert.equal(field(volume, 'spec', 'storageClassName'), field(claim, 'spec', 'storageClassName'));
  });

  it('have the agent be the user of the broker that its chart says', async () => {
    const template = await readFile(join(chartFolder('tributary-agent'), 'templates/_config.tpl'), 'utf8');
    const [, user = ''] = /-broker:1883\n +username: (\S+)/.exec(template) ?? [];
    assert.match(await readFile(PAGE, 'utf8'), new RegExp(`^mosquitto_passwd -b passwords ${user} `, 'm'));
  });
});

describe('values on deploy/README.md', function () {
  this.timeout(60_000);
  for (const generation of GENERATIONS) {
    const missing = toolsOf(generation) === undefined;
    it(`are taken by ${generation}${missing ? WHY_SKIPPED : ''}`, async function () {
      if (missing) this.skip();
      const text = (await readFile(PAGE, 'utf8')).replace(/\\\n/g, ' ');
      const commands = [...text.matchAll(/^helm (?:install|upgrade) hub (\S+) (.*)$/gm)];
      assert.ok(commands.length >= 3);
      for (const [, chart = '', rest = ''] of commands) {
        const sets = [...rest.matchAll(/(--set(?:-json)?) (?:'([^']+)'|(\S+))/g)].flatMap(
          ([, option = '', quoted, bare = '']) => [option, quoted ?? bare],
        );
        const args = ['template', 'hub', join(repositoryRoot, chart), '-n', 'tributary', ...BASE, ...sets];
        const { code, stdout, stderr } = await helm(generation, args);
        assert.equal(code, 0, `${rest}: ${stderr}`);
        const service = manifestOf(manifestsOf(stdout), 'Service', 'hub-tributary-coordinator');
        assert.equal(JSON.stringify(service).includes('7448'), rest.includes('tunnel.enabled'));
        const policies = manifestsOf(stdout).filter(({ kind }) => kind === 'NetworkPolicy');
        assert.equal(
          JSON.stringify(policies).includes('10.0.0.0/8'),
          rest.includes('networkPolicy.operators'),
        );
      }
    });

    it(`of a site are rendered by ${generation} into its agent.yaml${missing ? WHY_SKIPPED : ''}`, async function () {
      if (missing) this.skip();
      const text = await readFile(PAGE, 'utf8');
      const blocks = [...text.matchAll(/^```yaml\n# north\.yaml[^\n]*\n([^]*?)^```$/gm)];
      const values = Object.assign({}, ...blocks.map(([, body = '']) => parse(body) as Values)) as Values;
      const objects = await render('tributary-agent', { generation, values });
      const config = manifestOf(objects, 'ConfigMap', 'north-tributary-agent');
      const agent = parse(String(field(config, 'data', 'agent.yaml'))) as unknown;
      assert.equal(field(agent, 'coordinator', 'tunnel'), 'hub.example.org:7448');
      assert.equal(field(agent, 'healthHost'), '0.0.0.0');
    });

    it(`with a GPU name one image or a tag, says ${generation}${missing ? WHY_SKIPPED : ''}`, async function () {
      if (missing) this.skip();
      const image = { repository: 'tributary/agent', digest: `sha256:${'0'.repeat(64)}` };
      const values = { gpu: { enabled: true }, image };
      await assert.rejects(render('tributary-agent', { generation, values }), /gpu\.tagSuffix/);
      await render('tributary-agent', {
        generation,
        values: { gpu: { enabled: true, tagSuffix: '' }, image },
      });
    });
  }
});
