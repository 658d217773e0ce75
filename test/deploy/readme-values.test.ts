import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'yaml';

import { repositoryRoot } from '../support/daemon.js';
import { helm, manifestOf, manifestsOf, render, type Values } from '../support/kube/charts.js';
import { field } from '../support/kube/field.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED } from '../support/kube/tools.js';

const PAGE = join(repositoryRoot, 'deploy/README.md');

/** What every command of the page builds upon. */
const BASE = ['--set', 'federation.name=clinics', '--set', 'federation.host=hub.example.org'];

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
        const sets = [...rest.matchAll(/--set (\S+)/g)].flatMap(([, pair = '']) => ['--set', pair]);
        const args = ['template', 'hub', join(repositoryRoot, chart), '-n', 'tributary', ...BASE, ...sets];
        const { code, stdout, stderr } = await helm(generation, args);
        assert.equal(code, 0, `${rest}: ${stderr}`);
        const service = manifestOf(manifestsOf(stdout), 'Service', 'hub-tributary-coordinator');
        assert.equal(JSON.stringify(service).includes('7448'), rest.includes('tunnel.enabled'));
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
